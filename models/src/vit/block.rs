//! One encoder block: norm, attention, sum, norm, perceptron, sum.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Chain, EncoderLayers, Module, Part, VarBuilder};

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
    chain: Option<Chain>,
}

impl EncoderBlock {
    pub fn new(config: &ViTConfig, vb: VarBuilder) -> Result<Self> {
        let names = config.naming.block();
        let (size, inner, eps) = (config.hidden_size, config.intermediate_size, config.norm_eps);
        let block = Self {
            norm1: nn::layer_norm(size, eps, vb.pp(names.norm1))?,
            attention: Attention::new(config, &names, &vb)?,
            sum1: path(&vb, names.sum1),
            norm2: nn::layer_norm(size, eps, vb.pp(names.norm2))?,
            fc1: nn::linear(size, inner, vb.pp(names.fc1))?,
            act: config.activation.at(path(&vb, names.act)),
            fc2: nn::linear(inner, size, vb.pp(names.fc2))?,
            sum2: path(&vb, names.sum2),
            name: vb.prefix(),
            chain: None,
        };
        let chain = Chain::record(|chain| chain.encoder(chain.input(), &block.links()));
        Ok(Self { chain: chain.map(|chain| chain.shown_as(&block.name)), ..block })
    }

    /// The block as a chain takes it.
    fn links(&self) -> EncoderLayers<'_> {
        EncoderLayers {
            norm1: &self.norm1,
            qkv: self.attention.maps(),
            heads: self.attention.heads(),
            probabilities: self.attention.probabilities(),
            projection: self.attention.projection(),
            sum1: &self.sum1,
            norm2: &self.norm2,
            fc1: &self.fc1,
            act: &self.act,
            fc2: &self.fc2,
            sum2: &self.sum2,
        }
    }

    fn perceptron(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&self.act.forward(&self.fc1.forward(x)?)?)
    }
}

impl Part for EncoderBlock {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// `[N, T, D]` to `[N, T, D]`.
    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        let x = nn::add(x, &self.attention.forward(&self.norm1.forward(x)?)?, &self.sum1)?;
        let x = nn::add(&x, &self.perceptron(&self.norm2.forward(&x)?)?, &self.sum2)?;
        candlelight_core::tap(&self.name, &x)
    }
}
