//! Both architectures learn through a `VarMap`, in every vocabulary.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Module, Optimizer, VarBuilder, VarMap, loss};
use candlelight_models::resnet::{self, Block, ResNet, ResNetConfig, Shortcut, Stage, Stem};
use candlelight_models::vit::{self, QkvBias, ViT, ViTConfig, Width};

const STEPS: usize = 120;

fn images() -> Result<(Tensor, Tensor)> {
    let values: Vec<f32> =
        (0..6 * 3 * 32 * 32).map(|i| (i as f32 * 0.61).sin() + (i / 3072) as f32 * 0.2).collect();
    let classes = Tensor::new(&[0u32, 1, 2, 0, 1, 2], &Device::Cpu)?;
    Ok((Tensor::from_vec(values, (6, 3, 32, 32), &Device::Cpu)?, classes))
}

/// Loss before and after some steps of AdamW.
fn train(variables: &VarMap, forward: impl Fn(&Tensor) -> Result<Tensor>) -> Result<(f32, f32)> {
    let (x, classes) = images()?;
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 3e-3)?;
    let mut step = || {
        let loss = loss::cross_entropy(&forward(&x)?, &classes)?;
        optimizer.backward_step(&loss)?;
        loss.to_scalar::<f32>()
    };
    let first = step()?;
    for _ in 1..STEPS {
        step()?;
    }
    Ok((first, step()?))
}

fn small_resnet(naming: resnet::Naming, shortcut: Shortcut) -> ResNetConfig {
    let stage = |block, channels, stride| Stage { block, depth: 1, channels, stride };
    ResNetConfig {
        naming,
        stem: if shortcut == Shortcut::PoolConv { Stem::Deep { width: 8 } } else { Stem::Plain },
        stem_channels: 8,
        stages: vec![stage(Block::Basic, 8, 1), stage(Block::Bottleneck, 16, 2)],
        shortcut,
        ..ResNetConfig::imagenet(Block::Basic, [1; 4], 3)
    }
}

fn resnet_learns(config: ResNetConfig) -> Result<()> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let model = ResNet::new(config, vb)?;
    let untrained = model.forward(&images()?.0)?;
    let (first, last) = train(&variables, |x| model.forward_train(x))?;
    assert!(last < 0.6 * first, "the loss went from {first} to {last}");
    let trained = model.forward(&images()?.0)?;
    assert_ne!(untrained.to_vec2::<f32>()?, trained.to_vec2::<f32>()?);
    Ok(())
}

fn vit_learns(naming: vit::Naming, qkv_bias: QkvBias) -> Result<()> {
    let width = Width { hidden_size: 24, layers: 2, heads: 3 };
    let config = ViTConfig { naming, qkv_bias, ..ViTConfig::timm((32, 32), 8, width, 3) };
    let variables = VarMap::new();
    let model = ViT::new(config, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu))?;
    let before = stored(&variables, "qkv.weight").or(stored(&variables, "query.weight"));
    let (first, last) = train(&variables, |x| model.forward(x))?;
    assert!(last < 0.6 * first, "the loss went from {first} to {last}");
    let after = stored(&variables, "qkv.weight").or(stored(&variables, "query.weight"));
    assert!(before.is_some() && before != after, "attention did not train");
    Ok(())
}

fn stored(variables: &VarMap, suffix: &str) -> Option<Vec<f32>> {
    let data = variables.data().lock().ok()?;
    let (_, variable) = data.iter().find(|(name, _)| name.ends_with(suffix) && name.contains('0'))?;
    variable.flatten_all().ok()?.to_vec1().ok()
}

#[test]
fn a_resnet_with_hugging_face_names_learns() -> Result<()> {
    resnet_learns(small_resnet(resnet::Naming::HuggingFace, Shortcut::Conv))
}

#[test]
fn a_resnet_with_a_deep_stem_and_pooled_shortcuts_learns() -> Result<()> {
    resnet_learns(small_resnet(resnet::Naming::Torchvision, Shortcut::PoolConv))
}

#[test]
fn a_cifar_resnet_learns() -> Result<()> {
    resnet_learns(ResNetConfig::cifar(1, 3))
}

#[test]
fn a_vit_with_hugging_face_names_learns() -> Result<()> {
    vit_learns(vit::Naming::HuggingFace, QkvBias::Absent)
}

#[test]
fn a_vit_with_fused_maps_learns() -> Result<()> {
    vit_learns(vit::Naming::Timm, QkvBias::Present)
}

#[test]
fn batch_norm_statistics_move_only_in_training() -> Result<()> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let model = ResNet::new(ResNetConfig::cifar(1, 3), vb)?;
    let mean = || stored(&variables, "layer1.0.bn1.running_mean");
    let fresh = mean();
    model.forward(&images()?.0)?;
    assert_eq!(fresh, mean());
    model.forward_train(&images()?.0)?;
    assert_ne!(fresh, mean());
    Ok(())
}
