//! Layers whose gradients are right: candle_nn's names and signatures, PyTorch's semantics.
//!
//! Write `use candlelight_core::nn` for `use candle_nn` and the model can be explained. Every layer
//!
//! - computes its output without tracking and brings its own pull-back ([`vjp`](crate::vjp)): for a frozen weight
//!   only the gradient of the input, for a tracked one also the weight's, so that models can be trained;
//! - reports to the scope under the name that its parameters have ([`VarBuilder::prefix`]), or under the name that
//!   `.at(name)` gives to a layer without parameters.
//!
//! | what | candle 0.11 | here |
//! |---|---|---|
//! | ReLU at 0 | gradient 1 | 0 |
//! | max pool | 2x2 scaled by 1/4, ties counted each; 3x3 stride 2 fails | 1 to the first maximum |
//! | average pool on odd sizes | leaks into the dropped row | nothing there |
//! | convolution with stride 2 on odd sizes | backward fails | works |
//! | softmax, layer norm (fused) | no gradient, no error | gradient |
//! | GELU | constants rounded to six digits | exact |

mod activation;
mod attention;
mod batch_norm;
mod chain;
mod conv2d;
mod elements;
mod encoder;
mod layer_norm;
mod linear;
mod pool2d;
mod softmax;
mod windows;

pub use activation::{Act, Activation, elu, gelu, relu, sigmoid, silu, tanh};
pub use attention::attention;
pub use batch_norm::{BatchNorm, batch_norm};
pub use candle_nn::{BatchNormConfig, Conv2dConfig, LayerNormConfig, Module, ModuleT, VarBuilder, VarMap};
pub use candlelight_kernels::chain::Value;
pub use chain::{Chain, Part, Recorder, run_parts};
pub use conv2d::{Conv2d, conv2d, conv2d_no_bias};
pub use encoder::EncoderLayers;
pub use layer_norm::{LayerNorm, layer_norm};
pub use linear::{Linear, linear, linear_b, linear_no_bias};
pub use pool2d::{AvgPool2d, Extent, GlobalAvgPool, MaxPool2d, Padded};
pub use softmax::softmax_last_dim;

use crate::scope::{Kind, report};
use candle_core::{Result, Tensor};

/// What a layer joins to the graph: its input, its weight and, if it has one, its bias.
fn arguments<'a>(x: &'a Tensor, weight: &'a Tensor, bias: &'a Option<Tensor>) -> Vec<&'a Tensor> {
    [x, weight].into_iter().chain(bias).collect()
}

/// Which of input, weight and bias want a gradient.
fn tracked(x: &Tensor, weight: &Tensor, bias: &Option<Tensor>) -> [bool; 3] {
    [Some(x), Some(weight), bias.as_ref()].map(|tensor| tensor.is_some_and(Tensor::track_op))
}

/// The residual add `a + b`, shown to the scope under `name`.
///
/// # Errors
/// If the shapes differ.
pub fn add(a: &Tensor, b: &Tensor, name: &str) -> Result<Tensor> {
    report(name, Kind::Add, 0, (a + b)?)
}
