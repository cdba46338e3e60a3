//! `config.json` of transformers' `ResNetForImageClassification` and `ViTForImageClassification`.

use serde::Deserialize;
use serde_json::Value;

use super::spec::{activation, keys};
use crate::resnet::{self, Block, ResNetConfig, Shortcut, Stage, Stem};
use crate::vit::{self, QkvBias, ViTConfig};
use crate::{Error, Result};

/// The classes of a configuration that names neither labels nor their number, as in transformers.
const DEFAULT_CLASSES: usize = 2;

#[derive(Deserialize)]
#[serde(default)]
struct ResNetKeys {
    num_channels: usize,
    embedding_size: usize,
    hidden_sizes: Vec<usize>,
    depths: Vec<usize>,
    layer_type: String,
    hidden_act: String,
    downsample_in_first_stage: bool,
    downsample_in_bottleneck: bool,
    num_labels: Option<usize>,
}

impl Default for ResNetKeys {
    fn default() -> Self {
        Self {
            num_channels: 3,
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: "bottleneck".to_string(),
            hidden_act: "relu".to_string(),
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
            num_labels: None,
        }
    }
}

pub(super) fn resnet(config: &Value, classes: Option<usize>) -> Result<ResNetConfig> {
    let keys: ResNetKeys = keys(config)?;
    if keys.hidden_sizes.len() != keys.depths.len() {
        return Err(Error::bad("depths", "has not as many entries as `hidden_sizes`"));
    }
    Ok(ResNetConfig {
        naming: resnet::Naming::HuggingFace,
        in_channels: keys.num_channels,
        stem: Stem::Plain,
        stem_channels: keys.embedding_size,
        stages: keys.stages()?,
        shortcut: Shortcut::Conv,
        activation: activation(&keys.hidden_act)?,
        norm_eps: 1e-5,
        classes: classes.or(keys.num_labels).unwrap_or(DEFAULT_CLASSES),
    })
}

impl ResNetKeys {
    fn stages(&self) -> Result<Vec<Stage>> {
        let block = self.block()?;
        let stride = |i| if i == 0 && !self.downsample_in_first_stage { 1 } else { 2 };
        let pairs = self.depths.iter().zip(&self.hidden_sizes).enumerate();
        Ok(pairs
            .map(|(i, (&depth, &channels))| Stage { block, depth, channels, stride: stride(i) })
            .collect())
    }

    fn block(&self) -> Result<Block> {
        match (self.layer_type.as_str(), self.downsample_in_bottleneck) {
            ("basic", _) => Ok(Block::Basic),
            ("bottleneck", false) => Ok(Block::Bottleneck),
            ("bottleneck", true) => Ok(Block::BottleneckV1),
            (other, _) => {
                Err(Error::bad("layer_type", format!("is `{other}`; known are `basic` and `bottleneck`")))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct ViTKeys {
    num_channels: usize,
    image_size: Side,
    patch_size: Side,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    qkv_bias: bool,
    num_labels: Option<usize>,
}

/// One number for a square, or height and width.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Side {
    Square(usize),
    Pair([usize; 2]),
}

impl Side {
    pub fn pair(self) -> (usize, usize) {
        match self {
            Self::Square(side) => (side, side),
            Self::Pair([height, width]) => (height, width),
        }
    }

    /// The side of a patch, which must be square.
    pub fn square(self) -> Result<usize> {
        match self.pair() {
            (height, width) if height == width => Ok(height),
            (height, width) => {
                Err(Error::bad("patch_size", format!("is `{height}x{width}`: patches must be square")))
            }
        }
    }
}

impl Default for ViTKeys {
    fn default() -> Self {
        Self {
            num_channels: 3,
            image_size: Side::Square(224),
            patch_size: Side::Square(16),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_string(),
            layer_norm_eps: 1e-12,
            qkv_bias: true,
            num_labels: None,
        }
    }
}

pub(super) fn vit(config: &Value, classes: Option<usize>) -> Result<ViTConfig> {
    let keys: ViTKeys = keys(config)?;
    Ok(ViTConfig {
        naming: vit::Naming::HuggingFace,
        image_size: keys.image_size.pair(),
        patch_size: keys.patch_size.square()?,
        in_channels: keys.num_channels,
        hidden_size: keys.hidden_size,
        layers: keys.num_hidden_layers,
        heads: keys.num_attention_heads,
        intermediate_size: keys.intermediate_size,
        norm_eps: keys.layer_norm_eps,
        qkv_bias: qkv_bias(keys.qkv_bias),
        activation: activation(&keys.hidden_act)?,
        classes: classes.or(keys.num_labels).unwrap_or(DEFAULT_CLASSES),
    })
}

pub(super) fn qkv_bias(present: bool) -> QkvBias {
    if present { QkvBias::Present } else { QkvBias::Absent }
}
