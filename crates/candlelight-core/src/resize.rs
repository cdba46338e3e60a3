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
    let (_, _, h, w) = map.dims4()?;
    if h == 0 || w == 0 {
        candle_core::bail!("a map of {h}x{w} cannot be resized")
    }
    if (h, w) == (height, width) && placement == Placement::even(h, w) {
        return Ok(map.clone());
    }
    interpolate(map, &weights(placement.rows, h, height)?, &weights(placement.columns, w, width)?)
}

/// As [`place`], with what a cell holds shared out among the pixels near it: the sum of the map stays, except for cells
/// of a map that is finer than the image.
///
/// # Shapes
/// `[N, C, h, w]` to `[N, C, height, width]`.
///
/// # Errors
/// If `map` has another rank.
pub(crate) fn spread(map: &Tensor, placement: Placement, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, h, w) = map.dims4()?;
    let shares = |axis, from, to| {
        let weights = weights(axis, from, to)?;
        let sums = weights.sum_keepdim(0)?;
        weights.broadcast_div(&(&sums + sums.eq(0.0)?.to_dtype(DType::F64)?)?)
    };
    interpolate(map, &shares(placement.rows, h, height)?, &shares(placement.columns, w, width)?)
}

/// Both axes of `map` brought to other sizes by matrices `[to, from]`.
fn interpolate(map: &Tensor, rows: &Tensor, columns: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = map.dims4()?;
    let (height, width) = (rows.dim(0)?, columns.dim(0)?);
    let rows = rows.to_dtype(map.dtype())?.to_device(map.device())?;
    let columns = columns.to_dtype(map.dtype())?.to_device(map.device())?;
    let map = map.contiguous()?;
    let wide = map.reshape((n * c * h, w))?.matmul(&columns.t()?)?.reshape((n * c, h, width))?;
    let full = wide.transpose(1, 2)?.contiguous()?.reshape((n * c * width, h))?.matmul(&rows.t()?)?;
    full.reshape((n * c, width, height))?.transpose(1, 2)?.contiguous()?.reshape((n, c, height, width))
}

/// How a map is brought to another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upsampling {
    /// Bilinear between cells that lie where they look ([`place`]).
    #[default]
    Placed,
    /// Bilinear between cells that tile the image ([`bilinear`]).
    Tiled,
    /// Bilinear between cells of which the outermost lie on the image's outermost pixels (PyTorch's
    /// `align_corners=True`): pytorch-grad-cam's masks of Score-CAM.
    Corners,
    /// The nearest of cells that tile the image: Captum's Guided Grad-CAM.
    Nearest,
}

impl Upsampling {
    /// Brings `map` to another size; `placement` says where its cells look, if they do not tile the image.
    ///
    /// # Shapes
    /// `[N, C, h, w]` to `[N, C, height, width]`.
    ///
    /// # Errors
    /// If `map` has another rank or an empty side.
    pub fn resize(
        self,
        map: &Tensor,
        placement: Option<Placement>,
        height: usize,
        width: usize,
    ) -> Result<Tensor> {
        let (_, _, h, w) = map.dims4()?;
        match self {
            Self::Placed => place(map, placement.unwrap_or(Placement::even(h, w)), height, width),
            Self::Tiled => bilinear(map, height, width),
            Self::Corners => {
                let corners = Placement { rows: corners(h, height), columns: corners(w, width) };
                place(map, corners, height, width)
            }
            Self::Nearest => {
                let of = |from: usize, to: usize| -> Vec<u32> {
                    (0..to).map(|pixel| (pixel * from / to) as u32).collect()
                };
                let index = |from, to| Tensor::new(of(from, to), map.device());
                map.index_select(&index(h, height)?, 2)?.index_select(&index(w, width)?, 3)
            }
        }
    }
}

/// Cells of which the outermost lie on the outermost pixels.
fn corners(cells: usize, pixels: usize) -> Axis {
    let cells_per_pixel = cells.saturating_sub(1) as f64 / pixels.saturating_sub(1).max(1) as f64;
    Axis { density: cells_per_pixel * pixels as f64, offset: cells_per_pixel / 2.0 }
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
    fn corners_lie_on_corners_and_the_nearest_cell_is_taken_whole() -> Result<()> {
        let map = Tensor::new(&[[[[0.0f64, 3.0]]]], &Device::Cpu)?;
        let row = |how: Upsampling| how.resize(&map, None, 1, 4)?.flatten_all()?.to_vec1::<f64>();
        for (found, expected) in row(Upsampling::Corners)?.into_iter().zip([0.0, 1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(row(Upsampling::Nearest)?, [0.0, 0.0, 3.0, 3.0]);
        assert_eq!(row(Upsampling::Tiled)?, row(Upsampling::Placed)?);
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
