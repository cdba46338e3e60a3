//! (1 − e⁻ᵗ) / t, the mean of e⁻ˢ over s from 0 to t.

use super::elements::{has_kernels, map, with_element};
use candle_core::{Result, Tensor};
use candlelight_kernels::Element;

/// Below which t the series is taken: its ninth term is under the rounding of 1 there, and the quotient above loses no
/// more than a digit.
const SERIES_BELOW: f64 = 0.05;
/// Terms of the series Σ (−t)ᵏ / (k + 1)!, from the last to the first but one.
const DIVISORS: [f64; 8] = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0];

/// (1 − e⁻ᵗ) / t for every t ≥ 0; 1 at 0.
pub(crate) fn mean_exponential(t: &Tensor) -> Result<Tensor> {
    match has_kernels(t) {
        true => with_element!(t, T => map(t, |t: T| of_one(t))),
        false => by_candle(t),
    }
}

#[inline(always)]
fn of_one<T: Element>(t: T) -> T {
    if t < T::from_f64(SERIES_BELOW) {
        return DIVISORS.iter().fold(T::ONE, |sum, &k| T::ONE - t * sum / T::from_f64(k));
    }
    (T::ONE - (-t).exp()) / t
}

fn by_candle(t: &Tensor) -> Result<Tensor> {
    let ones = t.ones_like()?;
    let series = DIVISORS.iter().try_fold(ones.clone(), |sum, &k| &ones - ((t * sum)? / k)?)?;
    let is_small = t.lt(SERIES_BELOW)?;
    let quotient = ((1.0 - t.neg()?.exp()?)? / is_small.where_cond(&ones, t)?)?;
    is_small.where_cond(&series, &quotient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn it_is_the_mean_of_the_exponential_at_every_scale() -> Result<()> {
        let t: Vec<f64> = vec![0.0, 1e-300, 1e-12, 1e-3, 0.0499999, 0.05, 0.3, 2.0, 40.0, 900.0];
        let expected = |t: f64| if t == 0.0 { 1.0 } else { -(-t).exp_m1() / t };
        let tensor = Tensor::new(&t[..], &Device::Cpu)?;
        for found in [mean_exponential(&tensor)?, by_candle(&tensor)?] {
            for (found, &t) in found.to_vec1::<f64>()?.into_iter().zip(&t) {
                assert!((found / expected(t) - 1.0).abs() < 1e-14, "{t}: {found}");
            }
        }
        Ok(())
    }
}
