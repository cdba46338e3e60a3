//! Against `candle-transformers` on the same weights.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::{resnet, vit};
use candlelight_core::nn::{Module, VarBuilder};
use candlelight_models::resnet::Block;
use candlelight_models::{ResNet, ResNetConfig};

use crate::fixtures::{
    Weights, assert_near, builder, golden, images, noise, random_weights, vit as vit_of_golden,
};

/// Logits in single precision, relative to the largest: rounding in up to fifty layers.
const TOLERANCE: f64 = 1e-5;

/// The networks of candle-transformers that ours is held against.
pub fn resnets() -> [(&'static str, ResNetConfig, MakeResNet); 2] {
    [
        ("resnet18", ResNetConfig::imagenet(Block::Basic, [2, 2, 2, 2], 10), resnet::resnet18),
        ("resnet50", ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], 10), resnet::resnet50),
    ]
}

/// Builds a network of candle-transformers.
pub type MakeResNet = fn(usize, VarBuilder) -> candle_core::Result<candle_nn::Func>;

pub fn resnet_weights(config: &ResNetConfig, dtype: DType) -> Result<Weights> {
    random_weights(18, dtype, |vb| ResNet::new(config.clone(), vb).map(drop))
}

/// Images for [`resnets`].
pub fn photos(dtype: DType) -> Result<Tensor> {
    Ok(noise(&[2, 3, 64, 64], 64)?.to_dtype(dtype)?)
}

/// The transformer of candle-transformers with the weights of the committed reference data, in single precision:
/// candle's fused layer norm refuses double.
pub fn their_vit() -> Result<vit::Model> {
    let folder = golden()?.model_folder("hf_vit")?;
    let config = serde_json::from_str(&std::fs::read_to_string(folder.join("config.json"))?)?;
    let bytes = std::fs::read(folder.join("model.safetensors"))?;
    let vb = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)?;
    Ok(vit::Model::new(&config, 10, vb)?)
}

#[test]
fn our_resnets_give_the_logits_of_candle_transformers() -> Result<()> {
    for (name, config, theirs) in resnets() {
        let weights = resnet_weights(&config, DType::F32)?;
        let vb = || builder(&weights, DType::F32);
        let x = photos(DType::F32)?;
        let (ours, theirs) = (ResNet::new(config, vb())?.forward(&x)?, theirs(10, vb())?.forward(&x)?);
        assert_near(&ours, &theirs, TOLERANCE, name)?;
    }
    Ok(())
}

#[test]
fn our_vit_gives_the_logits_of_candle_transformers() -> Result<()> {
    let x = images(DType::F32)?;
    let ours = vit_of_golden(DType::F32)?.forward(&x)?;
    assert_near(&ours, &their_vit()?.forward(&x)?, TOLERANCE, "vit")
}
