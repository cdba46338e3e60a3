//! How the sum of the attributions tends to what it should be: f(x) - f(x') for Integrated Gradients, and
//! f(x) - E f(x') for Expected Gradients, whose references are a distribution and not one baseline.
//! After [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/).

mod plot;

use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;
use plot::plot;

/// Steps or samples of every run that is drawn.
const COUNTS: [usize; 20] =
    [1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 600, 1200, 2400];
const BLUE: [u8; 3] = [38, 96, 164];
const GREY: [u8; 3] = [150, 150, 150];
const RED: [u8; 3] = [200, 60, 50];

fn main() -> anyhow::Result<()> {
    let model = bundled::resnet()?;
    let scene = |seed| Scene::single(seed).tensor(&Device::Cpu)?.affine(2.0, -1.0);
    let x = scene(7)?;
    let references = (1u64 << 48..(1 << 48) + 50).map(scene).collect::<candle_core::Result<Vec<_>>>()?;
    let references = References::Samples(Tensor::cat(&references, 0)?);

    let sums = |explain: &dyn Fn(usize) -> candlelight::Result<Attribution>| -> anyhow::Result<Vec<(f64, f64, f64)>> {
        let point = |count: usize| {
            let found = explain(count)?.convergence().completeness.clone().unwrap_or_else(|| unreachable!());
            Ok(((count as f64).ln(), found.sum[0], found.difference[0]))
        };
        COUNTS.into_iter().map(point).collect()
    };
    let path = sums(&|steps| IntegratedGradients::default().steps(steps).explain(&model.model, &x))?;
    let method = ExpectedGradients::default().references(references);
    let sampled = sums(&|samples| method.clone().samples(samples).explain(&model.model, &x))?;
    let one_baseline = path[0].2;

    let curve = |points: &[(f64, f64, f64)]| points.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>();
    let level = |height: f64| vec![(path[0].0, height), (path[COUNTS.len() - 1].0, height)];
    let integrated = plot(&[(level(one_baseline), GREY), (curve(&path), BLUE)]);
    let expected = plot(&[(level(sampled[0].2), GREY), (level(one_baseline), RED), (curve(&sampled), BLUE)]);
    let last = |points: &[(f64, f64, f64)]| points[COUNTS.len() - 1].1;
    SideBySide::without_input(integrated.clone())
        .heading("the sum of the attributions (blue) over 1 to 2400 steps or samples, log scale")
        .panel(
            Panel::picture("Integrated Gradients", integrated)
                .note(format!("grey: f(x) - f(x') = {one_baseline:.2}"))
                .note(format!("at 2400 steps {:.2}", last(&path))),
        )
        .panel(
            Panel::picture("Expected Gradients", expected)
                .note(format!("grey: f(x) - E f(x') = {:.2}", sampled[0].2))
                .note(format!("at 2400 samples {:.2}", last(&sampled)))
                .note(format!("red: f(x) - f(0) = {one_baseline:.2}, which it does not tend to")),
        )
        .side(plot::SIZE)
        .save(std::env::args().nth(1).unwrap_or("path-convergence.png".into()))?;
    Ok(())
}
