//! What occlusion saves where a window's evaluation computes only what the window reaches: the work as it follows from
//! receptive fields, and the time, beside the same windows evaluated whole. Weights at random, an image of noise of
//! 224 x 224, single precision, both ways in turn. Prints a table in Markdown.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight::models::resnet::Block;
use candlelight::models::{ResNet, ResNetConfig, Vgg, VggConfig};
use candlelight::{Attribution, Explain, Model, Occlusion};
use candlelight_benches::frozen;
use clap::Parser;
use std::time::Instant;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIDE: usize = 224;
const CLASSES: usize = 1000;
/// How far both maps may be apart, relative L2.
const SINGLE: f64 = 1e-4;

/// Measures what occlusion saves by reuse
#[derive(Parser)]
struct Args {
    /// Width and height of the window
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// How far it moves; 8 for the full map, more for fewer windows of the same size
    #[arg(long, default_value_t = 8)]
    stride: usize,
    /// Only models whose name has this
    #[arg(long, default_value = "")]
    only: String,
    /// Pairs of runs in turn; the fastest of each counts
    #[arg(long, default_value_t = 1)]
    pairs: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!(
        "| model | windows | reached | done | whole | with reuse | saved: time | work | at most |\n|---|---|---|---|---|---|---|---|---|"
    );
    if "ResNet-50".contains(&args.only) {
        let config = ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], CLASSES);
        let behind = (2048 * CLASSES) as u64;
        measure("ResNet-50", &args, (&frozen(|vb| ResNet::new(config.clone(), vb))?, behind))?;
    }
    if "VGG-16".contains(&args.only) {
        let config = VggConfig::imagenet([2, 2, 3, 3, 3], CLASSES);
        let behind = (512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * CLASSES) as u64;
        measure("VGG-16", &args, (&frozen(|vb| Vgg::new(config.clone(), vb))?, behind))?;
    }
    Ok(())
}

/// `behind` are the multiply-adds of the linear layers, which see every window whole.
fn measure(name: &str, args: &Args, (model, behind): (&dyn Model, u64)) -> Result<()> {
    let x = Tensor::randn(0f32, 1.0, (1, 3, SIDE, SIDE), &Device::Cpu)?;
    let method = Occlusion::default().window([args.window]).stride([args.stride]);
    let (mut whole, mut again) = (f64::INFINITY, f64::INFINITY);
    let mut maps = None;
    for _ in 0..args.pairs.max(1) {
        let a = timed(&method.clone().without_reuse(), model, &x, &mut whole)?;
        let b = timed(&method, model, &x, &mut again)?;
        maps = Some((a, b));
    }
    let (a, b) = maps.context("no pair")?;
    let off = norm(&(b.values() - a.values())?)? / norm(a.values())?;
    ensure!(off <= SINGLE, "the maps are {off:.1e} apart");
    let reuse = b.reuse().context("nothing was reused")?;
    let windows = a.cost().forwards - 1;
    let in_all = |part: u64| (part + behind * windows as u64) as f64;
    let share = |part: u64| 100.0 * in_all(part) / in_all(reuse.whole);
    println!(
        "| {name} | {} | {:.0} % | {:.0} % | {whole:.1} s | {again:.1} s | **{:.2}** | {:.2} | {:.2} |",
        windows,
        share(reuse.reached),
        share(reuse.done),
        whole / again,
        in_all(reuse.whole) / in_all(reuse.done),
        in_all(reuse.whole) / in_all(reuse.reached)
    );
    Ok(())
}

fn timed(method: &Occlusion, model: &dyn Model, x: &Tensor, best: &mut f64) -> Result<Attribution> {
    let start = Instant::now();
    let map = method.explain(model, (x, 7))?;
    *best = best.min(start.elapsed().as_secs_f64());
    Ok(map)
}

fn norm(x: &Tensor) -> Result<f64> {
    Ok(x.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
}
