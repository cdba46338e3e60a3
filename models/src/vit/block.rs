//! One encoder block: norm, attention, sum, norm, perceptron, sum.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Module, VarBuilder};

use super::ViTConfig;
use super::attention::Attention;
use crate::path;

/// An encoder block with its weights.
#[derive(Clone, Debug)]
pub(super) struct EncoderBlock {
    norm1: nn::LayerNorm,
    attention: Attention,
    sum1: String,
    norm2: nn::LayerNorm,
    fc1: nn::Linear,
    act: nn::Act,
    fc2: nn::Linear,
    sum2: String,
    name: String,
}

impl EncoderBlock {
    pub fn new(config: &ViTConfig, vb: VarBuilder) -> Result<Self> {
        let names = config.naming.block();
        let (size, inner, eps) = (config.hidden_size, config.intermediate_size, config.norm_eps);
        Ok(Self {
            norm1: nn::layer_norm(size, eps, vb.pp(names.norm1))?,
            attention: Attention::new(config, &names, &vb)?,
            sum1: path(&vb, names.sum1),
            norm2: nn::layer_norm(size, eps, vb.pp(names.norm2))?,
            fc1: nn::linear(size, inner, vb.pp(names.fc1))?,
            act: config.activation.at(path(&vb, names.act)),
            fc2: nn::linear(inner, size, vb.pp(names.fc2))?,
            sum2: path(&vb, names.sum2),
            name: vb.prefix(),
        })
    }

    /// `[N, T, D]` to `[N, T, D]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = nn::add(x, &self.attention.forward(&self.norm1.forward(x)?)?, &self.sum1)?;
        let x = nn::add(&x, &self.perceptron(&self.norm2.forward(&x)?)?, &self.sum2)?;
        candlelight_core::tap(&self.name, &x)
    }

    fn perceptron(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&self.act.forward(&self.fc1.forward(x)?)?)
    }
}
