//! What the maps of a layer have in common: their first principal component.

use super::{Asked, ClassActivation, Join, Maps, Weighting};
use crate::Result;
use crate::methods::layer::Wanted;
use candle_core::{DType, Device, Tensor};

/// How often the covariance is squared: an eigenvalue that is smaller by a share of 10⁻⁶ is gone after 2²⁵ powers.
const SQUARINGS: usize = 25;
/// Maps whose spread over space is a smaller share of their size are constant but for rounding.
const CONSTANT: f64 = 1e-7;

/// The first principal component of the maps Aₖ over space: A = X·v, X the maps less their means, v the direction of
/// their channels with the largest spread ([Muhammad and Yeasin 2020](https://arxiv.org/abs/2008.00299)). A component
/// has no sign of its own: here the channels' weights vₖ sum to a positive number.
///
/// It looks at no class and needs no gradient.
///
/// **When not to use it:** to explain a class. It shows what is conspicuous to the layer, whatever is asked; and of two
/// objects it may show one, or their difference.
pub type EigenCam = ClassActivation<Unweighted>;

/// The first principal component of gₖ·Aₖ over space, g = ∂f/∂Aₖ: [`HiResCam`](super::HiResCam) with what its channels
/// have in common in place of their sum
/// ([pytorch-grad-cam](https://github.com/jacobgil/pytorch-grad-cam/blob/master/pytorch_grad_cam/eigen_grad_cam.py); no
/// paper). Its sign is that of the sum.
///
/// **When not to use it:** to weigh evidence for against evidence against: zero is the mean over space, and not "nothing".
pub type EigenGradCam = ClassActivation<WeightedByGradient>;

/// The weighting of [`EigenCam`]: none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unweighted;

/// The weighting of [`EigenGradCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedByGradient;

impl Weighting for Unweighted {
    const NAME: &'static str = "eigen-cam";
    const WANTED: Wanted = Wanted::Activation;
    const JOIN: Join = Join::Principal;

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok(maps.activation().clone())
    }
}

impl Weighting for WeightedByGradient {
    const NAME: &'static str = "eigen-grad-cam";
    const JOIN: Join = Join::Principal;

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok((maps.gradient()? * maps.activation())?)
    }
}

/// The first principal component of maps `[N, C, h, w]`, `[N, 1, h, w]`; computed in double precision on the host.
pub(super) fn component(maps: &Tensor) -> Result<Tensor> {
    let (rows, channels, height, width) = maps.dims4()?;
    let flat =
        maps.reshape((rows, channels, height * width))?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let components = (0..rows).map(|row| of_one(&flat.get(row)?)).collect::<Result<Vec<_>>>()?;
    let component = Tensor::stack(&components, 0)?.reshape((rows, 1, height, width))?;
    Ok(component.to_dtype(maps.dtype())?.to_device(maps.device())?)
}

/// The same of one row, `[C, cells]` to `[cells]`.
fn of_one(maps: &Tensor) -> Result<Tensor> {
    let (channels, cells) = maps.dims2()?;
    let centred = maps.broadcast_sub(&maps.mean_keepdim(1)?)?;
    let transposed = centred.t()?.contiguous()?;
    if norm(&centred)? <= CONSTANT * norm(maps)? {
        return Ok(Tensor::zeros(cells, maps.dtype(), maps.device())?);
    }
    let direction = match cells <= channels {
        true => centred.matmul(&leading(transposed.matmul(&centred)?)?)?,
        false => leading(centred.matmul(&transposed)?)?,
    };
    let sign = if direction.sum_all()?.to_scalar::<f64>()? < 0.0 { -1.0 } else { 1.0 };
    let direction = (&direction * (sign / norm(&direction)?))?;
    Ok(transposed.matmul(&direction)?.squeeze(1)?)
}

/// The leading eigenvector of a covariance `[m, m]`, `[m, 1]`, of any length: a column of its high power.
fn leading(mut covariance: Tensor) -> Result<Tensor> {
    for _ in 0..SQUARINGS {
        covariance = (&covariance / covariance.abs()?.max_all()?.to_scalar::<f64>()?)?;
        covariance = covariance.matmul(&covariance)?;
    }
    let lengths = covariance.sqr()?.sum(0)?;
    Ok(covariance.narrow(1, lengths.argmax(0)?.to_scalar::<u32>()? as usize, 1)?.contiguous()?)
}

fn norm(x: &Tensor) -> Result<f64> {
    Ok(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maps of 3 channels and 2 x 2 cells, of rank one but for `rest`.
    fn maps(weights: [f64; 3], rest: f64) -> Result<Tensor> {
        let pattern = Tensor::new(&[[3.0f64, -1.0, 2.0, 0.0]], &Device::Cpu)?;
        let weights = Tensor::new(&weights, &Device::Cpu)?.reshape((3, 1))?;
        let other = Tensor::new(&[[0.0f64, 0.0, 0.0, 0.0], [0.5, 0.5, -0.5, -0.5], [0.0; 4]], &Device::Cpu)?;
        Ok(((weights.matmul(&pattern)? + (other * rest)?)? + 7.0)?.reshape((1, 3, 2, 2))?)
    }

    fn values(map: &Tensor) -> Result<Vec<f64>> {
        Ok(map.flatten_all()?.to_vec1()?)
    }

    #[test]
    fn maps_that_are_one_pattern_give_the_pattern_with_the_sign_of_their_sum() -> Result<()> {
        for (weights, sign) in [([2.0, 1.0, -2.0], 1.0), ([-2.0, -1.0, 2.0], -1.0)] {
            let found = values(&component(&maps(weights, 0.0)?)?)?;
            // The weights' length is 3, the pattern's mean 1.
            for (found, pattern) in found.iter().zip([3.0, -1.0, 2.0, 0.0]) {
                assert!((found - sign * 3.0 * (pattern - 1.0)).abs() < 1e-12, "{found}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_component_has_the_largest_spread_of_all_directions() -> Result<()> {
        let maps = maps([2.0, 1.0, -2.0], 6.0)?;
        let spread = |map: &Tensor| -> Result<f64> {
            let values = values(map)?;
            let mean = values.iter().sum::<f64>() / 4.0;
            Ok(values.iter().map(|value| (value - mean).powi(2)).sum())
        };
        let most = spread(&component(&maps)?)?;
        for step in 0..200 {
            let (a, b) = (f64::from(step) * 0.37, f64::from(step) * 0.61);
            let direction = [a.cos() * b.cos(), a.sin() * b.cos(), b.sin()];
            let weights = Tensor::new(&direction, &Device::Cpu)?.reshape((1, 3, 1, 1))?;
            assert!(spread(&maps.broadcast_mul(&weights)?.sum(1)?)? <= most + 1e-9);
        }
        Ok(())
    }

    #[test]
    fn constant_maps_have_none() -> Result<()> {
        let constant = Tensor::new(&[0.1f32, 0.7, -3.3], &Device::Cpu)?.reshape((1, 3, 1, 1))?;
        let map = component(&constant.broadcast_as((1, 3, 5, 5))?.contiguous()?)?;
        assert_eq!(map.flatten_all()?.to_vec1::<f32>()?, [0.0; 25]);
        Ok(())
    }
}
