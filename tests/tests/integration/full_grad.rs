//! FullGrad: that its terms are all there is to the score, and what it does where they are not.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::{self, Activation, Module, ModuleT};
use candlelight_core::{
    Attribution, Completeness, Error, Explain, FullGrad, Model, Psi, Target, Upsampling, tap,
};
use candlelight_models::ResNetConfig;
use candlelight_models::resnet::Block;
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, images, noise, random_resnet, vit};

/// Rounding of double precision through a small network.
const EXACT: f64 = 1e-10;

fn completeness(map: &Attribution) -> Result<&Completeness> {
    map.convergence().completeness.as_ref().context("completeness is promised")
}

/// The largest distance between the sums of maps and what they should be, as a share of the largest score.
fn residual(map: &Attribution) -> Result<f64> {
    let largest = map.scores().iter().fold(0.0f64, |most, score| most.max(score.abs()));
    Ok(completeness(map)?.residual().into_iter().fold(0.0, f64::max) / largest)
}

fn assert_complete(model: &dyn Model, x: &Tensor, target: impl Into<Target>, what: &str) -> Result<()> {
    let map = FullGrad::default().attribute(model, &(x, target.into()).into())?;
    let (n, _, height, width) = x.dims4()?;
    ensure!(map.values().dims() == [n, 1, height, width] && map.cost().backwards == n);
    let residual = residual(&map)?;
    ensure!(residual < EXACT, "{what}: off by {residual:.1e} of the score");
    Ok(())
}

/// A small network of `act` whose every layer has a bias, norms of both kinds among them.
fn smooth(act: Activation) -> Result<impl Fn(&Tensor) -> candle_core::Result<Tensor> + Sync> {
    let config = nn::Conv2dConfig { padding: 1, stride: 2, ..Default::default() };
    let conv = nn::Conv2d::new(noise(&[6, 3, 3, 3], 1)?, Some(noise(&[6], 2)?), config).at("conv");
    let group = nn::GroupNorm::new(noise(&[6], 3)?, noise(&[6], 4)?, 6, 2, 1e-2)?.at("group");
    let up = nn::ConvTranspose2d::new(noise(&[6, 4, 2, 2], 5)?, Some(noise(&[4], 6)?), Default::default());
    let up = up.at("up");
    let norm = nn::LayerNorm::new(noise(&[4], 7)?, noise(&[4], 8)?, 1e-2).at("norm");
    let head = nn::Linear::new(noise(&[5, 4], 9)?, Some(noise(&[5], 10)?)).at("head");
    Ok(move |x: &Tensor| {
        let y = up.forward(&act.forward(&group.forward(&conv.forward(x)?)?)?)?;
        head.forward(&norm.forward(&act.forward(&y)?.mean((2, 3))?)?)
    })
}

#[test]
fn the_terms_of_networks_of_rectifiers_sum_to_the_score() -> Result<()> {
    let folder = golden()?;
    for id in ["hf_resnet_basic", "timm_plain_resnet", "convnet_relu"] {
        let (model, x) = (folder.model(id, DType::F64)?, folder.sample(id, DType::F64)?);
        assert_complete(&*model, &x, Target::Top, id)?;
        assert_complete(&*model, &x, Target::Contrast { class: 1, against: 2 }, id)?;
    }
    for seed in 0..3 {
        let config = ResNetConfig::imagenet(Block::Bottleneck, [1, 2, 1, 1], 7);
        let model = random_resnet(config, DType::F64, seed)?;
        assert_complete(&model, &noise(&[2, 3, 45, 64], seed)?, Target::Top, "bottlenecks")?;
    }
    Ok(())
}

#[test]
fn curved_activations_and_norms_are_biases_as_far_as_they_are_not_straight() -> Result<()> {
    let x = noise(&[3, 3, 9, 8], 20)?;
    for act in [
        Activation::Gelu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Elu(0.7),
        Activation::Relu6,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
    ] {
        assert_complete(&smooth(act)?, &x, 3, &format!("{act:?}"))?;
    }
    let folder = golden()?;
    let (model, x) = (folder.model("convnet", DType::F64)?, folder.sample("convnet", DType::F64)?);
    assert_complete(&*model, &x, 4, "convnet")
}

#[test]
fn every_pixel_has_what_it_and_the_biases_at_its_place_bring() -> Result<()> {
    // f = Σ relu(w·x + b)·v over pixels, three channels to one.
    let (weight, bias, v) = ([2.0f64, -1.0, 0.5], 0.3, 1.5);
    let kernel = Tensor::new(&weight, &Device::Cpu)?.reshape((1, 3, 1, 1))?;
    let bias_of_one = Some(Tensor::new(&[bias], &Device::Cpu)?);
    let conv = nn::Conv2d::new(kernel, bias_of_one, nn::Conv2dConfig::default()).at("conv");
    let model = |x: &Tensor| (nn::relu(&conv.forward(x)?)? * v)?.flatten_from(1)?.sum_keepdim(1);
    let x = noise(&[1, 3, 4, 5], 3)?;
    let map = FullGrad::default().explain(&model, &x)?;
    let flat = values(&x)?;
    for (pixel, found) in values(map.values())?.into_iter().enumerate() {
        let z: f64 = (0..3).map(|channel| weight[channel] * flat[channel * 20 + pixel]).sum::<f64>() + bias;
        ensure!((found - z.max(0.0) * v).abs() < EXACT, "pixel {pixel}: {found}");
    }
    Ok(())
}

#[test]
fn what_lies_in_the_head_is_no_part_of_the_map() -> Result<()> {
    let head =
        nn::Linear::new(noise(&[2, 3], 1)?, Some(Tensor::new(&[0.5f64, -4.0], &Device::Cpu)?)).at("head");
    let model = |x: &Tensor| head.forward(&x.mean((2, 3))?);
    let map = FullGrad::default().explain(&model, (&noise(&[1, 3, 4, 4], 2)?, 1))?;
    let completeness = completeness(&map)?;
    ensure!((completeness.difference[0] - map.scores()[0] - 4.0).abs() < EXACT, "{completeness:?}");
    ensure!(completeness.residual()[0] < EXACT);
    Ok(())
}

#[test]
fn a_batch_norm_in_evaluation_brings_its_shift() -> Result<()> {
    let positive = |seed| Ok::<_, anyhow::Error>((noise(&[3], seed)?.abs()? + 0.5)?);
    let norm = nn::BatchNorm::new(3, noise(&[3], 1)?, positive(2)?, noise(&[3], 3)?, noise(&[3], 4)?, 1e-5)?;
    let norm = norm.at("norm");
    let model = |x: &Tensor| norm.forward_t(x, false)?.flatten_from(1)?.sum_keepdim(1);
    let x = noise(&[2, 3, 4, 4], 5)?;
    let map = FullGrad::default().explain(&model, &x)?;
    assert_near(map.values(), &norm.forward_t(&x, false)?.sum_keepdim(1)?, EXACT, "the norm itself")
}

#[test]
fn what_the_layers_do_not_show_is_missing_from_the_sum_and_the_residual_says_so() -> Result<()> {
    let model = |x: &Tensor| (tap("maps", x)?.mean((2, 3))? + 2.0)?.contiguous();
    let map = FullGrad::default().explain(&model, (&noise(&[1, 3, 4, 4], 2)?, 0))?;
    ensure!((completeness(&map)?.residual()[0] - 2.0).abs() < EXACT);
    Ok(())
}

#[test]
fn the_papers_psi_scales_every_channel_of_every_layer_alike() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("convnet_relu", DType::F64)?, folder.sample("convnet_relu", DType::F64)?);
    let rescaled = FullGrad::default().psi(Psi::Rescaled(Upsampling::default()));
    let map = rescaled.explain(&*model, (&x, 2))?;
    ensure!(map.convergence().completeness.is_none());
    // Three channels of the input, and those of two convolutions, another one and its batch norm; each at most 1.
    let most = (3 + 12 + 24 + 24 + 24) as f64;
    let found = values(map.values())?;
    ensure!(found.iter().all(|&value| (0.0..=most).contains(&value)));
    ensure!(found.iter().any(|&value| value > 1.0), "more than one channel is seen");
    Ok(())
}

#[test]
fn attention_and_what_is_no_image_are_refused() -> Result<()> {
    let found = FullGrad::default().explain(&*vit(DType::F64)?, &images(DType::F64)?);
    let named = matches!(&found, Err(Error::NoFullGradient { layer }) if layer.contains("layer.0.attention"));
    ensure!(named, "{found:?}");
    let found = FullGrad::default().explain(&|x: &Tensor| x.sum(1), &noise(&[2, 8], 1)?);
    ensure!(matches!(found, Err(Error::Shape { what: "the input", .. })), "{found:?}");
    Ok(())
}
