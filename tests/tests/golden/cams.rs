//! Grad-CAM as two peers have it.

use anyhow::Result;
use candle_core::{DType, Tensor};
use candlelight_core::{GradCam, bilinear};

use crate::methods::{Outputs, Setup};

/// What `pytorch-grad-cam` adds to the largest value before it divides by it.
const PEER_EPSILON: f64 = 1e-7;

pub fn captum(setup: &Setup) -> Result<Outputs> {
    let raw = raw(setup)?;
    let (height, width) = size(setup)?;
    let upsampled = bilinear(&raw.relu()?, height, width)?;
    Ok(vec![("raw".into(), raw), ("relu_upsampled".into(), upsampled)])
}

pub fn pytorch_grad_cam(setup: &Setup) -> Result<Outputs> {
    let raw = raw(setup)?;
    let (height, width) = size(setup)?;
    let resized = bilinear(&scaled(&raw.relu()?)?.to_dtype(DType::F32)?, height, width)?;
    let last = scaled(&resized.relu()?)?;
    Ok(vec![("raw".into(), raw.squeeze(1)?), ("final".into(), last.squeeze(1)?)])
}

fn raw(setup: &Setup) -> Result<Tensor> {
    Ok(setup.explain(&GradCam::at(setup.case.text("layer")?))?.values().clone())
}

fn size(setup: &Setup) -> Result<(usize, usize)> {
    let (_, _, height, width) = setup.x.dims4()?;
    Ok((height, width))
}

/// Every map less its smallest value, then over its largest one and [`PEER_EPSILON`]: the peer's `scale_cam_image`.
fn scaled(maps: &Tensor) -> Result<Tensor> {
    let (n, _, height, width) = maps.dims4()?;
    let flat = maps.reshape((n, height * width))?;
    let shifted = flat.broadcast_sub(&flat.min_keepdim(1)?)?;
    let scaled = shifted.broadcast_div(&(shifted.max_keepdim(1)? + PEER_EPSILON)?)?;
    Ok(scaled.reshape(maps.shape())?)
}
