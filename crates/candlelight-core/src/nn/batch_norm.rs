//! Batch normalisation.

use super::elements::{has_kernels, lend, with_element};
use super::{BatchNormConfig, ModuleT, VarBuilder};
use crate::scope::{Kind, report};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};
use candlelight_kernels as kernels;

/// y = (x − mean) / √(variance + eps) · weight + bias per channel
/// ([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)): with the running statistics, or in training with
/// those of the batch. As in candle_nn it is a [`ModuleT`]: `x.apply_t(&norm, false)`.
///
/// # Shapes
/// Input and output `[N, channels, …]`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    inner: candle_nn::BatchNorm,
    name: String,
}

impl BatchNorm {
    fn is_trained(&self) -> bool {
        self.inner.weight_and_bias().is_some_and(|(weight, bias)| weight.track_op() || bias.track_op())
    }

    /// The affine map that the frozen layer is: y = x · scale + shift.
    fn affine(&self) -> Result<(Tensor, Tensor)> {
        let deviation = (self.inner.running_var().detach() + self.inner.eps())?.sqrt()?;
        let mean = self.inner.running_mean().detach();
        let (scale, bias) = match self.inner.weight_and_bias() {
            Some((weight, bias)) => ((weight.detach() / deviation)?, bias.detach()),
            None => (deviation.recip()?, mean.zeros_like()?),
        };
        let shift = (bias - (mean * &scale)?)?;
        Ok((scale, shift))
    }

    fn forward_frozen(&self, x: &Tensor) -> Result<Tensor> {
        let (scale, shift) = self.affine()?;
        let y = plane_affine(&x.detach(), &scale, &shift)?;
        vjp_of_fresh(&[x], y, move |_, g| Ok(vec![Some(plane_affine(g, &scale, &scale.zeros_like()?)?)]))
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = match (train, self.is_trained()) {
            (true, _) => self.inner.forward_train(x)?,
            (false, true) => self.inner.forward_t(x, false)?,
            (false, false) => self.forward_frozen(x)?,
        };
        report(&self.name, Kind::BatchNorm, 0, y)
    }
}

fn plane_affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let (channels, area) = (x.dim(1)?, x.dims()[2..].iter().product());
    if channels != scale.elem_count() {
        candle_core::bail!("a batch norm of {} channels got an input of {channels}", scale.elem_count())
    }
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

/// A layer with its parameters from `vb`: `running_mean`, `running_var`, `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn batch_norm<C: Into<BatchNormConfig>>(channels: usize, config: C, vb: VarBuilder) -> Result<BatchNorm> {
    let name = vb.prefix();
    Ok(BatchNorm { inner: candle_nn::batch_norm(channels, config, vb)?, name })
}
