//! Multi-head self-attention, with its three maps stored apart or fused.

use candle_core::{Result, Tensor};
use candle_nn::init;
use candlelight_core::nn::{self, Module, VarBuilder};

use super::naming::{BlockNames, Qkv, Storage};
use super::{QkvBias, ViTConfig};
use crate::path;

/// Attention between the tokens of one image.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    query: nn::Linear,
    key: nn::Linear,
    value: nn::Linear,
    projection: nn::Linear,
    heads: usize,
    probabilities: String,
}

impl Attention {
    pub fn new(config: &ViTConfig, names: &BlockNames, vb: &VarBuilder) -> Result<Self> {
        let size = config.hidden_size;
        let [query, key, value] = maps(config, &names.qkv, vb)?;
        let projection = nn::linear(size, size, vb.pp(names.projection))?;
        Ok(Self {
            query,
            key,
            value,
            projection,
            heads: config.heads,
            probabilities: path(vb, names.probabilities),
        })
    }

    /// Queries, keys and values.
    pub fn maps(&self) -> [&nn::Linear; 3] {
        [&self.query, &self.key, &self.value]
    }

    pub fn heads(&self) -> usize {
        self.heads
    }

    /// What the probabilities are shown as.
    pub fn probabilities(&self) -> &str {
        &self.probabilities
    }

    /// The map behind the attention.
    pub fn projection(&self) -> &nn::Linear {
        &self.projection
    }

    /// `[N, T, D]` to `[N, T, D]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (q, k, v) = (self.split(&self.query, x)?, self.split(&self.key, x)?, self.split(&self.value, x)?);
        let scale = 1.0 / (q.dim(3)? as f64).sqrt();
        let mixed = nn::attention(&q, &k, &v, scale, &self.probabilities)?;
        let joined = mixed.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
        self.projection.forward(&joined)
    }

    /// `[N, T, D]` to `[N, heads, T, D / heads]`.
    fn split(&self, map: &nn::Linear, x: &Tensor) -> Result<Tensor> {
        let (n, tokens, size) = x.dims3()?;
        let y = map.forward(x)?.reshape((n, tokens, self.heads, size / self.heads))?;
        y.transpose(1, 2)?.contiguous()
    }
}

fn maps(config: &ViTConfig, qkv: &Qkv, vb: &VarBuilder) -> Result<[nn::Linear; 3]> {
    let [q, k, v] = qkv.layers;
    match qkv.storage {
        Storage::Split => Ok([map(config, vb.pp(q))?, map(config, vb.pp(k))?, map(config, vb.pp(v))?]),
        Storage::Fused(name) => {
            let fused = Fused::get(config, &vb.pp(name))?;
            Ok([fused.map(0, path(vb, q))?, fused.map(1, path(vb, k))?, fused.map(2, path(vb, v))?])
        }
    }
}

fn map(config: &ViTConfig, vb: VarBuilder) -> Result<nn::Linear> {
    let size = config.hidden_size;
    match config.qkv_bias {
        QkvBias::Present => nn::linear(size, size, vb),
        QkvBias::Absent => nn::linear_no_bias(size, size, vb),
    }
}

/// The three maps in one tensor. Slices are views, so a `VarMap` behind them still trains.
struct Fused {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Fused {
    fn get(config: &ViTConfig, vb: &VarBuilder) -> Result<Self> {
        let size = config.hidden_size;
        let weight = vb.get_with_hints((3 * size, size), "weight", init::DEFAULT_KAIMING_NORMAL)?;
        let bias = match config.qkv_bias {
            QkvBias::Present => Some(vb.get_with_hints(3 * size, "bias", init::ZERO)?),
            QkvBias::Absent => None,
        };
        Ok(Self { weight, bias })
    }

    /// The layer of rows `index * size` and following.
    fn map(&self, index: usize, name: String) -> Result<nn::Linear> {
        let size = self.weight.dim(1)?;
        let rows = |fused: &Tensor| fused.narrow(0, index * size, size);
        let bias = self.bias.as_ref().map(rows).transpose()?;
        Ok(nn::Linear::new(rows(&self.weight)?, bias).at(name))
    }
}
