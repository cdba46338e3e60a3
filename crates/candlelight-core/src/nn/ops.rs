//! candle_nn's `ops`: functions for layers without a name.
//!
//! `sdpa` is missing on purpose: candle's has no gradient, and [`attention`](super::attention) has one.

pub use super::activation::{hard_sigmoid, leaky_relu, mish, sigmoid, silu};
pub use super::softmax::{softmax, softmax_last_dim};
// Their gradients by candle are right.
pub use candle_nn::ops::{
    Dropout, Identity, dropout, log_softmax, pixel_shuffle, pixel_unshuffle, replication_pad2d,
};

use super::{Activation, LayerNorm, Module, RmsNorm};
use candle_core::{Result, Tensor};

/// [`Activation::Swiglu`] as a function.
///
/// # Errors
/// If the last axis is odd.
pub fn swiglu(x: &Tensor) -> Result<Tensor> {
    Activation::Swiglu.forward(x)
}

/// `gamma` times [`Activation::Elu`] ([paper](https://arxiv.org/abs/1706.02515)).
///
/// # Errors
/// If candle fails.
pub fn selu(x: &Tensor, alpha: f32, gamma: f32) -> Result<Tensor> {
    Activation::Elu(f64::from(alpha)).forward(x)? * f64::from(gamma)
}

/// [`LayerNorm`] as a function: `weight` and `bias` are `[features]`.
///
/// # Errors
/// If the features differ.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    LayerNorm::new(weight.clone(), bias.clone(), f64::from(eps)).forward(x)
}

/// [`layer_norm`] under candle_nn's name for the variant that has a gradient.
///
/// # Errors
/// If the features differ.
pub fn layer_norm_slow(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    layer_norm(x, weight, bias, eps)
}

/// [`RmsNorm`] as a function: `weight` is `[features]`.
///
/// # Errors
/// If the features differ.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    RmsNorm::new(weight.clone(), f64::from(eps)).forward(x)
}

/// [`rms_norm`] under candle_nn's name for the variant that has a gradient.
///
/// # Errors
/// If the features differ.
pub fn rms_norm_slow(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    rms_norm(x, weight, eps)
}
