//! Removed pixels from their neighbours.

use candle_core::{DType, Result, Tensor};

/// What a neighbour beside a pixel weighs.
const BESIDE: f64 = 1.0 / 6.0;
/// What one across weighs.
const ACROSS: f64 = 1.0 / 12.0;
/// The remainder at which the solution is taken, relative to the right side: well below what a model sees.
const REMAINDER: f64 = 1e-12;
/// Steps after which the remainder is looked at.
const LOOK: usize = 16;

/// `x`, `[N, C, H, W]`, with every pixel where `removed`, `[N, 1, H, W]`, is not zero replaced by the weighted mean of
/// its neighbours, all of them solved for together, each channel and row by itself.
///
/// With W the weights of neighbours inside the image and D their sum, D·u − W·u = W·x holds at the removed pixels, u
/// there and x elsewhere. W is symmetric and some pixel is left, so that conjugate gradients converge; they run in double
/// precision on the tensor's device.
pub(super) fn impute(x: &Tensor, removed: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = x.dims4()?;
    let planes = |x: &Tensor| x.to_dtype(DType::F64)?.reshape((n * channels, 1, height, width));
    let inside = planes(&removed.broadcast_as(x.shape())?.contiguous()?)?;
    let values = planes(x)?;
    let sums = neighbours(&inside.ones_like()?)?;
    let apply = |u: &Tensor| ((&sums * u)? - neighbours(u)?)? * &inside;
    let known = (&values * (1.0 - &inside)?)?;
    let right = (neighbours(&known)? * &inside)?;
    let found = (known + solve(apply, &right, height * width)?)?;
    let found = found.reshape(x.shape())?.to_dtype(x.dtype())?;
    removed.ne(0u8)?.broadcast_as(x.shape())?.where_cond(&found, x)
}

/// The weighted sum of every pixel's neighbours inside the image.
fn neighbours(planes: &Tensor) -> Result<Tensor> {
    let weights = [ACROSS, BESIDE, ACROSS, BESIDE, 0.0, BESIDE, ACROSS, BESIDE, ACROSS];
    planes.conv2d(&Tensor::new(&weights, planes.device())?.reshape((1, 1, 3, 3))?, 1, 1, 1, 1)
}

/// Conjugate gradients from zero, in at most `most` steps, for every row of `right` by itself.
fn solve(apply: impl Fn(&Tensor) -> Result<Tensor>, right: &Tensor, most: usize) -> Result<Tensor> {
    let dot = |a: &Tensor, b: &Tensor| (a * b)?.sum_keepdim((1, 2, 3));
    // What is solved has a remainder of 0, and divides by it.
    let ratio = |a: &Tensor, b: &Tensor| a / b.clamp(f64::MIN_POSITIVE, f64::MAX)?;
    let (mut solution, mut rest) = (right.zeros_like()?, right.clone());
    let (mut way, mut square) = (rest.clone(), dot(&rest, &rest)?);
    let enough = (&square * REMAINDER.powi(2))?;
    for step in 0..most {
        if step % LOOK == 0 && square.gt(&enough)?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? == 0.0
        {
            break;
        }
        let applied = apply(&way)?;
        let far = ratio(&square, &dot(&way, &applied)?)?;
        solution = (solution + way.broadcast_mul(&far)?)?;
        rest = (rest - applied.broadcast_mul(&far)?)?;
        let before = std::mem::replace(&mut square, dot(&rest, &rest)?);
        way = (&rest + way.broadcast_mul(&ratio(&square, &before)?)?)?;
    }
    Ok(solution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_lone_pixel_is_the_mean_of_its_neighbours_and_a_corner_has_three() -> Result<()> {
        let x = Tensor::new(&[[[[1.0f64, 2.0, 3.0], [4.0, 50.0, 6.0], [7.0, 8.0, 9.0]]]], &Device::Cpu)?;
        let lone = Tensor::new(&[[[[0u8, 0, 0], [0, 1, 0], [0, 0, 0]]]], &Device::Cpu)?;
        let middle = impute(&x, &lone)?.flatten_all()?.to_vec1::<f64>()?[4];
        assert!((middle - ((2.0 + 4.0 + 6.0 + 8.0) / 6.0 + (1.0 + 3.0 + 7.0 + 9.0) / 12.0)).abs() < 1e-12);
        let corner = Tensor::new(&[[[[1u8, 0, 0], [0, 0, 0], [0, 0, 0]]]], &Device::Cpu)?;
        let first = impute(&x, &corner)?.flatten_all()?.to_vec1::<f64>()?[0];
        assert!((first - ((2.0 + 4.0) / 6.0 + 50.0 / 12.0) / (2.0 / 6.0 + 1.0 / 12.0)).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn every_removed_pixel_is_the_mean_of_its_neighbours_in_every_channel() -> Result<()> {
        let x = Tensor::arange(0.0f64, 120.0, &Device::Cpu)?.sin()?.reshape((1, 2, 6, 10))?;
        let removed: Vec<u8> = (0..60).map(|pixel| u8::from(pixel % 7 > 1)).collect();
        let removed = Tensor::from_vec(removed, (1, 1, 6, 10), &Device::Cpu)?;
        let found = impute(&x, &removed)?;
        let planes = found.reshape((2, 1, 6, 10))?;
        let mean = (neighbours(&planes)? / neighbours(&planes.ones_like()?)?)?.reshape(x.shape())?;
        let off = ((found - mean)?.abs()?.broadcast_mul(&removed.to_dtype(DType::F64)?))?;
        assert!(off.flatten_all()?.max(0)?.to_scalar::<f64>()? < 1e-10);
        Ok(())
    }
}
