//! The slope of an activation between two points: what DeepLIFT's Rescale rule puts in place of the derivative.

use super::super::elements::{Number, has_kernels, with_element, zip_map};
use super::curve::Curve;
use crate::rules::pair::{Pair, both};
use crate::rules::reveal_cancel;
use crate::scope::Trace;
use candle_core::{Result, Tensor};
use candlelight_kernels::Element;

/// Offsets of the outer nodes of the three-point Gauss-Legendre rule, in units of the interval: √(3/5) / 2. Their
/// weights are 5/18, that of the middle 8/18.
const NODE: f64 = 0.387_298_334_620_741_7;

/// Below which gap the slope is the mean of the derivative, by that rule, and not the quotient. The rule is off by about
/// gap⁶ · 1.4e-4 (the sixth derivative of tanh′ at 0, over 2 016 000), the quotient by the rounding of a value over the
/// gap; here both meet, at 1e-14 and 3e-7.
fn near<T: Element>() -> T {
    T::from_f64(if size_of::<T>() == size_of::<f32>() { 0.37 } else { 0.02 })
}

impl Curve {
    /// (f(x) − f(r)) / (x − r), and the derivative where both are one; without the cancellation of a quotient of small
    /// differences.
    #[inline(always)]
    pub fn secant<T: Element>(self, x: T, r: T) -> T {
        let gap = x - r;
        if gap == T::ZERO {
            return self.derivative(x);
        }
        let is_near = gap < near() && -gap < near();
        if is_near && self.is_smooth_between(x, r) {
            return self.mean_derivative(x, r);
        }
        (self.value(x) - self.value(r)) / gap
    }

    /// The mean of the derivative between two near points.
    #[inline(always)]
    fn mean_derivative<T: Element>(self, x: T, r: T) -> T {
        let (middle, step) = (T::from_f64(0.5) * (x + r), T::from_f64(NODE) * (x - r));
        let outer = self.derivative(middle - step) + self.derivative(middle + step);
        (T::from_f64(5.0) * outer + T::from_f64(8.0) * self.derivative(middle)) / T::from_f64(18.0)
    }

    /// Whether both points lie on one side of every kink.
    #[inline(always)]
    fn is_smooth_between<T: Element>(self, x: T, r: T) -> bool {
        self.kinks().iter().all(|&kink| {
            let kink = T::from_f64(kink);
            (x > kink && r > kink) || (x < kink && r < kink)
        })
    }

    /// Where the derivative jumps, or has one formula on the left and another on the right.
    fn kinks(self) -> &'static [f64] {
        match self {
            Self::Relu | Self::Relu2 | Self::LeakyRelu(_) | Self::Elu(_) => &[0.0],
            Self::Relu6 => &[0.0, 6.0],
            Self::HardSwish | Self::HardSigmoid => &[-3.0, 3.0],
            Self::Gelu | Self::TanhGelu | Self::Silu | Self::Mish | Self::Tanh | Self::Sigmoid => &[],
        }
    }

    /// The signal before the activation of a batch of pairs, for that behind it: times the slope from reference to input;
    /// where the layer is known that made the batch, times the slopes over what raised and what lowered it.
    pub(super) fn rescaled(self, batch: &Tensor, made_by: Option<&Trace>, g: &Tensor) -> Result<Tensor> {
        let (batch, g) = (Pair::of(batch)?, Pair::of(g)?.x);
        let Some(Trace { affine, input, .. }) = made_by else {
            return both(&(self.secants(&batch.x, &batch.reference)? * g)?);
        };
        let parts = reveal_cancel::parts(affine, &input.detach())?;
        reveal_cancel::activation(&batch.reference, &parts, &g, |x, r| self.secants(x, r))
    }

    /// [`secant`](Self::secant) of every pair of elements.
    pub(super) fn secants(self, x: &Tensor, r: &Tensor) -> Result<Tensor> {
        match has_kernels(x) {
            true => with_element!(x, T => self.secants_by_kernel::<T>(x, r)),
            false => self.secants_by_candle(x, r),
        }
    }

    /// One loop for the most frequent activation, so that it does not branch inside.
    fn secants_by_kernel<T: Number>(self, x: &Tensor, r: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => zip_map(
                x,
                r,
                #[inline(always)]
                |x: T, r: T| Self::Relu.secant(x, r),
            ),
            other => zip_map(
                x,
                r,
                #[inline(always)]
                move |x: T, r: T| other.secant(x, r),
            ),
        }
    }

    fn secants_by_candle(self, x: &Tensor, r: &Tensor) -> Result<Tensor> {
        let gap = (x - r)?;
        let apart = gap.ne(0.0)?;
        let quotient = ((self.value_by_candle(x)? - self.value_by_candle(r)?)?
            / apart.where_cond(&gap, &gap.ones_like()?)?)?;
        let is_near = gap.abs()?.lt(near_of(x))?.mul(&self.smooth_by_candle(x, r)?)?;
        let (middle, step) = (((x + r)? * 0.5)?, (&gap * NODE)?);
        let outer = (self.derivative_by_candle(&(&middle - &step)?)?
            + self.derivative_by_candle(&(&middle + &step)?)?)?;
        let mean = ((outer * 5.0)? + (self.derivative_by_candle(&middle)? * 8.0)?)? / 18.0;
        let slope = is_near.where_cond(&mean?, &quotient)?;
        apart.where_cond(&slope, &self.derivative_by_candle(x)?)
    }

    fn smooth_by_candle(self, x: &Tensor, r: &Tensor) -> Result<Tensor> {
        let all = x.ones_like()?.to_dtype(candle_core::DType::U8)?;
        self.kinks().iter().try_fold(all, |all, &kink| {
            let (above, below) = (x.gt(kink)?.mul(&r.gt(kink)?)?, x.lt(kink)?.mul(&r.lt(kink)?)?);
            all.mul(&above.add(&below)?)
        })
    }
}

/// [`near`] for a tensor; half precision counts as single.
fn near_of(x: &Tensor) -> f64 {
    if x.dtype() == candle_core::DType::F64 { near::<f64>() } else { f64::from(near::<f32>()) }
}

#[cfg(test)]
mod tests {
    use super::super::by_candle::tests::ALL;
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    /// Rounding of a few operations on values of some units.
    const TOLERANCE: f64 = 1e-12;
    /// What the slope of a tiny gap may be off: see [`near`].
    const SLOPE_TOLERANCE: f64 = 2e-13;

    /// Points on both sides of every kink, far apart, near, nearer than rounding, and equal.
    fn pairs() -> Vec<(f64, f64)> {
        let places = [-7.0, -3.0, -1.3, -1e-9, 0.0, 1e-9, 0.4, 2.9999, 3.0, 5.9999999, 6.0, 9.0];
        let gaps = [0.0, 1e-15, -1e-12, 1e-7, -1e-3, 0.0199, 0.0201, -0.5, 4.0, -11.0];
        places.iter().flat_map(|&r| gaps.iter().map(move |&gap| (r + gap, r))).collect()
    }

    #[test]
    fn the_slope_times_the_gap_is_the_change() {
        for curve in ALL {
            for (x, r) in pairs() {
                let missing = curve.secant(x, r) * (x - r) - (curve.value(x) - curve.value(r));
                assert!(missing.abs() < TOLERANCE, "{curve:?} from {r} to {x}: {missing:e}");
            }
        }
    }

    #[test]
    fn the_slope_of_a_tiny_gap_is_the_derivative() {
        for curve in ALL {
            for place in [-4.1f64, -1.3, 0.4, 1.7, 7.5] {
                for gap in [0.0, 1e-15, -1e-13, 1e-11] {
                    let missing = curve.secant(place + gap, place) - curve.derivative(place);
                    assert!(missing.abs() < 2e-11, "{curve:?} at {place} + {gap}: {missing:e}");
                }
            }
        }
    }

    #[test]
    fn the_slope_does_not_jump_where_its_formula_changes() {
        for curve in ALL {
            let slope = |gap: f64| curve.secant(0.7 + gap, 0.7);
            let jump = slope(0.02 * (1.0 + 1e-14)) - slope(0.02 * (1.0 - 1e-14));
            assert!(jump.abs() < SLOPE_TOLERANCE, "{curve:?}: {jump:e}");
        }
    }

    #[test]
    fn candles_operations_give_the_same_slopes() -> Result<()> {
        let (x, r): (Vec<f64>, Vec<f64>) =
            pairs().into_iter().filter(|(x, r)| x == r || (x - r).abs() > 1e-4).unzip();
        let (x, r) = (Tensor::new(x, &Device::Cpu)?, Tensor::new(r, &Device::Cpu)?);
        for curve in ALL {
            let apart = (curve.secants(&x, &r)? - curve.secants_by_candle(&x, &r)?)?;
            let apart = apart.abs()?.max_all()?.to_scalar::<f64>()?;
            // candle's erf is good to 1e-10, over gaps of 1e-3 and more.
            assert!(apart < 1e-6, "{curve:?}: {apart:e}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_relu_in_single_precision_never_leaves_the_range_of_its_slopes(x in -2f32..2.0, gap in -1e-6f32..1e-6) {
            let slope = Curve::Relu.secant(x, x + gap);
            prop_assert!((0.0..=1.0).contains(&slope));
        }
    }
}
