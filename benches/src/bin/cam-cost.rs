//! What a Grad-CAM at the last stage of ResNet-50 costs, in forward passes of the same images: weights at random, images of
//! noise, both in turn.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Module, Tensor};
use candlelight::models::resnet::Block;
use candlelight::models::{ResNet, ResNetConfig};
use candlelight::nn::{VarBuilder, VarMap};
use candlelight::prelude::{AblationCam, Explain, GradCam};
use clap::Parser;
use std::collections::HashMap;
use std::time::Instant;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The layer that is explained.
const LAYER: &str = "layer4";

/// Measures what Grad-CAM costs, in forward passes
#[derive(Parser)]
struct Args {
    /// Pairs of a forward pass and a map, in turn; the median is printed
    #[arg(long, default_value_t = 9)]
    pairs: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let model = resnet50()?;
    println!("| method | images | forward | map | forwards |\n|---|---|---|---|---|");
    for rows in [1, 8] {
        let x = Tensor::randn(0f32, 1.0, (rows, 3, 224, 224), &Device::Cpu)?;
        for (name, method) in
            [("`GradCam::at(\"layer4\")`", GradCam::at(LAYER)), ("`GradCam::default()`", GradCam::default())]
        {
            print_row(name, &args, &model, &x, &method)?;
        }
    }
    let x = Tensor::randn(0f32, 1.0, (1, 3, 224, 224), &Device::Cpu)?;
    print_row("`AblationCam::at(\"layer4\")`", &Args { pairs: 3 }, &model, &x, &AblationCam::at(LAYER))
}

/// Medians of pairs in turn; the first pair warms up.
fn print_row(name: &str, args: &Args, model: &ResNet, x: &Tensor, method: &dyn Explain) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..=args.pairs {
        let forward = seconds(|| Ok(model.forward(x)?))?;
        let map = seconds(|| Ok(method.attribute(model, &(x, 0).into())?))?;
        pairs.push((forward, map, map / forward));
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = pairs[1..].iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (forward, map, ratio) = (median(|p| p.0), median(|p| p.1), median(|p| p.2));
    println!("| {name} | {} | {forward:.3} s | {map:.3} s | {ratio:.2} |", x.dims()[0]);
    Ok(())
}

fn seconds<R>(work: impl FnOnce() -> Result<R>) -> Result<f64> {
    let start = Instant::now();
    drop(work()?);
    Ok(start.elapsed().as_secs_f64())
}

/// ResNet-50 with frozen weights at random.
fn resnet50() -> Result<ResNet> {
    let (config, map) = (ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], 1000), VarMap::new());
    ResNet::new(config.clone(), VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu))?;
    let variables = map.data().lock().ok().context("the map is poisoned")?;
    let weights: HashMap<String, Tensor> =
        variables.iter().map(|(name, variable)| (name.clone(), variable.as_detached_tensor())).collect();
    Ok(ResNet::new(config, VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))?)
}
