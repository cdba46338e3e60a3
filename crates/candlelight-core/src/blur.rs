//! Gaussian blur.

use crate::{Error, Result};
use candle_core::{D, Tensor};

/// Standard deviations after which the bell is cut off: scipy's and most others' choice.
const CUT: f64 = 4.0;

/// `row`, `[C, …]`, convolved along every axis but the first with a bell of standard deviation `sigma` in pixels, cut
/// off at four of them. Beyond its edges the row is mirrored, the edge pixel repeated: `scipy.ndimage.gaussian_filter`.
pub(crate) fn blur(row: &Tensor, sigma: f64) -> Result<Tensor> {
    check_sigma("blur", sigma)?;
    (1..row.rank()).try_fold(row.clone(), |row, axis| {
        let last = row.transpose(axis, D::Minus1)?.contiguous()?;
        let (length, shape) = (row.dims()[axis], last.shape().clone());
        let weights = Tensor::from_vec(matrix(length, sigma), (length, length), row.device())?;
        let blurred = last.reshape(((), length))?.matmul(&weights.to_dtype(row.dtype())?.t()?)?;
        Ok(blurred.reshape(shape)?.transpose(axis, D::Minus1)?.contiguous()?)
    })
}

/// Refuses what is no standard deviation.
pub(crate) fn check_sigma(setting: &'static str, sigma: f64) -> Result<()> {
    match sigma.is_finite() && sigma >= 0.0 {
        true => Ok(()),
        false => Err(Error::Setting {
            setting,
            value: sigma.to_string(),
            expected: "a standard deviation that is finite and not negative",
        }),
    }
}

/// Row i has the share of every pixel in the blurred pixel i.
fn matrix(length: usize, sigma: f64) -> Vec<f64> {
    let bell = bell(sigma);
    let radius = (bell.len() / 2) as i64;
    let mut matrix = vec![0.0; length * length];
    for i in 0..length {
        for (k, weight) in bell.iter().enumerate() {
            matrix[i * length + mirrored(i as i64 + k as i64 - radius, length)] += weight;
        }
    }
    matrix
}

/// The bell at whole numbers, with sum 1.
fn bell(sigma: f64) -> Vec<f64> {
    let radius = (CUT * sigma + 0.5) as i64;
    let height = |k: i64| if k == 0 { 1.0 } else { (-0.5 * (k as f64 / sigma).powi(2)).exp() };
    let bell: Vec<f64> = (-radius..=radius).map(height).collect();
    let sum: f64 = bell.iter().sum();
    bell.into_iter().map(|height| height / sum).collect()
}

/// The pixel that is seen at `at` when the axis is mirrored at both its edges, again and again.
fn mirrored(at: i64, length: usize) -> usize {
    let length = length as i64;
    let within = at.rem_euclid(2 * length);
    (if within < length { within } else { 2 * length - 1 - within }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Rounding of double precision.
    const EXACT: f64 = 1e-15;

    #[test]
    fn a_blurred_line_is_that_of_scipy() -> Result<()> {
        // scipy.ndimage.gaussian_filter1d([0, 0, 1, 0, 4], 0.5) and the same with sigma 0.
        let bell = bell(0.5);
        let row = Tensor::new(&[[0.0, 0.0, 1.0, 0.0, 4.0]], &Device::Cpu)?;
        let found = blur(&row, 0.5)?.to_vec2::<f64>()?;
        // The bell reaches two pixels; beyond the last one the line goes on with 4, 0.
        let expected = 4.0 * (bell[2] + bell[3]) + bell[0];
        assert!((found[0][4] - expected).abs() < 4.0 * EXACT, "{found:?}");
        assert_eq!(blur(&row, 0.0)?.to_vec2::<f64>()?, row.to_vec2::<f64>()?);
        Ok(())
    }

    #[test]
    fn blur_keeps_the_sum_of_every_channel_and_mirrors_beyond_both_edges() -> Result<()> {
        let row = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?;
        for sigma in [0.3, 1.0, 20.0] {
            let sums = |x: &Tensor| -> Result<Vec<f64>> { Ok(x.flatten_from(1)?.sum(1)?.to_vec1()?) };
            for (a, b) in sums(&blur(&row, sigma)?)?.iter().zip(sums(&row)?) {
                assert!((a - b).abs() < 1e-12 * b.abs(), "{sigma}: {a} for {b}");
            }
        }
        let seen: Vec<usize> = (-5..8).map(|at| mirrored(at, 3)).collect();
        assert_eq!(seen, [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        Ok(())
    }
}
