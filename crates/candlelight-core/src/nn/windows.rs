//! Pools by candle's own operations, for devices without our kernels: one strided slice per window element.

use candle_core::{D, DType, Result, Tensor};
use candlelight_kernels::Pool2d;

/// For every element of the window the input values under it, `[N, C, oh, ow]`; padding is worth `fill`.
fn slices(pool: &Pool2d, x: &Tensor, fill: f64) -> Result<Vec<Tensor>> {
    let padded = pad(pool, x, fill)?;
    let (kh, kw) = pool.window.kernel;
    let at = |k: usize| {
        let rows = indices(pool.output.0, pool.window.stride.0, k / kw, x)?;
        let columns = indices(pool.output.1, pool.window.stride.1, k % kw, x)?;
        padded.index_select(&rows, 2)?.index_select(&columns, 3)
    };
    (0..kh * kw).map(at).collect()
}

/// The transpose of [`slices`]: adds every slice back where it came from.
fn unslice(pool: &Pool2d, slices: impl Iterator<Item = Result<Tensor>>, like: &Tensor) -> Result<Tensor> {
    let mut sum = pad(pool, &like.zeros_like()?, 0.0)?;
    let (height, width) = (sum.dim(2)?, sum.dim(3)?);
    for (k, slice) in slices.enumerate() {
        let rows = indices(pool.output.0, pool.window.stride.0, k / pool.window.kernel.1, like)?;
        let columns = indices(pool.output.1, pool.window.stride.1, k % pool.window.kernel.1, like)?;
        let slice = slice?;
        let (n, c, oh, _) = slice.dims4()?;
        let wide =
            Tensor::zeros((n, c, oh, width), like.dtype(), like.device())?.index_add(&columns, &slice, 3)?;
        let full = Tensor::zeros((n, c, height, width), like.dtype(), like.device())?;
        sum = (sum + full.index_add(&rows, &wide, 2)?)?;
    }
    let (top, left) = pool.window.padding;
    sum.narrow(2, top, pool.input.0)?.narrow(3, left, pool.input.1)
}

fn indices(places: usize, stride: usize, offset: usize, like: &Tensor) -> Result<Tensor> {
    let indices: Vec<u32> = (0..places).map(|place| (place * stride + offset) as u32).collect();
    Tensor::new(indices, like.device())
}

/// Pads to the last element that a window reaches.
fn pad(pool: &Pool2d, x: &Tensor, fill: f64) -> Result<Tensor> {
    let reach = |places: usize, stride: usize, kernel: usize| (places.max(1) - 1) * stride + kernel;
    let bottom = reach(pool.output.0, pool.window.stride.0, pool.window.kernel.0);
    let right = reach(pool.output.1, pool.window.stride.1, pool.window.kernel.1);
    let (top, left) = pool.window.padding;
    let x = pad_axis(x, D::Minus2, top, bottom.saturating_sub(top + pool.input.0), fill)?;
    pad_axis(&x, D::Minus1, left, right.saturating_sub(left + pool.input.1), fill)
}

fn pad_axis(x: &Tensor, axis: D, before: usize, after: usize, fill: f64) -> Result<Tensor> {
    let block = |size: usize| {
        let mut shape = x.dims().to_vec();
        let rank = shape.len();
        shape[rank - if matches!(axis, D::Minus1) { 1 } else { 2 }] = size;
        Tensor::full(fill, shape, x.device())?.to_dtype(x.dtype())
    };
    Tensor::cat(&[block(before)?, x.clone(), block(after)?], axis)
}

/// The largest element of each window, by candle's operations.
pub(super) fn max(pool: &Pool2d, x: &Tensor) -> Result<Tensor> {
    let slices = slices(pool, x, f64::NEG_INFINITY)?;
    slices[1..].iter().try_fold(slices[0].clone(), |best, slice| best.maximum(slice))
}

/// The gradient of [`max`]: to the first slice that equals the maximum.
pub(super) fn max_gradient(pool: &Pool2d, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Tensor> {
    let mut open = y.ones_like()?.to_dtype(DType::U8)?;
    let shares = slices(pool, x, f64::NEG_INFINITY)?.into_iter().map(|slice| {
        let won = (slice.eq(y)? * &open)?;
        open = (&open - &won)?;
        won.to_dtype(g.dtype())? * g
    });
    unslice(pool, shares, x)
}

/// The sum of each window times `weights` `[oh, ow]`, by candle's operations.
pub(super) fn average(pool: &Pool2d, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let slices = slices(pool, x, 0.0)?;
    let sum = slices[1..].iter().try_fold(slices[0].clone(), |sum, slice| sum + slice)?;
    sum.broadcast_mul(weights)
}

/// The gradient of [`average`].
pub(super) fn average_gradient(pool: &Pool2d, x: &Tensor, weights: &Tensor, g: &Tensor) -> Result<Tensor> {
    let share = g.broadcast_mul(weights)?;
    let elements = pool.window.kernel.0 * pool.window.kernel.1;
    unslice(pool, (0..elements).map(|_| Ok(share.clone())), x)
}
