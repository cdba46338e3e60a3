//! Layer normalisation.

use super::elements::{has_kernels, lend, with_element};
use super::linear::sum_rows;
use super::{LayerNormConfig, Module, VarBuilder, arguments};
use crate::scope::{Kind, report};
use crate::vjp::{Gradients, vjp_of_fresh};
use candle_core::{D, Result, Tensor};
use candlelight_kernels as kernels;

/// y = (x − mean) / √(variance + eps) · weight + bias over the last axis
/// ([Ba et al. 2016](https://arxiv.org/abs/1607.06450)).
///
/// # Shapes
/// Input and output `[…, features]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) eps: f64,
    pub(super) name: String,
}

impl LayerNorm {
    /// A layer with these parameters, both `[features]`.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias: Some(bias), eps, name: String::new() }
    }

    /// A layer without bias.
    pub fn new_no_bias(weight: Tensor, eps: f64) -> Self {
        Self { weight, bias: None, eps, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    fn pull_back(&self) -> impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Gradients> + Send + Sync + 'static {
        let (weight, eps) = (self.weight.detach(), self.eps);
        let trained = self.weight.track_op() || self.bias.as_ref().is_some_and(Tensor::track_op);
        move |x, standard, g| {
            let dx = standardize_gradient(x, &g.broadcast_mul(&weight)?, eps)?;
            if !trained {
                return Ok(vec![Some(dx)]);
            }
            Ok(vec![Some(dx), Some(sum_rows(&(g * standard)?)?), Some(sum_rows(g)?)])
        }
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let input = x.detach();
        let standard = standardize(&input, self.eps)?;
        let y = standard.broadcast_mul(&self.weight.detach())?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(&bias.detach())?,
            None => y,
        };
        let pull_back = self.pull_back();
        let pullback = move |_: &Tensor, g: &Tensor| pull_back(&input, &standard, g);
        let y = vjp_of_fresh(&arguments(x, &self.weight, &self.bias), y, pullback)?;
        report(&self.name, Kind::LayerNorm, 0, y)
    }
}

fn standardize(x: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if !has_kernels(x) {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        return centred.broadcast_div(&(centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?);
    }
    with_element!(x, T => {
        let y = lend(x, |x: &[T]| kernels::standardize(x, width, eps))?;
        Tensor::from_vec(y, x.shape(), x.device())
    })
}

fn standardize_gradient(x: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if !has_kernels(x) {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
        let standard = centred.broadcast_div(&deviation)?;
        let along = standard.broadcast_mul(&(g * &standard)?.mean_keepdim(D::Minus1)?)?;
        return (g.broadcast_sub(&g.mean_keepdim(D::Minus1)?)? - along)?.broadcast_div(&deviation);
    }
    with_element!(x, T => {
        let run = |x: &[T], g: &[T]| kernels::standardize_gradient(x, g, width, eps);
        Tensor::from_vec(lend(x, |x| lend(g, |g| run(x, g)))??, x.shape(), x.device())
    })
}

/// A layer with its parameters from `vb`: `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape, or if the configuration keeps the mean (an RMS norm).
pub fn layer_norm<C: Into<LayerNormConfig>>(size: usize, config: C, vb: VarBuilder) -> Result<LayerNorm> {
    let config = config.into();
    if !config.remove_mean {
        candle_core::bail!("`{}` is an RMS norm, which `layer_norm` does not build", vb.prefix())
    }
    let name = vb.prefix();
    let norm = candle_nn::layer_norm(size, config, vb)?;
    let (weight, bias) = (norm.weight().clone(), norm.bias().cloned());
    Ok(LayerNorm { weight, bias, eps: norm.eps(), name })
}
