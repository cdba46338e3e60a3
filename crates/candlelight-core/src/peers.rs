//! What peers do to maps before they hand them out, for those who compare numbers.
//!
//! Maps here keep sign and scale. These functions make of them what a peer returns.

use crate::{Result, bilinear};
use candle_core::{DType, Tensor};

/// What pytorch-grad-cam adds to the largest value before it divides by it.
const EPSILON: f64 = 1e-7;

/// What pytorch-grad-cam 1.5 returns for a class activation map of these layers: of each the positive part,
/// [scaled](scale_cam_image), resized bilinearly in single precision; then their mean, scaled once more.
///
/// # Shapes
/// Maps `[N, 1, h, w]`, one of each layer, to `[N, 1, height, width]`, float32.
///
/// # Errors
/// If there is no map, or one has another shape.
pub fn pytorch_grad_cam(layers: &[Tensor], height: usize, width: usize) -> Result<Tensor> {
    let resized = layers.iter().map(|map| {
        let scaled = scale_cam_image(&map.relu()?)?.to_dtype(DType::F32)?;
        Ok(bilinear(&scaled, height, width)?.relu()?)
    });
    let resized = Tensor::cat(&resized.collect::<Result<Vec<_>>>()?, 1)?;
    scale_cam_image(&resized.mean_keepdim(1)?)
}

/// pytorch-grad-cam's function of this name: every map less its smallest value, then over its largest one and 10⁻⁷.
/// The smallest is subtracted even where it is no background.
///
/// # Shapes
/// Maps `[N, …]` to the same shape.
///
/// # Errors
/// If candle fails.
pub fn scale_cam_image(maps: &Tensor) -> Result<Tensor> {
    let flat = maps.flatten_from(1)?;
    let shifted = flat.broadcast_sub(&flat.min_keepdim(1)?)?;
    let scaled = shifted.broadcast_div(&(shifted.max_keepdim(1)? + EPSILON)?)?;
    Ok(scaled.reshape(maps.shape())?)
}
