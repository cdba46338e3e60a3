//! Resizing of maps.

use crate::{Axis, Placement};
use candle_core::{DType, Device, Result, Tensor};

/// Bilinear interpolation with half-pixel centres (PyTorch's `align_corners=False` without antialiasing, OpenCV's
/// `INTER_LINEAR`): as peers resize, wherever the cells lie.
///
/// # Shapes
/// `[N, C, h, w]` to `[N, C, height, width]`.
///
/// # Errors
/// If `map` has another rank or an empty side.
pub fn bilinear(map: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, h, w) = map.dims4()?;
    place(map, Placement::even(h, w), height, width)
}

/// Bilinear interpolation between cells that lie as `placement` says.
///
/// # Shapes
/// `[N, C, h, w]` to `[N, C, height, width]`.
///
/// # Errors
/// If `map` has another rank or an empty side.
pub fn place(map: &Tensor, placement: Placement, height: usize, width: usize) -> Result<Tensor> {
    let (n, c, h, w) = map.dims4()?;
    if h == 0 || w == 0 {
        candle_core::bail!("a map of {h}x{w} cannot be resized")
    }
    if (h, w) == (height, width) && placement == Placement::even(h, w) {
        return Ok(map.clone());
    }
    let rows = weights(placement.rows, h, height)?.to_dtype(map.dtype())?.to_device(map.device())?;
    let columns = weights(placement.columns, w, width)?.to_dtype(map.dtype())?.to_device(map.device())?;
    let wide = map.reshape((n * c * h, w))?.matmul(&columns.t()?)?.reshape((n * c, h, width))?;
    let full = wide.transpose(1, 2)?.contiguous()?.reshape((n * c * width, h))?.matmul(&rows.t()?)?;
    full.reshape((n * c, width, height))?.transpose(1, 2)?.contiguous()?.reshape((n, c, height, width))
}

/// The `[to, from]` matrix that interpolates along one axis.
fn weights(axis: Axis, from: usize, to: usize) -> Result<Tensor> {
    let mut weights = vec![0.0; to * from];
    for (pixel, row) in weights.chunks_exact_mut(from).enumerate() {
        let (low, high, share) = axis.between(from, pixel, to);
        row[low] += 1.0 - share;
        row[high] += share;
    }
    Tensor::from_vec(weights, (to, from), &Device::Cpu)?.to_dtype(DType::F64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_and_middle_are_interpolated_from_pixel_centres() -> Result<()> {
        let map = Tensor::new(&[[[[0.0f64, 1.0]]]], &Device::Cpu)?;
        assert_eq!(
            bilinear(&map, 2, 4)?.flatten_all()?.to_vec1::<f64>()?,
            [0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]
        );
        Ok(())
    }

    #[test]
    fn a_constant_map_stays_constant() -> Result<()> {
        let map = Tensor::full(3.0f64, (1, 2, 5, 4), &Device::Cpu)?;
        let resized = bilinear(&map, 9, 11)?;
        assert!((resized.max_all()?.to_scalar::<f64>()? - 3.0).abs() < 1e-12);
        Ok(())
    }
}
