//! Three methods and two classes over the same features: the model alone, and with a memory of what it said.

use candlelight::Model;
use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;
use std::time::Instant;

/// Explains two classes by three methods; how many evaluations they asked for, and in how many seconds.
fn explain(model: &dyn Model, image: &Tensor, side: usize) -> anyhow::Result<(usize, f64)> {
    let features = Features::Grid { rows: side, columns: side };
    let methods: [Box<dyn Explain>; 3] = [
        Box::new(FeatureAblation::of(features.clone())),
        Box::new(KernelShap::default().features(features.clone())),
        Box::new(Lime::default().features(features)),
    ];
    let (mut asked, started) = (0, Instant::now());
    for class in [0, 4] {
        for method in &methods {
            asked += method.attribute(model, &(image, class).into())?.cost().forwards;
        }
    }
    Ok((asked, started.elapsed().as_secs_f64()))
}

fn main() -> anyhow::Result<()> {
    let model = bundled::resnet()?.model;
    let image = Scene::single(7).tensor(&Device::Cpu)?.affine(2.0, -1.0)?;
    explain(&model, &image, 2)?; // the first passes lay the weights out
    for side in [3, 8] {
        let remembered = Remembered::new(&model);
        let (asked, alone) = explain(&model, &image, side)?;
        let (_, shared) = explain(&remembered, &image, side)?;
        let computed = remembered.computed();
        println!(
            "{side} x {side} features: {asked} evaluations in {alone:.2} s, {computed} in {shared:.2} s"
        );
    }
    Ok(())
}
