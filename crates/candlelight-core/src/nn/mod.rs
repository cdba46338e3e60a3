//! Layers whose gradients are right: candle_nn's names and signatures, PyTorch's semantics.
//!
//! Write `use candlelight::nn::…` for `use candle_nn::…`, or `use candlelight::nn` for `use candle_nn as nn`, and the
//! model can be explained. Every layer
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
//! | softmax, layer norm, RMS norm, rope (fused) | no gradient, no error | gradient |
//! | GELU | constants rounded to six digits | exact |
//! | one-dimensional transposed convolution, bilinear upsampling | backward fails | works |
//! | leaky ReLU and hard sigmoid at a kink | mean of both sides | PyTorch's side |
//!
//! candle_nn's `attention`, `cpu_flash_attention`, `kv_cache`, `moe` and `ops::sdpa` are not here: they lose gradients
//! without an error ([`attention()`] has one).
//!
//! # Types
//! Single and double precision everywhere. Half precision ([`DType::F16`](candle_core::DType), `BF16`) is a way to store
//! weights and what passes between layers: on a CPU every layer computes in single and rounds what it gives.
//!
//! # What an import change cannot reach
//! [`Tensor`]'s own methods stay candle's.
//!
//! | method | its gradient | write instead |
//! |---|---|---|
//! | arithmetic, `matmul`, `sum`, `mean`, `sqr`, `exp`, `log`, `tanh`, `silu`, `elu`, shapes, `cat`, `index_select`, `gather` | right | |
//! | `broadcast_*`, `where_cond`, `to_dtype`, `conv1d` | right | |
//! | `sqrt`, `powf` | right; infinite at 0, as in PyTorch | |
//! | `relu`, `abs` | 1 at 0, PyTorch 0: matters for dead units and zero padding | [`relu`] |
//! | `clamp`, `maximum`, `minimum` | 1/2 where both agree; PyTorch 2.15 gives 0 at a bound of `clamp` | [`relu6`], [`hard_sigmoid`] |
//! | `max`, `min` | each of equal maxima gets all of it | |
//! | `gelu`, `gelu_erf` | to six digits | [`gelu_tanh`], [`gelu`] |
//! | `max_pool2d` | **wrong**: scaled by the share of maxima | [`MaxPool2d`] |
//! | `max_pool2d_with_stride`, `avg_pool2d_with_stride` | error, unless the stride is the size | [`MaxPool2d`], [`AvgPool2d`] |
//! | `avg_pool2d` | **wrong** where the size does not divide the map | [`AvgPool2d`] |
//! | `upsample_nearest2d`, `interpolate2d` and their 1d forms | **wrong** where the input is also used elsewhere (feature pyramids): it replaces what has been summed; error unless both factors are one whole number | [`Upsample::nearest`] |
//! | `upsample_bilinear2d` | error | [`Upsample::bilinear`] |
//! | `conv2d` | right, or an error on odd sizes with a stride | [`Conv2d`] |
//! | `conv_transpose1d` | error | [`ConvTranspose1d`] |
//! | `round`, `floor`, `sign`, `argmax`, comparisons | none, as in PyTorch | |
//! | `slice_set`, `scatter_set` and all that works in place | none, **without an error** | `cat`, `scatter` |
//!
//! Rules (LRP and its kin) need the layer's form of an activation: the method is invisible to them. The check
//! [`check_gradients`](crate::check_gradients) and the completeness residual of a path method show what was missed.

pub mod activation;
mod adaptive;
mod attention;
pub mod batch_norm;
mod chain;
mod chain_rules;
mod changed;
pub mod conv;
mod conv1d;
mod conv2d;
mod conv_maps;
mod conv_transpose;
mod convolution;
pub(crate) mod elements;
pub mod embedding;
mod encoder;
pub mod group_norm;
mod held;
pub mod layer_norm;
pub mod linear;
mod mean_exponential;
mod multiply;
mod normalise;
pub mod ops;
mod planes;
mod pool2d;
mod recorder;
mod resample;
pub mod rotary_emb;
mod ruled;
mod softmax;
mod upsample;
mod windows;

pub use activation::{
    Act, Activation, PReLU, elu, gelu, gelu_tanh, hard_sigmoid, hard_swish, leaky_relu, mish, prelu, relu,
    relu6, sigmoid, silu, tanh,
};
pub use adaptive::{AdaptiveAvgPool2d, AdaptiveMaxPool2d};
pub use attention::attention;
pub use batch_norm::{BatchNorm, batch_norm};
pub use candlelight_kernels::chain::{Subsample, Value};
pub use chain::{Chain, Part, run_parts};
pub use conv_transpose::{
    ConvTranspose1d, ConvTranspose2d, conv_transpose1d, conv_transpose1d_no_bias, conv_transpose2d,
    conv_transpose2d_no_bias,
};
pub use conv1d::{Conv1d, conv1d, conv1d_no_bias};
pub use conv2d::{Conv2d, conv2d, conv2d_no_bias};
pub use embedding::{Embedding, embedding};
pub use encoder::EncoderLayers;
pub use group_norm::{GroupNorm, group_norm};
pub use layer_norm::{LayerNorm, RmsNorm, layer_norm, layer_norm_no_bias, rms_norm};
pub use linear::{Linear, linear, linear_b, linear_no_bias};
pub(crate) use mean_exponential::mean_exponential;
pub use multiply::as_defined;
pub use ops::Dropout;
pub use pool2d::{AvgPool2d, Extent, GlobalAvgPool, MaxPool2d, Padded};
pub use recorder::Recorder;
pub use softmax::{softmax, softmax_last_dim};
pub use upsample::{Corners, Upsample};

// Nothing in these has a gradient of its own, or candle's is right.
pub use candle_nn::{
    AdamW, BatchNormConfig, Conv1dConfig, Conv2dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig, Func,
    FuncT, GRU, GRUConfig, Init, LSTM, LSTMConfig, LayerNormConfig, Module, ModuleT, Optimizer, ParamsAdamW,
    RNN, SGD, Sequential, VarBuilder, VarMap, encoding, func, func_t, gru, init, loss, lstm, optim, rnn,
    sampling, seq, sequential, var_builder, var_map,
};

use candle_core::{Result, Tensor};

/// What a layer joins to the graph: its input, its weight and, if it has one, its bias.
fn arguments<'a>(x: &'a Tensor, weight: &'a Tensor, bias: &'a Option<Tensor>) -> Vec<&'a Tensor> {
    [x, weight].into_iter().chain(bias).collect()
}

/// Which of input, weight and bias want a gradient.
fn tracked(x: &Tensor, weight: &Tensor, bias: &Option<Tensor>) -> [bool; 3] {
    [Some(x), Some(weight), bias.as_ref()].map(|tensor| tensor.is_some_and(Tensor::track_op))
}

/// Whether neither weight nor bias is trained.
fn is_frozen(weight: &Tensor, bias: &Option<Tensor>) -> bool {
    !weight.track_op() && !bias.as_ref().is_some_and(Tensor::track_op)
}

/// The residual add `a + b`, shown to the scope under `name`.
///
/// # Errors
/// If the shapes differ.
pub fn add(a: &Tensor, b: &Tensor, name: &str) -> Result<Tensor> {
    ruled::added(a, b, name)
}
