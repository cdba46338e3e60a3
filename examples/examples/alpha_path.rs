//! The path of Integrated Gradients: the images between the baseline and the input, their gradients, and what has added
//! up so far. After [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/).

use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;

fn main() -> anyhow::Result<()> {
    let model = bundled::resnet()?;
    let pixels = Preprocess::sized(64, 64).normalize([0.5; 3], [0.5; 3]);
    let x = Scene::single(7).tensor(&Device::Cpu)?.affine(2.0, -1.0)?;
    let class = Saliency::default().explain(&model.model, &x)?.classes()[0];
    let black = Baseline::Lowest(pixels.bounds()?);
    let sum = |x: &Tensor| x.flatten_from(1)?.sum_keepdim(1);
    let path = IntegratedGradients::default().steps(1).baseline(black.clone()).explain(&sum, &x)?;

    let heading = format!("from black to a {}: x' + alpha (x - x')", model.labels.name(class));
    let mut sheet = SideBySide::without_input(pixels.invert(&x)?).heading(heading).columns(5).side(128);
    let points =
        [0.0, 0.1, 0.25, 0.5, 1.0].map(|alpha| Ok((alpha, (&x - (path.values() * (1.0 - alpha))?)?)));
    let points = points.into_iter().collect::<candle_core::Result<Vec<(f64, Tensor)>>>()?;
    for (alpha, point) in &points {
        sheet = sheet.panel(Panel::picture(format!("alpha = {alpha}"), pixels.invert(point)?));
    }
    for (alpha, point) in &points {
        let gradient = Saliency::signed().explain(&model.model, (point, class))?;
        sheet = sheet.panel(Panel::new(format!("gradient, {alpha}"), Heatmap::of(&gradient)));
    }
    for (alpha, point) in &points {
        // The path to a point on the path is a part of it.
        let part = IntegratedGradients::default().steps(200).baseline(black.clone());
        let part = part.explain(&model.model, (point, class))?;
        let total = part.convergence().completeness.as_ref().map_or(0.0, |found| found.sum[0]);
        let panel = Panel::new(format!("sum to {alpha}"), Heatmap::of(&part));
        sheet = sheet.panel(panel.note(format!("adds up to {total:.2}")));
    }
    sheet.save(std::env::args().nth(1).unwrap_or("alpha-path.png".into()))?;
    Ok(())
}
