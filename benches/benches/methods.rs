//! Every method of the registry on both bundled models: one scene, 10 steps or samples where there are any.

use candle_core::{DType, Device};
use candlelight::prelude::*;
use candlelight::{METHODS, Settings, models::bundled, models::scenes::Scene};
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

criterion_group!(benches, methods);
criterion_main!(benches);
