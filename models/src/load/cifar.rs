//! `config.json` of small networks: the CIFAR family, resnet20, 32, 44, 56 and 110, and LeNet.

use serde::Deserialize;
use serde_json::Value;

use super::spec::keys;
use crate::resnet::{Block, ResNetConfig, stages};
use crate::{Error, Result};

#[derive(Deserialize)]
struct Keys {
    blocks_per_stage: usize,
    #[serde(default = "channels")]
    channels: Vec<usize>,
    #[serde(default = "bn_eps")]
    bn_eps: f64,
    #[serde(default = "num_classes")]
    num_classes: usize,
}

fn channels() -> Vec<usize> {
    vec![16, 32, 64]
}

fn bn_eps() -> f64 {
    1e-5
}

fn num_classes() -> usize {
    10
}

#[derive(Deserialize)]
struct Classes {
    #[serde(default = "num_classes")]
    num_classes: usize,
}

/// The classes of a network of which nothing else is told.
pub(super) fn classes(config: &Value) -> Result<usize> {
    Ok(keys::<Classes>(config)?.num_classes)
}

pub(super) fn resnet(config: &Value) -> Result<ResNetConfig> {
    let keys: Keys = keys(config)?;
    let Some(&first) = keys.channels.first() else {
        return Err(Error::bad("channels", "names no stage"));
    };
    if !keys.channels.is_sorted() {
        return Err(Error::bad("channels", "must not shrink: option A only adds channels"));
    }
    let depths = vec![keys.blocks_per_stage; keys.channels.len()];
    Ok(ResNetConfig {
        stem_channels: first,
        stages: stages(Block::Basic, &depths, &keys.channels),
        norm_eps: keys.bn_eps,
        ..ResNetConfig::cifar(keys.blocks_per_stage, keys.num_classes)
    })
}
