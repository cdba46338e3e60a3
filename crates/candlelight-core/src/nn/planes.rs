//! One scale and one shift per channel.

use super::elements::{computed, has_kernels, lend, with_element};
use candle_core::{Result, Tensor};
use candlelight_kernels as kernels;

/// `x · scale + shift` per channel of `x` `[N, channels, …]`.
pub(super) fn plane_affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let channels = x.dim(1)?;
    if channels != scale.elem_count() {
        candle_core::bail!("a norm of {} channels got an input of {channels}", scale.elem_count())
    }
    computed([x], |[x]| scaled(x, &scale.to_dtype(x.dtype())?, &shift.to_dtype(x.dtype())?))
}

/// `x · scale` per channel.
pub(super) fn plane_scale(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    plane_affine(x, scale, &scale.zeros_like()?)
}

fn scaled(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let (channels, area) = (x.dim(1)?, x.dims()[2..].iter().product());
    if !has_kernels(x) {
        let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { channels } else { 1 }).collect();
        return x.broadcast_mul(&scale.reshape(&shape[..])?)?.broadcast_add(&shift.reshape(&shape[..])?);
    }
    with_element!(x, T => {
        let (scale, shift) = (scale.to_vec1::<T>()?, shift.to_vec1::<T>()?);
        let y = lend(x, |x: &[T]| kernels::plane_affine(x, area, &scale, &shift))?;
        Tensor::from_vec(y, x.shape(), x.device())
    })
}

/// The sum over everything but the channels.
pub(super) fn sum_channels(x: &Tensor) -> Result<Tensor> {
    x.transpose(0, 1)?.contiguous()?.flatten_from(1)?.sum(1)
}
