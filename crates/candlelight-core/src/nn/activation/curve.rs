//! The elementwise functions behind the activations, with exact derivatives; at a kink the derivative is PyTorch's.

use super::super::elements::{self, Number, has_kernels, with_element, zip_map};
use crate::behind::vjp_behind;
use crate::rules::{Form, Rule, ratio};
use crate::scope::trace_of;
use candle_core::{Result, Tensor};
use candlelight_kernels::{self as kernels, Element};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Curve {
    Relu,
    Relu2,
    Relu6,
    LeakyRelu(f64),
    Elu(f64),
    Gelu,
    TanhGelu,
    Silu,
    Mish,
    HardSwish,
    Tanh,
    Sigmoid,
    HardSigmoid,
}

/// Where the hard sigmoid reaches 0 (at −3) and 1 (at 3).
const HARD: f64 = 3.0;

impl Curve {
    #[inline(always)]
    pub fn value<T: Element>(self, x: T) -> T {
        match self {
            Self::Relu | Self::Relu2 | Self::Relu6 if x <= T::ZERO => T::ZERO,
            Self::Relu => x,
            Self::Relu2 => x * x,
            Self::Relu6 if x >= T::from_f64(6.0) => T::from_f64(6.0),
            Self::Relu6 => x,
            Self::LeakyRelu(_) | Self::Elu(_) if x > T::ZERO => x,
            Self::LeakyRelu(slope) => T::from_f64(slope) * x,
            Self::Elu(alpha) => T::from_f64(alpha) * (x.exp() - T::ONE),
            Self::Gelu => kernels::gelu(x),
            Self::TanhGelu => T::from_f64(0.5) * x * (T::ONE + tanh_gelu_argument(x).tanh()),
            Self::Silu => x * logistic(x),
            Self::Mish => x * tanh_softplus(x),
            Self::HardSwish => x * hard_sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => logistic(x),
            Self::HardSigmoid => hard_sigmoid(x),
        }
    }

    #[inline(always)]
    pub fn derivative<T: Element>(self, x: T) -> T {
        match self {
            Self::Relu | Self::Relu2 | Self::Relu6 if x <= T::ZERO => T::ZERO,
            Self::Relu => T::ONE,
            Self::Relu2 => x + x,
            Self::Relu6 if x >= T::from_f64(6.0) => T::ZERO,
            Self::Relu6 => T::ONE,
            Self::LeakyRelu(_) | Self::Elu(_) if x > T::ZERO => T::ONE,
            Self::LeakyRelu(slope) => T::from_f64(slope),
            Self::Elu(alpha) => T::from_f64(alpha) * x.exp(),
            Self::Gelu => kernels::gelu_derivative(x),
            Self::TanhGelu => tanh_gelu_derivative(x),
            Self::Silu => logistic(x) * (T::ONE + x * (T::ONE - logistic(x))),
            Self::Mish => {
                let t = tanh_softplus(x);
                t + x * (T::ONE - t * t) * logistic(x)
            }
            Self::HardSwish | Self::HardSigmoid if x <= T::from_f64(-HARD) => T::ZERO,
            Self::HardSwish if x >= T::from_f64(HARD) => T::ONE,
            Self::HardSwish => x / T::from_f64(HARD) + T::from_f64(0.5),
            Self::Tanh => T::ONE - x.tanh() * x.tanh(),
            Self::Sigmoid => logistic(x) * (T::ONE - logistic(x)),
            Self::HardSigmoid if x >= T::from_f64(HARD) => T::ZERO,
            Self::HardSigmoid => T::ONE / T::from_f64(2.0 * HARD),
        }
    }

    /// [`value`](Self::value) of every element; one loop for each activation, so that none branches inside.
    fn values<T: Number>(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => elements::map(
                x,
                #[inline(always)]
                |x: T| Self::Relu.value(x),
            ),
            Self::Gelu => elements::map(
                x,
                #[inline(always)]
                |x: T| Self::Gelu.value(x),
            ),
            other => elements::map(
                x,
                #[inline(always)]
                move |x: T| other.value(x),
            ),
        }
    }

    /// `g` times the [`derivative`](Self::derivative) at every element of `x`.
    fn pull_back<T: Number>(self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => zip_map(
                x,
                g,
                #[inline(always)]
                |x: T, g: T| Self::Relu.derivative(x) * g,
            ),
            Self::Gelu => zip_map(
                x,
                g,
                #[inline(always)]
                |x: T, g: T| Self::Gelu.derivative(x) * g,
            ),
            other => zip_map(
                x,
                g,
                #[inline(always)]
                move |x: T, g: T| other.derivative(x) * g,
            ),
        }
    }

    /// What the curve is to a rule.
    pub fn form(self) -> Form {
        match self {
            Self::Relu | Self::Relu6 => Form::Rectifier,
            _ => Form::Curve,
        }
    }

    /// The curve over every element of `x`, joined to the graph; under a rule that fits its [`form`](Self::form), that
    /// is what passes back.
    pub fn apply(self, x: &Tensor, rule: Option<Rule>) -> Result<Tensor> {
        let input = x.detach();
        let trace = if rule == Some(Rule::RevealCancel) { trace_of(x) } else { None };
        let y = match has_kernels(&input) {
            true => with_element!(input, T => self.values::<T>(&input))?,
            false => self.value_by_candle(&input)?,
        };
        match rule {
            Some(Rule::Pass) => vjp_behind(x, y, move |_, g| self.passed_on(&input, g)),
            // Its output tells where it was open, so that nothing holds on to its input.
            None if self == Self::Relu => vjp_behind(x, y, move |y, g| self.gradient(&y.detach(), g)),
            Some(Rule::Rescale | Rule::RevealCancel) => {
                vjp_behind(x, y, move |_, g| self.rescaled(&input, trace.as_ref(), g))
            }
            Some(Rule::Guided) => vjp_behind(x, y, move |_, g| self.gradient(&input, &g.relu()?)),
            Some(Rule::Deconvnet) => vjp_behind(x, y, |_, g| g.relu()),
            _ => vjp_behind(x, y, move |_, g| self.gradient(&input, g)),
        }
    }

    /// What `y` is beyond the derivative at `x` times `x`; nothing of a curve that is straight on both sides of 0.
    pub fn beyond(self, x: &Tensor, y: &Tensor) -> Result<Option<Tensor>> {
        match self {
            Self::Relu | Self::LeakyRelu(_) => Ok(None),
            _ => (y - self.gradient(x, x)?).map(Some),
        }
    }

    /// The signal of inputs `x` that get the relevance of their outputs: g · c(f(x)) / c(x).
    fn passed_on(self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        if !has_kernels(x) {
            return ratio::signal(&ratio::relevance(&self.value_by_candle(x)?, g)?, x);
        }
        with_element!(x, T => match self {
            Self::Relu => zip_map(x, g, #[inline(always)] |x: T, g: T| g * ratio::slope(Self::Relu.value(x), x)),
            other => zip_map(x, g, #[inline(always)] move |x: T, g: T| g * ratio::slope(other.value(x), x)),
        })
    }

    /// `g` times the derivative at every element of `x`, by kernels or by candle.
    fn gradient(self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        match has_kernels(x) {
            true => with_element!(x, T => self.pull_back::<T>(x, g)),
            false => g * self.derivative_by_candle(x)?,
        }
    }
}

#[inline(always)]
fn hard_sigmoid<T: Element>(x: T) -> T {
    if x <= T::from_f64(-HARD) {
        T::ZERO
    } else if x >= T::from_f64(HARD) {
        T::ONE
    } else {
        (x + T::from_f64(HARD)) / T::from_f64(2.0 * HARD)
    }
}

#[inline(always)]
fn logistic<T: Element>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// tanh(ln(1 + eˣ)) without the logarithm, and from that exponential which cannot overflow.
#[inline(always)]
fn tanh_softplus<T: Element>(x: T) -> T {
    let two = T::ONE + T::ONE;
    if x > T::ZERO {
        let m = (-x).exp();
        let numerator = T::ONE + two * m;
        numerator / (numerator + two * m * m)
    } else {
        let numerator = x.exp() * (x.exp() + two);
        numerator / (numerator + two)
    }
}

/// √(2/π) and the factor of the cube in GELU's tanh form.
pub(super) const TANH_GELU: (f64, f64) =
    (std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2, 0.044_715);

#[inline(always)]
fn tanh_gelu_argument<T: Element>(x: T) -> T {
    T::from_f64(TANH_GELU.0) * (x + T::from_f64(TANH_GELU.1) * x * x * x)
}

#[inline(always)]
fn tanh_gelu_derivative<T: Element>(x: T) -> T {
    let half = T::from_f64(0.5);
    let t = tanh_gelu_argument(x).tanh();
    let slope = T::from_f64(TANH_GELU.0) * (T::ONE + T::from_f64(3.0 * TANH_GELU.1) * x * x);
    half * (T::ONE + t) + half * x * (T::ONE - t * t) * slope
}
