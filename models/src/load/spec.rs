//! Which model a `config.json` describes.

use candlelight_core::nn::Activation;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::source::CONFIG;
use super::{cifar, hugging_face, timm};
use crate::resnet::{Block, ResNetConfig};
use crate::vgg::VggConfig;
use crate::vit::ViTConfig;
use crate::{Error, Result};

/// What messages list when nothing fits.
const KNOWN: &[&str] = &[
    "`model_type` `resnet` and `vit`",
    "timm's `architecture` `resnet18` to `resnet152` (also with `d`), `vgg11` to `vgg19` (also with `_bn`), `vit_*` and \
     `deit_*_patch*`",
    "`kind` `cifar_resnet` and `lenet`",
];

/// The largest count, in channels, blocks or pixels, that a configuration may name.
const LARGEST: usize = 1 << 20;

/// A model without its weights.
#[derive(Clone, Debug)]
pub(super) enum Spec {
    LeNet { classes: usize },
    ResNet(ResNetConfig),
    Vgg(VggConfig),
    ViT(ViTConfig),
}

impl Spec {
    /// The model that `config` describes; `classes` are known from its labels, or not.
    pub fn of(config: &Value, classes: Option<usize>) -> Result<Self> {
        let text = |key| config.get(key).and_then(Value::as_str);
        let spec = match (text("model_type"), text("kind"), text("timm"), text("architecture")) {
            (Some("resnet"), ..) => Self::ResNet(hugging_face::resnet(config, classes)?),
            (Some("vit"), ..) => Self::ViT(hugging_face::vit(config, classes)?),
            (Some(other), ..) => return Err(unknown(other)),
            (_, Some("cifar_resnet"), ..) => Self::ResNet(cifar::resnet(config)?),
            (_, Some("lenet"), ..) => Self::LeNet { classes: cifar::classes(config)? },
            (_, _, Some("VisionTransformer"), _) => Self::ViT(timm::described_vit(config)?),
            (_, _, Some(_), _) => Self::ResNet(timm::described_resnet(config)?),
            (_, _, _, Some(name)) => timm::named(name, config)?.ok_or_else(|| unknown(name))?,
            (_, Some(other), ..) => return Err(unknown(other)),
            _ => return Err(unknown("a configuration without `model_type`")),
        };
        spec.check()?;
        Ok(spec)
    }

    /// Numbers that would make no network are refused here, so that nothing behind divides by them.
    fn check(&self) -> Result<()> {
        match self {
            Self::LeNet { classes } => counts("num_classes", &[*classes]),
            Self::ResNet(config) => check_resnet(config),
            Self::Vgg(config) => counts("num_classes", &[config.in_channels, config.classes]),
            Self::ViT(config) => check_vit(config),
        }
    }

    pub fn classes(&self) -> usize {
        match self {
            Self::LeNet { classes } => *classes,
            Self::ResNet(config) => config.classes,
            Self::Vgg(config) => config.classes,
            Self::ViT(config) => config.classes,
        }
    }
}

fn unknown(found: &str) -> Error {
    Error::UnknownModel { found: found.to_string(), known: KNOWN }
}

fn check_resnet(config: &ResNetConfig) -> Result<()> {
    counts("channels", &[config.in_channels, config.stem_channels, config.classes])?;
    if config.stages.is_empty() {
        return Err(Error::bad("hidden_sizes", "names no stage"));
    }
    for stage in &config.stages {
        counts("hidden_sizes", &[stage.channels])?;
        counts("depths", &[stage.depth])?;
        if stage.block != Block::Basic && !stage.channels.is_multiple_of(4) {
            return Err(Error::bad("hidden_sizes", format!("has `{}`, not a multiple of 4", stage.channels)));
        }
    }
    check_eps(config.norm_eps)
}

fn check_vit(config: &ViTConfig) -> Result<()> {
    let (height, width) = config.image_size;
    counts("image_size", &[height, width])?;
    counts("patch_size", &[config.patch_size])?;
    counts(
        "hidden_size",
        &[config.hidden_size, config.intermediate_size, config.in_channels, config.classes],
    )?;
    counts("num_hidden_layers", &[config.layers, config.heads])?;
    if !(height.is_multiple_of(config.patch_size) && width.is_multiple_of(config.patch_size)) {
        let reason = format!("`{height}x{width}` is no multiple of the patch size `{}`", config.patch_size);
        return Err(Error::bad("image_size", reason));
    }
    if !config.hidden_size.is_multiple_of(config.heads) {
        let reason = format!("`{}` is no multiple of the `{}` heads", config.hidden_size, config.heads);
        return Err(Error::bad("hidden_size", reason));
    }
    check_eps(config.norm_eps)
}

fn check_eps(eps: f64) -> Result<()> {
    match eps.is_finite() && eps >= 0.0 {
        true => Ok(()),
        false => Err(Error::bad("layer_norm_eps", format!("is `{eps}`, not a small positive number"))),
    }
}

fn counts(key: &'static str, values: &[usize]) -> Result<()> {
    match values.iter().find(|&value| !(1..=LARGEST).contains(value)) {
        Some(value) => Err(Error::bad(key, format!("has `{value}`, which is not between 1 and {LARGEST}"))),
        None => Ok(()),
    }
}

/// The keys of `T` out of a configuration.
pub(super) fn keys<T: DeserializeOwned>(config: &Value) -> Result<T> {
    T::deserialize(config).map_err(|source| Error::BadJson { file: CONFIG.to_string(), source })
}

/// The activation that transformers and timm call `name`.
pub(super) fn activation(name: &str) -> Result<Activation> {
    match name {
        "relu" => Ok(Activation::Relu),
        "gelu" | "erf" => Ok(Activation::Gelu),
        "silu" | "swish" => Ok(Activation::Silu),
        "tanh" => Ok(Activation::Tanh),
        "sigmoid" => Ok(Activation::Sigmoid),
        "elu" => Ok(Activation::Elu(1.0)),
        _ => {
            let reason =
                format!("is `{name}`; known are `relu`, `gelu`, `silu`, `elu`, `tanh` and `sigmoid`");
            Err(Error::bad("hidden_act", reason))
        }
    }
}
