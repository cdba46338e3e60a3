//! What methods of rules cost in units of one gradient of the same model: ResNet-50 and ViT-B/16 at 224 x 224, weights
//! at random, single precision. Gradient and method in turn; prints medians as a table in Markdown.

use anyhow::Result;
use candle_core::{Device, Tensor};
use candlelight::models::resnet::Block;
use candlelight::models::vit::Width;
use candlelight::models::{ResNet, ResNetConfig, ViT, ViTConfig};
use candlelight::{Bounds, Composite, DeepLift, Explain, GuidedBackprop, Lrp, Model, Rule, Saliency};
use candlelight_benches::{frozen, median};
use clap::Parser;
use std::time::Instant;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLASSES: usize = 1000;

/// Measures what methods of rules cost, in gradients
#[derive(Parser)]
struct Args {
    /// Pairs of a gradient and a map, in turn; the median is printed
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Images at a time
    #[arg(long, default_value_t = 1)]
    images: usize,
    /// Only rows that contain this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("| row | images | gradient | map | gradients |\n|---|---|---|---|---|");
    let config = ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], CLASSES);
    measure(&args, "ResNet-50", || Ok(Box::new(frozen(|vb| ResNet::new(config.clone(), vb))?)), of_images())?;
    let config = ViTConfig::timm((224, 224), 16, Width::BASE, CLASSES);
    measure(&args, "ViT-B/16", || Ok(Box::new(frozen(|vb| ViT::new(config.clone(), vb))?)), of_attention())
}

type Named = (&'static str, Box<dyn Explain>);

fn of_images() -> Vec<Named> {
    let uniform = |rule: Rule| Lrp::new(Composite::by_kind(rule.clone(), rule));
    vec![
        ("Guided Backpropagation", Box::new(GuidedBackprop)),
        ("LRP-ε", Box::new(uniform(Rule::epsilon(1e-6)))),
        ("z⁺", Box::new(Lrp::new(Composite::epsilon_plus()))),
        ("α = 2, β = 1", Box::new(Lrp::new(Composite::epsilon_alpha2_beta1()))),
        ("γ = 1/4 with z-box", Box::new(Lrp::new(Composite::epsilon_gamma_box(Bounds::OfRow)))),
        ("DeepLIFT", Box::new(DeepLift::default())),
    ]
}

fn of_attention() -> Vec<Named> {
    vec![("AttnLRP", Box::new(Lrp::new(Composite::attn_lrp()))), ("DeepLIFT", Box::new(DeepLift::default()))]
}

/// The rows of one model, which is built if one of them is wanted.
fn measure(
    args: &Args,
    name: &str,
    build: impl Fn() -> Result<Box<dyn Model>>,
    methods: Vec<Named>,
) -> Result<()> {
    let row = |method: &str| format!("{name}, {method}");
    let wanted: Vec<_> = methods.iter().filter(|(method, _)| row(method).contains(&args.only)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let model = build()?;
    let x = Tensor::randn(0f32, 1.0, (args.images, 3, 224, 224), &Device::Cpu)?;
    for (method, explainer) in wanted {
        print_row(args, &row(method), &*model, &x, &**explainer)?;
    }
    Ok(())
}

/// Medians of pairs in turn; the first pair warms up.
fn print_row(args: &Args, row: &str, model: &dyn Model, x: &Tensor, method: &dyn Explain) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..=args.pairs {
        let gradient = seconds(&Saliency::default(), model, x)?;
        let map = seconds(method, model, x)?;
        pairs.push([gradient, map, map / gradient]);
    }
    let [gradient, map, ratio] = [0, 1, 2].map(|of| median(pairs[1..].iter().map(|pair| pair[of]).collect()));
    println!("| {row} | {} | {gradient:.3} s | {map:.3} s | {ratio:.2} |", args.images);
    Ok(())
}

fn seconds(method: &dyn Explain, model: &dyn Model, x: &Tensor) -> Result<f64> {
    let started = Instant::now();
    method.attribute(model, &(x, 7).into())?;
    Ok(started.elapsed().as_secs_f64())
}
