//! Models and inputs as both sides read them, a folder for each model: the bundled weights, or random ones that are the same
//! on every machine.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Module, Tensor, safetensors};
use candlelight::models::Loader;
use candlelight::models::resnet::Block;
use candlelight::models::scenes::Scene;
use candlelight::models::{LeNet, ResNet, ResNetConfig, Vgg, VggConfig, ViT, ViTConfig, bundled, vit::Width};
use candlelight::nn::{VarBuilder, VarMap};
use candlelight::{Explain, Model, Saliency};
use candlelight_benches::scenes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Images for every model: the largest batch of the table.
const IMAGES: usize = 32;
/// Samples that are stored, for what both sides are compared with.
const STORED: usize = 8;
/// Masks of RISE: few would make few numbers, and which side rounds them better is chance.
const MASKS: usize = 32;
/// Cells of a grid along each axis.
const CELLS: usize = 7;
/// Noise of SmoothGrad, in units of the pixels.
const SPREAD: f64 = 0.15;

type Stored = HashMap<String, Tensor>;

/// Writes `config.json`, `model.safetensors` and `inputs.safetensors` of a model.
pub fn prepare(model: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut numbers = ChaCha8Rng::seed_from_u64(model.bytes().map(u64::from).sum());
    match bundled::bytes(model) {
        Some(bytes) => {
            fs::write(folder.join("config.json"), bytes.config)?;
            fs::write(folder.join("model.safetensors"), bytes.weights.concat())?;
        }
        None => random(model, folder, &mut numbers)?,
    }
    let inputs = inputs(model, folder, &mut numbers)?;
    Ok(safetensors::save(&inputs, folder.join("inputs.safetensors"))?)
}

/// A model of this name with random weights.
fn random(model: &str, folder: &Path, numbers: &mut ChaCha8Rng) -> Result<()> {
    let weights = VarMap::new();
    let vb = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    let imagenet = |architecture| {
        format!(
            r#"{{"architecture": "{architecture}", "num_classes": 1000, "global_pool": "{}"}}"#,
            pool(model)
        )
    };
    let config = match model {
        "resnet50" => {
            ResNet::new(ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], 1000), vb)?;
            imagenet("resnet50")
        }
        "vit-b16" => {
            ViT::new(ViTConfig::timm((224, 224), 16, Width::BASE, 1000), vb)?;
            imagenet("vit_base_patch16_224")
        }
        "vgg16" => {
            Vgg::new(VggConfig::imagenet([2, 2, 3, 3, 3], 1000), vb)?;
            imagenet("vgg16")
        }
        "lenet" => {
            LeNet::new(10, vb)?;
            r#"{"kind": "lenet", "num_classes": 10}"#.to_owned()
        }
        "resnet20" => {
            ResNet::new(ResNetConfig::cifar(3, 10), vb)?;
            r#"{"kind": "cifar_resnet", "blocks_per_stage": 3, "channels": [16, 32, 64], "num_classes": 10}"#
                .to_owned()
        }
        other => bail!("no model `{other}`"),
    };
    fs::write(folder.join("config.json"), config)?;
    let variables = weights.data().lock().ok().context("the map is poisoned")?;
    let mut names: Vec<&String> = variables.keys().collect();
    names.sort();
    let filled =
        names.into_iter().map(|name| Ok((name.clone(), fill(name, variables[name].dims(), numbers)?)));
    let filled = filled.collect::<Result<Stored>>()?;
    Ok(safetensors::save(&filled, folder.join("model.safetensors"))?)
}

fn pool(model: &str) -> &'static str {
    if model.starts_with("vit") { "token" } else { "avg" }
}

/// Weights under which activations neither vanish nor grow.
fn fill(name: &str, shape: &[usize], numbers: &mut ChaCha8Rng) -> Result<Tensor> {
    let fan_in: usize = shape.iter().skip(1).product();
    let is_norm_of_batches = name.contains("bn") || name.contains("downsample.1");
    let (centre, spread) = match shape.len() {
        _ if name.ends_with("running_var") => return Ok(Tensor::ones(shape, DType::F32, &Device::Cpu)?),
        _ if name.ends_with("running_mean") => return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?),
        1 if name.ends_with("weight") => (if is_norm_of_batches { 0.6 } else { 1.0 }, 0.1),
        1 => (0.0, 0.1),
        // A kernel in front of a rectifier, and a matrix.
        4 => (0.0, (2.0 / fan_in as f64).sqrt()),
        _ => (0.0, (1.0 / fan_in as f64).sqrt()),
    };
    Ok(normal(shape, numbers)?.affine(spread, centre)?)
}

fn normal(shape: &[usize], numbers: &mut ChaCha8Rng) -> Result<Tensor> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| numbers.sample(StandardNormal)).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn uniform(shape: &[usize], numbers: &mut ChaCha8Rng) -> Result<Tensor> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| numbers.random()).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Images, classes, a map of one channel, and what is drawn once for both sides.
fn inputs(model: &str, folder: &Path, numbers: &mut ChaCha8Rng) -> Result<Stored> {
    let (x, masks) = images(model, numbers)?;
    let (channels, height, width) = (x.dim(1)?, x.dim(2)?, x.dim(3)?);
    let loaded = Loader::default().load(folder)?.model;
    let classes = loaded.forward(&x.narrow(0, 0, STORED)?)?.argmax(1)?.to_dtype(DType::I64)?;
    let classes = match model.contains("bundled") {
        true => loaded.forward(&x)?.argmax(1)?.to_dtype(DType::I64)?,
        // Weights at random know one class: any is as good.
        false => classes.get(0)?.broadcast_as(IMAGES)?.contiguous()?,
    };
    let stored = [
        ("map", saliency(&loaded, &x, &classes)?),
        ("masks", masks),
        ("noise", (normal(&[STORED, channels, height, width], numbers)? * SPREAD)?),
        ("references", x.narrow(0, IMAGES - STORED, STORED)?.contiguous()?),
        ("draw_alphas", uniform(&[STORED], numbers)?),
        ("draw_references", (uniform(&[STORED], numbers)? * STORED as f64)?.floor()?.to_dtype(DType::I64)?),
        ("rise_masks", rise_masks(height, width, numbers)?),
        ("lime_samples", uniform(&[STORED, CELLS * CELLS], numbers)?.round()?),
        ("x", x),
        ("y", classes),
    ];
    Ok(stored.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())
}

/// Images and where their objects are: scenes for the bundled models; noise, for LeNet black in most places, as digits are.
fn images(model: &str, numbers: &mut ChaCha8Rng) -> Result<(Tensor, Tensor)> {
    let shape = match model {
        "lenet" => [IMAGES, 1, 28, 28],
        "resnet20" => [IMAGES, 3, 32, 32],
        _ => [IMAGES, 3, 224, 224],
    };
    if !model.starts_with("bundled") {
        let x = normal(&shape, numbers)?;
        let x = if model == "lenet" { (x - 0.9)?.clamp(0.0, 1.0)? } else { x };
        return Ok((x, Tensor::ones((IMAGES, shape[2], shape[3]), DType::U8, &Device::Cpu)?));
    }
    let inside: Vec<u8> = (0..IMAGES as u64)
        .flat_map(|seed| Scene::single(seed).objects[0].mask.clone())
        .map(u8::from)
        .collect();
    let x = scenes(0..IMAGES as u64)?;
    let masks = Tensor::from_vec(inside, (IMAGES, x.dim(2)?, x.dim(3)?), &Device::Cpu)?;
    Ok((x, masks))
}

/// The magnitudes of the gradient, summed over the channels: what metrics measure.
fn saliency(model: &dyn Model, x: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let few = x.dim(0)?.min(if x.dim(2)? > 64 { STORED } else { IMAGES });
    let classes = classes.narrow(0, 0, few)?.to_vec1::<i64>()?.into_iter().map(|class| class as usize);
    let query = (&x.narrow(0, 0, few)?, classes.collect::<Vec<_>>());
    Ok(Saliency::default().explain(model, query)?.values().sum_keepdim(1)?)
}

/// Masks as RISE has them: cells that are there or not, brought to more than the image, and shifted.
fn rise_masks(height: usize, width: usize, numbers: &mut ChaCha8Rng) -> Result<Tensor> {
    let masks: Vec<Tensor> = (0..MASKS)
        .map(|_| {
            let (rows, columns) = (height.div_ceil(CELLS), width.div_ceil(CELLS));
            let cells = uniform(&[1, 1, CELLS + 1, CELLS + 1], numbers)?.round()?;
            let large = candlelight::bilinear(&cells, (CELLS + 1) * rows, (CELLS + 1) * columns)?;
            let (top, left) = (numbers.random_range(0..rows), numbers.random_range(0..columns));
            Ok(large.narrow(2, top, height)?.narrow(3, left, width)?.squeeze(1)?)
        })
        .collect::<Result<_>>()?;
    Ok(Tensor::cat(&masks, 0)?.contiguous()?)
}
