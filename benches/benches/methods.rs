//! Every method of the registry on both bundled models: one scene, 10 steps or samples where there are any.

use candle_core::{DType, Device};
use candlelight::models::{ViT, ViTConfig, bundled, scenes::Scene, vit::Width};
use candlelight::nn::{VarBuilder, VarMap};
use candlelight::prelude::*;
use candlelight::{METHODS, Settings};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

/// Steps of paths and samples of samplers: enough to measure a step, few enough to repeat.
const STEPS: usize = 10;

fn methods(criterion: &mut Criterion) {
    let scene = Scene::single(0).tensor(&Device::Cpu).and_then(|x| x.affine(2.0, -1.0)).expect("a scene");
    for name in bundled::NAMES {
        let loaded =
            bundled::by_name(name, DType::F32, &Device::Cpu).expect("a bundled model").expect("loads");
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for method in METHODS {
            let settings = Settings { steps: Some(STEPS), ..Settings::default() };
            let explainer = method.with(&settings).expect("valid settings");
            if explainer.explain(&loaded.model, &scene).is_ok() {
                group.bench_function(method.name, |b| {
                    b.iter(|| black_box(explainer.explain(&loaded.model, &scene).expect("explains")));
                });
            }
        }
    }
}

/// All patches' flows to the class token of ViT-B/16, one forward pass not counted; weights at random, as before training.
fn flow(criterion: &mut Criterion) {
    let config = ViTConfig::timm((224, 224), 16, Width::BASE, 1000);
    let weights = VarMap::new();
    let vit =
        ViT::new(config, VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu)).expect("a transformer");
    let x = Tensor::randn(0f32, 1.0, (1, 3, 224, 224), &Device::Cpu).expect("noise");
    let pass = AttentionPass::record(&vit, &x).expect("attention");
    let mut group = criterion.benchmark_group("vit-base-16");
    group.sample_size(10);
    group.bench_function("attention-flow", |b| {
        b.iter(|| black_box(AttentionFlow::default().flows(pass.attentions()).expect("flows")));
    });
}

criterion_group!(benches, methods, flow);
criterion_main!(benches);
