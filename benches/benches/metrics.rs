//! Every metric of the registry, on a saliency map of the bundled ResNet for one scene.

use candle_core::{DType, Device};
use candlelight::metrics::{METRICS, Subject};
use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn metrics(criterion: &mut Criterion) {
    let scene = Scene::single(0);
    let mask: Vec<u8> = scene.objects[0].mask.iter().map(|inside| u8::from(*inside)).collect();
    let mask = Tensor::from_vec(mask, (1, 64, 64), &Device::Cpu).expect("a mask");
    let x = scene.tensor(&Device::Cpu).and_then(|x| x.affine(2.0, -1.0)).expect("a scene");
    let model =
        bundled::by_name("bundled-resnet", DType::F32, &Device::Cpu).expect("bundled").expect("loads").model;
    let (method, query) = (Saliency::default(), Query::from((&x, scene.class())));
    let map = method.attribute(&model, &query).expect("explains");
    let subject = Subject::new(&model, &query, &map).expect("a subject").masks(&mask).method(&method);
    let mut group = criterion.benchmark_group("bundled-resnet");
    group.sample_size(10);
    for entry in METRICS {
        let metric = (entry.build)();
        group.bench_function(entry.name, |b| {
            b.iter(|| black_box(metric.measure(&subject).expect("measures")));
        });
    }
}

criterion_group!(benches, metrics);
criterion_main!(benches);
