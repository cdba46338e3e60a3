//! timm's configurations: those of the hub, which name an architecture, and those that spell one out.

use serde::Deserialize;
use serde_json::Value;

use super::hugging_face::{Side, qkv_bias};
use super::spec::{Spec, keys};
use crate::resnet::{Block, ResNetConfig, Shortcut, Stage, Stem};
use crate::vgg::VggConfig;
use crate::vit::{ViTConfig, Width};
use crate::{Error, Result};

/// What a hub configuration adds to the name of the architecture.
#[derive(Deserialize)]
struct HubKeys {
    #[serde(default = "imagenet_classes")]
    num_classes: usize,
    global_pool: Option<String>,
    #[serde(default)]
    pretrained_cfg: Pretrained,
}

/// What is known about the training.
#[derive(Default, Deserialize)]
struct Pretrained {
    input_size: Option<[usize; 3]>,
}

fn imagenet_classes() -> usize {
    1000
}

/// The model of a hub configuration; `None` for an architecture that is not built in.
pub(super) fn named(name: &str, config: &Value) -> Result<Option<Spec>> {
    let keys: HubKeys = keys(config)?;
    let name = name.split('.').next().unwrap_or(name);
    if let Some(resnet) = named_resnet(name, &keys) {
        return Ok(Some(Spec::ResNet(resnet)));
    }
    if let Some(vgg) = named_vgg(name, &keys) {
        return Ok(Some(Spec::Vgg(vgg)));
    }
    let Some(vit) = named_vit(name, &keys) else { return Ok(None) };
    class_token(keys.global_pool.as_deref().unwrap_or("token"))?;
    Ok(Some(Spec::ViT(vit)))
}

/// `resnet18` to `resnet152`; a `d` at the end is the deep stem with pooled shortcuts.
fn named_resnet(name: &str, keys: &HubKeys) -> Option<ResNetConfig> {
    let plain = name.strip_suffix('d').unwrap_or(name);
    let (block, depths) = match plain.strip_prefix("resnet")? {
        "18" => (Block::Basic, [2, 2, 2, 2]),
        "34" => (Block::Basic, [3, 4, 6, 3]),
        "26" => (Block::Bottleneck, [2, 2, 2, 2]),
        "50" => (Block::Bottleneck, [3, 4, 6, 3]),
        "101" => (Block::Bottleneck, [3, 4, 23, 3]),
        "152" => (Block::Bottleneck, [3, 8, 36, 3]),
        _ => return None,
    };
    let mut config = ResNetConfig::imagenet(block, depths, keys.num_classes);
    config.in_channels = keys.pretrained_cfg.input_size.map_or(3, |size| size[0]);
    if plain != name {
        (config.stem, config.shortcut) = (Stem::Deep { width: 32 }, Shortcut::PoolConv);
    }
    Some(config)
}

/// `vgg11` to `vgg19`; `_bn` at the end has batch norms.
fn named_vgg(name: &str, keys: &HubKeys) -> Option<VggConfig> {
    let plain = name.strip_suffix("_bn").unwrap_or(name);
    let depths = match plain.strip_prefix("vgg")? {
        "11" => [1, 1, 2, 2, 2],
        "13" => [2, 2, 2, 2, 2],
        "16" => [2, 2, 3, 3, 3],
        "19" => [2, 2, 4, 4, 4],
        _ => return None,
    };
    Some(VggConfig {
        in_channels: keys.pretrained_cfg.input_size.map_or(3, |size| size[0]),
        norm_eps: (plain != name).then_some(1e-5),
        ..VggConfig::imagenet(depths, keys.num_classes)
    })
}

/// `vit_base_patch16_224` and the like; the numbers are patch and image size.
fn named_vit(name: &str, keys: &HubKeys) -> Option<ViTConfig> {
    let mut parts = name.split('_');
    let family = parts.next()?;
    let width = match parts.next()? {
        "tiny" => Width::TINY,
        "small" => Width::SMALL,
        "base" => Width::BASE,
        "large" => Width::LARGE,
        _ => return None,
    };
    let patch = parts.next()?.strip_prefix("patch")?.parse().ok()?;
    let side: usize = parts.next()?.parse().ok()?;
    if parts.next().is_some() || !["vit", "deit"].contains(&family) {
        return None;
    }
    let [channels, height, columns] = keys.pretrained_cfg.input_size.unwrap_or([3, side, side]);
    let config = ViTConfig::timm((height, columns), patch, width, keys.num_classes);
    Some(ViTConfig { in_channels: channels, ..config })
}

fn class_token(pool: &str) -> Result<()> {
    match pool {
        "token" => Ok(()),
        other => Err(Error::bad("global_pool", format!("is `{other}`; a vit is read with `token` only"))),
    }
}

/// A ResNet that is spelled out.
#[derive(Deserialize)]
struct ResNetKeys {
    block: OneOrMany,
    channels: Vec<usize>,
    layers: Vec<usize>,
    num_classes: usize,
    stem_channels: usize,
    #[serde(default)]
    stem_type: String,
    #[serde(default)]
    stem_width: usize,
    #[serde(default)]
    avg_down: bool,
    input_size: Option<[usize; 3]>,
}

/// One kind of block for all stages, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn at(&self, stage: usize) -> Result<Block> {
        let name = match self {
            Self::One(name) => Some(name),
            Self::Many(names) => names.get(stage),
        };
        match name.map(String::as_str) {
            Some("BasicBlock") => Ok(Block::Basic),
            Some("Bottleneck") => Ok(Block::Bottleneck),
            _ => Err(Error::bad("block", "must be `BasicBlock` or `Bottleneck` for every stage")),
        }
    }
}

pub(super) fn described_resnet(config: &Value) -> Result<ResNetConfig> {
    let keys: ResNetKeys = keys(config)?;
    if keys.channels.len() != keys.layers.len() {
        return Err(Error::bad("layers", "has not as many entries as `channels`"));
    }
    let stem = match keys.stem_type.starts_with("deep") {
        true => Stem::Deep { width: keys.stem_width },
        false => Stem::Plain,
    };
    Ok(ResNetConfig {
        in_channels: keys.input_size.map_or(3, |size| size[0]),
        stem,
        stem_channels: keys.stem_channels,
        stages: keys.stages()?,
        shortcut: if keys.avg_down { Shortcut::PoolConv } else { Shortcut::Conv },
        ..ResNetConfig::imagenet(Block::Basic, [0; 4], keys.num_classes)
    })
}

impl ResNetKeys {
    /// `channels` are those inside a bottleneck, as timm counts.
    fn stages(&self) -> Result<Vec<Stage>> {
        let stage = |(i, (&depth, &planes)): (usize, (&usize, &usize))| {
            let block = self.block.at(i)?;
            let channels = if block == Block::Basic { planes } else { planes.saturating_mul(4) };
            Ok(Stage { block, depth, channels, stride: if i == 0 { 1 } else { 2 } })
        };
        self.layers.iter().zip(&self.channels).enumerate().map(stage).collect()
    }
}

/// A transformer that is spelled out.
#[derive(Deserialize)]
struct ViTKeys {
    img_size: Side,
    patch_size: Side,
    embed_dim: usize,
    depth: usize,
    num_heads: usize,
    num_classes: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "yes")]
    qkv_bias: bool,
    #[serde(default = "yes")]
    class_token: bool,
    #[serde(default)]
    global_pool: Option<String>,
}

fn mlp_ratio() -> f64 {
    4.0
}

fn layer_norm_eps() -> f64 {
    1e-6
}

fn yes() -> bool {
    true
}

pub(super) fn described_vit(config: &Value) -> Result<ViTConfig> {
    let keys: ViTKeys = keys(config)?;
    class_token(if keys.class_token { keys.global_pool.as_deref().unwrap_or("token") } else { "avg" })?;
    let width = Width { hidden_size: keys.embed_dim, layers: keys.depth, heads: keys.num_heads };
    let config = ViTConfig::timm(keys.img_size.pair(), keys.patch_size.square()?, width, keys.num_classes);
    Ok(ViTConfig {
        intermediate_size: (keys.embed_dim as f64 * keys.mlp_ratio) as usize,
        norm_eps: keys.layer_norm_eps,
        qkv_bias: qkv_bias(keys.qkv_bias),
        ..config
    })
}
