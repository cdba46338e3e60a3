//! Models and inputs that several tests use.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candlelight_core::nn::{self, Module};
use candlelight_core::{METHODS, Method, Model, Settings};
use candlelight_models::{ResNet, ResNetConfig, ViT, ViTConfig};
use candlelight_tests::folders::committed;
use candlelight_tests::{Folder, compare};
use std::collections::HashMap;

/// Methods that change what flows back through a ReLU, and refuse models without one.
pub const NEED_RELUS: [&str; 3] = ["guided-backprop", "deconvnet", "guided-grad-cam"];

/// Methods with rules for convolutional nets, which refuse models with attention.
pub const HAVE_NO_RULE_FOR_ATTENTION: [&str; 3] = ["lrp", "deep-taylor", "excitation-backprop"];

/// Methods that read the weights of the class behind a pool, and refuse models without one.
pub const NEED_POOLS: [&str; 1] = ["cam"];

/// Methods whose score is a unit of a layer, and no class's.
pub const EXPLAIN_A_UNIT: [&str; 2] = ["neuron-saliency", "neuron-integrated-gradients"];

/// Steps and samples where the number does not matter: enough for two batches of three.
pub const STEPS: usize = 5;

/// The committed reference data.
pub fn golden() -> Result<Folder> {
    Folder::open(&committed())
}

/// The model of the committed reference data on which a method is tested: the transformer or, for methods that refuse
/// it, the ResNet. Both take [`images`].
pub fn model_for(method: &Method, dtype: DType) -> Result<Box<dyn Model + Send>> {
    if suits_transformers(method) {
        return vit(dtype);
    }
    let resnet = golden()?.model("hf_resnet_basic", dtype)?;
    match NEED_POOLS.contains(&method.name) {
        // Its last maps are one cell on images of this size, and two by two on twice the size.
        true => Ok(Box::new(move |x: &Tensor| {
            let (_, _, height, width) = x.dims4()?;
            resnet.forward(&nn::Upsample::nearest(2 * height, 2 * width).forward(x)?)
        })),
        false => Ok(resnet),
    }
}

/// Whether a method explains transformers.
pub fn suits_transformers(method: &Method) -> bool {
    let refuse = [&NEED_RELUS[..], &NEED_POOLS, &HAVE_NO_RULE_FOR_ATTENTION];
    !refuse.concat().contains(&method.name)
}

/// The transformer of the committed reference data.
pub fn vit(dtype: DType) -> Result<Box<dyn Model + Send>> {
    golden()?.model("hf_vit", dtype)
}

/// Four different images for [`vit`]: its two, each also turned round.
pub fn images(dtype: DType) -> Result<Tensor> {
    let x = golden()?.sample("hf_vit", dtype)?;
    let turned = (x.transpose(2, 3)?.contiguous()? * 0.8)?;
    Ok(Tensor::cat(&[x, turned], 0)?)
}

/// What every method is given: few steps, and references for those that want them.
pub fn settings(x: &Tensor) -> Result<Settings> {
    let references = Some((x * 0.3)?);
    Ok(Settings { references, steps: Some(STEPS), ..Settings::default() })
}

/// Methods whose map is the same for every class.
pub const KNOW_NO_CLASS: [&str; 4] = ["eigen-cam", "raw-attention", "attention-rollout", "attention-flow"];

/// Every registered method whose scores depend on the class.
pub fn class_methods() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(|method| !KNOW_NO_CLASS.contains(&method.name))
}

/// A network with every parameter filled by [`fill`].
pub fn random_resnet(config: ResNetConfig, dtype: DType, seed: u64) -> Result<ResNet> {
    let weights = random_weights(seed, dtype, |vb| ResNet::new(config.clone(), vb).map(drop))?;
    Ok(ResNet::new(config, builder(&weights, dtype))?)
}

/// A transformer with every parameter filled by [`fill`].
pub fn random_vit(config: ViTConfig, dtype: DType, seed: u64) -> Result<ViT> {
    let weights = random_weights(seed, dtype, |vb| ViT::new(config.clone(), vb).map(drop))?;
    Ok(ViT::new(config, builder(&weights, dtype))?)
}

/// Parameters by name.
pub type Weights = HashMap<String, Tensor>;

/// Frozen parameters as a source of weights.
pub fn builder(weights: &Weights, dtype: DType) -> VarBuilder<'static> {
    VarBuilder::from_tensors(weights.clone(), dtype, &Device::Cpu)
}

/// Asks `build` which parameters there are, and makes them up.
pub fn random_weights(
    seed: u64,
    dtype: DType,
    build: impl Fn(VarBuilder) -> candle_core::Result<()>,
) -> Result<Weights> {
    let map = VarMap::new();
    build(VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu))?;
    let Ok(names) = map.data().lock() else { anyhow::bail!("the map is poisoned") };
    let mut weights = Weights::new();
    for (name, var) in names.iter() {
        let salt = name.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        weights.insert(name.clone(), fill(name, var.dims(), salt)?.to_dtype(dtype)?);
    }
    Ok(weights)
}

/// Weights that keep the size of what passes through them; norms near the identity, none of them exactly it.
fn fill(name: &str, shape: &[usize], salt: u64) -> Result<Tensor> {
    let fan_in: usize = shape.iter().skip(1).product();
    let (centre, spread) = match shape.len() {
        _ if name.ends_with("running_var") => (1.0, 0.3),
        1 if name.ends_with("weight") => (1.0, 0.2),
        1 => (0.0, 0.2),
        _ => (0.0, (3.0 / fan_in as f64).sqrt()),
    };
    let noise = noise(shape, salt)?;
    Ok(((noise * spread)? + centre)?)
}

/// Numbers uniform in (-1, 1), the same on every machine.
pub fn noise(shape: &[usize], seed: u64) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let uniform = |i: usize| (mix(mix(seed) ^ i as u64) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    Ok(Tensor::from_vec((0..count).map(uniform).collect::<Vec<f64>>(), shape, &Device::Cpu)?)
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of the argument.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Fails unless `a` and `b` are apart by at most `tolerance`, relative to the largest magnitude in `b`.
pub fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) -> Result<()> {
    let distance = compare::distance(a, b)?;
    anyhow::ensure!(distance <= tolerance, "{what}: off by {distance:.2e}, allowed is {tolerance:.0e}");
    Ok(())
}
