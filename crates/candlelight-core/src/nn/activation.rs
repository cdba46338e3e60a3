//! Elementwise activations with exact derivatives; at a kink the derivative is PyTorch's.

use super::elements::{has_kernels, with_element, zip_map};
use super::{Module, elements};
use crate::scope::{Kind, report};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};
use candlelight_kernels::{self as kernels, Element};

/// An elementwise activation. As a [`Module`] it has no name; [`at`](Self::at) gives it one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// max(x, 0), with derivative 0 at 0.
    Relu,
    /// x·Φ(x) with the exact error function ([paper](https://arxiv.org/abs/1606.08415)).
    Gelu,
    /// x·σ(x).
    Silu,
    /// x for x > 0, else α(eˣ − 1) ([paper](https://arxiv.org/abs/1511.07289)).
    Elu(f64),
    /// The hyperbolic tangent.
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
}

impl Activation {
    /// The same activation, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Act {
        Act { activation: self, name: name.into() }
    }

    fn value<T: Element>(self, x: T) -> T {
        match self {
            Self::Relu if x <= T::ZERO => T::ZERO,
            Self::Relu => x,
            Self::Gelu => kernels::gelu(x),
            Self::Silu => x * logistic(x),
            Self::Elu(_) if x > T::ZERO => x,
            Self::Elu(alpha) => T::from_f64(alpha) * (x.exp() - T::ONE),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => logistic(x),
        }
    }

    fn derivative<T: Element>(self, x: T) -> T {
        match self {
            Self::Relu if x > T::ZERO => T::ONE,
            Self::Relu => T::ZERO,
            Self::Gelu => kernels::gelu_derivative(x),
            Self::Silu => logistic(x) * (T::ONE + x * (T::ONE - logistic(x))),
            Self::Elu(_) if x > T::ZERO => T::ONE,
            Self::Elu(alpha) => T::from_f64(alpha) * x.exp(),
            Self::Tanh => T::ONE - x.tanh() * x.tanh(),
            Self::Sigmoid => logistic(x) * (T::ONE - logistic(x)),
        }
    }

    /// [`value`](Self::value) by candle's operations, for devices without our kernels.
    fn value_by_candle(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => x.relu(),
            Self::Gelu => x.gelu_erf(),
            Self::Silu => x.silu(),
            Self::Elu(alpha) => x.elu(alpha),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => candle_logistic(x),
        }
    }

    /// [`derivative`](Self::derivative) by candle's operations.
    fn derivative_by_candle(self, x: &Tensor) -> Result<Tensor> {
        let positive = x.gt(0.0)?;
        match self {
            Self::Relu => positive.to_dtype(x.dtype()),
            Self::Gelu => {
                let distribution = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5;
                let density = (x.sqr()? * -0.5)?.exp()? * (1.0 / (2.0 * std::f64::consts::PI).sqrt());
                distribution? + (x * density?)?
            }
            Self::Silu => {
                let s = candle_logistic(x)?;
                &s * (1.0 + (x * (1.0 - &s)?)?)?
            }
            Self::Elu(alpha) => positive.where_cond(&x.ones_like()?, &(x.exp()? * alpha)?),
            Self::Tanh => 1.0 - x.tanh()?.sqr()?,
            Self::Sigmoid => {
                let s = candle_logistic(x)?;
                &s * (1.0 - &s)?
            }
        }
    }

    fn apply(self, x: &Tensor) -> Result<Tensor> {
        let input = x.detach();
        let y = match has_kernels(&input) {
            true => with_element!(input, T => elements::map(&input, |v: T| self.value(v)))?,
            false => self.value_by_candle(&input)?,
        };
        vjp_of_fresh(&[x], y, move |_, g| {
            Ok(vec![Some(match has_kernels(&input) {
                true => with_element!(input, T => zip_map(&input, g, |v: T, g: T| self.derivative(v) * g))?,
                false => (g * self.derivative_by_candle(&input)?)?,
            })])
        })
    }
}

fn logistic<T: Element>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

fn candle_logistic(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        report("", Kind::Activation, 0, self.apply(x)?)
    }
}

/// An [`Activation`] with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    activation: Activation,
    name: String,
}

impl Module for Act {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        report(&self.name, Kind::Activation, 0, self.activation.apply(x)?)
    }
}

macro_rules! functions {
    ($($name:ident => $activation:ident),*) => { $(
        #[doc = concat!("[`Activation::", stringify!($activation), "`] as a function.\n\n# Errors\nIf candle fails.")]
        pub fn $name(x: &Tensor) -> Result<Tensor> {
            Activation::$activation.forward(x)
        }
    )* };
}
functions!(relu => Relu, gelu => Gelu, silu => Silu, tanh => Tanh, sigmoid => Sigmoid);

/// [`Activation::Elu`] as a function.
///
/// # Errors
/// If candle fails.
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    Activation::Elu(alpha).forward(x)
}
