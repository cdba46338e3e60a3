//! What a Grad-CAM at the last stage of ResNet-50 costs, in forward passes of the same images: weights at random, images of
//! noise, both in turn.

use anyhow::Result;
use candle_core::{Device, Module, Tensor};
use candlelight::models::resnet::Block;
use candlelight::models::{ResNet, ResNetConfig};
use candlelight::prelude::{AblationCam, Explain, GradCam};
use candlelight_benches::{frozen, median};
use clap::Parser;
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
    let config = ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], 1000);
    let model = frozen(|vb| ResNet::new(config.clone(), vb))?;
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
    let median = |of: fn(&(f64, f64, f64)) -> f64| median(pairs[1..].iter().map(of).collect());
    let (forward, map, ratio) = (median(|p| p.0), median(|p| p.1), median(|p| p.2));
    println!("| {name} | {} | {forward:.3} s | {map:.3} s | {ratio:.2} |", x.dims()[0]);
    Ok(())
}

fn seconds<R>(work: impl FnOnce() -> Result<R>) -> Result<f64> {
    let start = Instant::now();
    drop(work()?);
    Ok(start.elapsed().as_secs_f64())
}
