//! The curves by candle's operations, for devices without our kernels.

use super::curve::{Curve, TANH_GELU};
use candle_core::{Result, Tensor};

impl Curve {
    /// [`value`](Self::value) by candle's operations.
    pub(super) fn value_by_candle(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => x.relu(),
            Self::Relu2 => x.relu()?.sqr(),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => x.gt(0.0)?.where_cond(x, &(x * slope)?),
            Self::Elu(alpha) => x.elu(alpha),
            Self::Gelu => x.gelu_erf(),
            Self::TanhGelu => x.gelu(),
            Self::Silu => x.silu(),
            Self::Mish => x * tanh_softplus(x)?,
            Self::HardSwish => x * hard_sigmoid(x)?,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => logistic(x),
            Self::HardSigmoid => hard_sigmoid(x),
        }
    }

    /// [`derivative`](Self::derivative) by candle's operations.
    pub(super) fn derivative_by_candle(self, x: &Tensor) -> Result<Tensor> {
        let positive = x.gt(0.0)?.to_dtype(x.dtype())?;
        match self {
            Self::Relu => Ok(positive),
            Self::Relu2 => positive * (x * 2.0)?,
            Self::Relu6 => positive * below(x, 6.0)?,
            Self::LeakyRelu(slope) => (positive * (1.0 - slope))? + slope,
            Self::Elu(alpha) => x.gt(0.0)?.where_cond(&x.ones_like()?, &(x.exp()? * alpha)?),
            Self::Gelu => {
                let distribution = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5;
                let density = (x.sqr()? * -0.5)?.exp()? * (1.0 / (2.0 * std::f64::consts::PI).sqrt());
                distribution? + (x * density?)?
            }
            Self::TanhGelu => tanh_gelu_derivative(x),
            Self::Silu => {
                let s = logistic(x)?;
                &s * (1.0 + (x * (1.0 - &s)?)?)?
            }
            Self::Mish => {
                let t = tanh_softplus(x)?;
                &t + (x * ((1.0 - t.sqr()?)? * logistic(x)?)?)?
            }
            Self::HardSwish => {
                let inside = (x.gt(-3.0)?.to_dtype(x.dtype())? * below(x, 3.0)?)?;
                (inside * (x.affine(1.0 / 3.0, 0.5))?)? + x.ge(3.0)?.to_dtype(x.dtype())?
            }
            Self::Tanh => 1.0 - x.tanh()?.sqr()?,
            Self::Sigmoid => {
                let s = logistic(x)?;
                &s * (1.0 - &s)?
            }
            Self::HardSigmoid => (x.gt(-3.0)?.to_dtype(x.dtype())? * below(x, 3.0)?)? / 6.0,
        }
    }
}

fn below(x: &Tensor, bound: f64) -> Result<Tensor> {
    x.lt(bound)?.to_dtype(x.dtype())
}

fn logistic(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

fn hard_sigmoid(x: &Tensor) -> Result<Tensor> {
    x.affine(1.0 / 6.0, 0.5)?.clamp(0.0, 1.0)
}

fn tanh_softplus(x: &Tensor) -> Result<Tensor> {
    (x.exp()? + 1.0)?.log()?.tanh()
}

fn tanh_gelu_derivative(x: &Tensor) -> Result<Tensor> {
    let square = x.sqr()?;
    let t = (x * square.affine(TANH_GELU.0 * TANH_GELU.1, TANH_GELU.0)?)?.tanh()?;
    let slope = square.affine(3.0 * TANH_GELU.0 * TANH_GELU.1, TANH_GELU.0)?;
    t.affine(0.5, 0.5)? + (((x * (1.0 - t.sqr()?)?)? * slope)? * 0.5)?
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::elements;
    use super::*;
    use candle_core::Device;

    /// candle's own erf is good to about 1e-10; everything else agrees to rounding.
    const TOLERANCE: f64 = 1e-9;

    pub(in super::super) const ALL: [Curve; 13] = [
        Curve::Relu,
        Curve::Relu2,
        Curve::Relu6,
        Curve::LeakyRelu(0.1),
        Curve::Elu(0.7),
        Curve::Gelu,
        Curve::TanhGelu,
        Curve::Silu,
        Curve::Mish,
        Curve::HardSwish,
        Curve::Tanh,
        Curve::Sigmoid,
        Curve::HardSigmoid,
    ];

    /// From −7 to 7, with every kink on it.
    fn grid() -> Vec<f64> {
        (-448..=448).map(|i| f64::from(i) / 64.0).chain([-0.0, 40.0, -40.0]).collect()
    }

    #[test]
    fn candles_operations_give_what_the_kernels_give() -> Result<()> {
        let x = Tensor::new(grid(), &Device::Cpu)?;
        for curve in ALL {
            let values = elements::map(&x, |v: f64| curve.value(v))?;
            let slopes = elements::map(&x, |v: f64| curve.derivative(v))?;
            for (a, b) in [(values, curve.value_by_candle(&x)?), (slopes, curve.derivative_by_candle(&x)?)] {
                let difference = (a - b)?.abs()?.max_all()?.to_scalar::<f64>()?;
                assert!(difference < TOLERANCE, "{curve:?}: {difference:e}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_nan_stays_a_nan() {
        for curve in ALL {
            assert!(curve.value(f64::NAN).is_nan(), "{curve:?}");
            assert!(curve.value(f32::NAN).is_nan(), "{curve:?}");
        }
    }
}
