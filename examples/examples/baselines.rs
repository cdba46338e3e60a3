//! Baselines side by side, and what Integrated Gradients makes of each.
//! After [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/).

use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;

fn main() -> anyhow::Result<()> {
    let model = bundled::resnet()?;
    let pixels = Preprocess::sized(64, 64).normalize([0.5; 3], [0.5; 3]);
    let scene = |seed| Scene::single(seed).tensor(&Device::Cpu)?.affine(2.0, -1.0);
    let x = scene(7)?;
    let training = (1u64 << 48..(1 << 48) + 20).map(scene).collect::<candle_core::Result<Vec<_>>>()?;
    let bounds = pixels.bounds()?;
    let baselines: [(&str, References); 8] = [
        ("black", Baseline::Lowest(bounds.clone()).into()),
        ("white", Baseline::Highest(bounds.clone()).into()),
        ("mean colour", Baseline::Mean.into()),
        ("maximum distance", Baseline::MaxDistance(bounds.clone()).into()),
        ("blurred, 5 pixels", Baseline::Blurred(5.0).into()),
        ("uniform", References::Uniform(bounds.clone())),
        ("Gaussian, 25 %", References::Gaussian { sigma: 0.25, bounds }),
        ("training data", References::Samples(Tensor::cat(&training, 0)?)),
    ];
    let sum = |x: &Tensor| x.flatten_from(1)?.sum_keepdim(1);
    let picture = pixels.invert(&x)?;
    let mut sheet = SideBySide::without_input(picture.clone()).columns(8).side(128);
    sheet = sheet.heading(
        "above: a baseline, or one draw of a distribution; below: Integrated Gradients, averaged over it",
    );
    for (name, baseline) in &baselines {
        // The sum of all pixels has the map x - x'.
        let path =
            IntegratedGradients::default().steps(1).baseline(baseline.clone()).draws(1).explain(&sum, &x)?;
        sheet = sheet.panel(Panel::picture(*name, pixels.invert(&(&x - path.values())?)?));
    }
    for (name, baseline) in baselines {
        let map = IntegratedGradients::default().until(0.01).baseline(baseline).explain(&model.model, &x)?;
        let steps = map.convergence().steps.iter().flatten().sum::<usize>();
        let residual =
            map.convergence().completeness.iter().flat_map(|found| found.relative()).fold(0.0, f64::max);
        let panel = Panel::new(name, Heatmap::of(&map)).note(format!("{steps} gradients"));
        sheet = sheet.panel(panel.note(format!("residual {:.1} %", residual * 100.0)));
    }
    sheet.save(std::env::args().nth(1).unwrap_or("baselines.png".into()))?;
    Ok(())
}
