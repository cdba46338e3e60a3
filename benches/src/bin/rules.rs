//! What methods of rules cost in units of one gradient of the same model: ResNet-50 and ViT-B/16 at 224 x 224, weights
//! at random, one image, single precision. Prints a table in Markdown.

use candle_core::{DType, Device, Tensor};
use candlelight::models::resnet::Block;
use candlelight::models::vit::Width;
use candlelight::models::{ResNet, ResNetConfig, ViT, ViTConfig};
use candlelight::nn::{VarBuilder, VarMap};
use candlelight::{Bounds, Composite, DeepLift, Error, Explain, GuidedBackprop, Lrp, Model, Rule, Saliency};
use std::time::Instant;

/// Runs of each, of which the fastest counts: others may have the machine, too.
const RUNS: usize = 7;
const CLASSES: usize = 1000;

fn main() -> Result<(), Error> {
    println!("| model | method | ms | gradients |\n|---|---|---|---|");
    let config = ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], CLASSES);
    measure("ResNet-50", &frozen(|vb| ResNet::new(config.clone(), vb))?, &of_convolutions())?;
    let config = ViTConfig::timm((224, 224), 16, Width::BASE, CLASSES);
    measure("ViT-B/16", &frozen(|vb| ViT::new(config.clone(), vb))?, &of_attention())
}

/// A model with weights at random, none of them tracked.
fn frozen<M>(build: impl Fn(VarBuilder) -> candle_core::Result<M>) -> Result<M, Error> {
    let weights = VarMap::new();
    build(VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    let weights = weights.data().lock().map(|weights| {
        weights.iter().map(|(name, weight)| (name.clone(), weight.as_detached_tensor())).collect()
    });
    let weights = weights.map_err(|_| candle_core::Error::msg("the weights are poisoned"))?;
    Ok(build(VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))?)
}

type Named = (&'static str, Box<dyn Explain>);

fn of_convolutions() -> Vec<Named> {
    let uniform = |rule: Rule| Lrp::new(Composite::by_kind(rule.clone(), rule));
    vec![
        ("guided backprop", Box::new(GuidedBackprop)),
        ("LRP-ε", Box::new(uniform(Rule::epsilon(1e-6)))),
        ("z⁺", Box::new(Lrp::new(Composite::epsilon_plus()))),
        ("α = 2, β = 1", Box::new(Lrp::new(Composite::epsilon_alpha2_beta1()))),
        ("γ = 1/4, z-box", Box::new(Lrp::new(Composite::epsilon_gamma_box(Bounds::OfRow)))),
        ("DeepLIFT", Box::new(DeepLift::default())),
    ]
}

fn of_attention() -> Vec<Named> {
    vec![("AttnLRP", Box::new(Lrp::new(Composite::attn_lrp()))), ("DeepLIFT", Box::new(DeepLift::default()))]
}

fn measure(name: &str, model: &dyn Model, methods: &[Named]) -> Result<(), Error> {
    let x = Tensor::randn(0f32, 1.0, (1, 3, 224, 224), &Device::Cpu)?;
    let gradient = fastest(&Saliency::default(), model, &x)?;
    println!("| {name} | gradient | {:.0} | 1 |", gradient * 1e3);
    for (method, explainer) in methods {
        let seconds = fastest(&**explainer, model, &x)?;
        println!("| {name} | {method} | {:.0} | {:.2} |", seconds * 1e3, seconds / gradient);
    }
    Ok(())
}

fn fastest(method: &dyn Explain, model: &dyn Model, x: &Tensor) -> Result<f64, Error> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let started = Instant::now();
        method.attribute(model, &(x, 7).into())?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}
