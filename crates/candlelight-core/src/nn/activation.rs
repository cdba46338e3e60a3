//! Elementwise activations with exact derivatives; at a kink the derivative is PyTorch's.

use super::elements::{Number, has_kernels, with_element, zip_map};
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

    #[inline(always)]
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

    #[inline(always)]
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

    /// [`value`](Self::value) of every element; one loop for each activation, so that none branches inside.
    fn values<T: Number>(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => elements::map(x, |x: T| Self::Relu.value(x)),
            Self::Gelu => elements::map(x, |x: T| Self::Gelu.value(x)),
            other => elements::map(x, move |x: T| other.value(x)),
        }
    }

    /// `g` times the [`derivative`](Self::derivative) at every element of `x`.
    fn pull_back<T: Number>(self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => zip_map(x, g, |x: T, g: T| Self::Relu.derivative(x) * g),
            Self::Gelu => zip_map(x, g, |x: T, g: T| Self::Gelu.derivative(x) * g),
            other => zip_map(x, g, move |x: T, g: T| other.derivative(x) * g),
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
            true => with_element!(input, T => self.values::<T>(&input))?,
            false => self.value_by_candle(&input)?,
        };
        vjp_of_fresh(&[x], y, move |_, g| {
            Ok(vec![Some(match has_kernels(&input) {
                true => with_element!(input, T => self.pull_back::<T>(&input, g))?,
                false => (g * self.derivative_by_candle(&input)?)?,
            })])
        })
    }
}

#[inline]
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

impl Act {
    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    const ALL: [Activation; 6] = [
        Activation::Relu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Elu(0.7),
        Activation::Tanh,
        Activation::Sigmoid,
    ];
    /// candle's own erf is good to about 1e-10; everything else agrees to rounding.
    const TOLERANCE: f64 = 1e-9;

    fn grid() -> Vec<f64> {
        (-400..=400).map(|i| f64::from(i) * 0.0173).collect()
    }

    #[test]
    fn candles_operations_give_what_the_kernels_give() -> Result<()> {
        let x = Tensor::new(grid(), &Device::Cpu)?;
        for activation in ALL {
            let values = elements::map(&x, |v: f64| activation.value(v))?;
            let slopes = elements::map(&x, |v: f64| activation.derivative(v))?;
            for (a, b) in
                [(values, activation.value_by_candle(&x)?), (slopes, activation.derivative_by_candle(&x)?)]
            {
                let difference = (a - b)?.abs()?.max_all()?.to_scalar::<f64>()?;
                assert!(difference < TOLERANCE, "{activation:?}: {difference:e}");
            }
        }
        Ok(())
    }

    #[test]
    fn kinks_and_signed_zeros_have_pytorchs_gradient() -> Result<()> {
        let x = Var::new(&[0.0f64, -0.0, 1.0, -1.0], &Device::Cpu)?;
        let slopes = |activation: Activation| -> Result<Vec<f64>> {
            activation.forward(&x)?.sum_all()?.backward()?.get(&x).unwrap().to_vec1()
        };
        assert_eq!(slopes(Activation::Relu)?, [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(slopes(Activation::Elu(2.0))?[..2], [2.0, 2.0]);
        Ok(())
    }

    #[test]
    fn a_nan_stays_a_nan() -> Result<()> {
        for activation in ALL {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
            assert!(activation.value(f32::NAN).is_nan(), "{activation:?}");
        }
        Ok(())
    }
}
