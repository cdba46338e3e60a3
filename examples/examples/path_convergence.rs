//! How the sum of the attributions tends to what it should be: f(x) - f(x') for Integrated Gradients, and
//! f(x) - E f(x') for Expected Gradients, whose references are a distribution and not one baseline.
//! After [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/).

use anyhow::{Context, Result};
use candlelight::models::{bundled, scenes::Scene};
use candlelight::prelude::*;
use plotters::prelude::*;

/// Steps or samples of every run that is drawn.
const COUNTS: [usize; 20] =
    [1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 600, 1200, 2400];
const BLUE: RGBColor = RGBColor(38, 96, 164);
const GREY: RGBColor = RGBColor(130, 130, 130);
const RED: RGBColor = RGBColor(200, 60, 50);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn main() -> Result<()> {
    let model = bundled::resnet()?.model;
    let scene = |seed| Scene::single(seed).tensor(&Device::Cpu)?.affine(2.0, -1.0);
    let x = scene(7)?;
    let references = (1u64 << 48..(1 << 48) + 50).map(scene).collect::<candle_core::Result<Vec<_>>>()?;
    let method = ExpectedGradients::default().references(References::Samples(Tensor::cat(&references, 0)?));

    let path = sums(|steps| IntegratedGradients::default().steps(steps).explain(&model, &x))?;
    let sampled = sums(|samples| method.clone().samples(samples).explain(&model, &x))?;
    let file = std::env::args().nth(1).unwrap_or("path-convergence.svg".into());
    let sheet = SVGBackend::new(&file, (960, 400)).into_drawing_area();
    sheet.fill(&WHITE)?;
    let (left, right) = sheet.split_horizontally(480);
    let one_baseline = (path.1, RED, "f(x) - f(0)");
    draw(&left, "Integrated Gradients, steps", &path.0, &[(path.1, GREY, "f(x) - f(x'), x' = 0")])?;
    draw(
        &right,
        "Expected Gradients, samples",
        &sampled.0,
        &[(sampled.1, GREY, "f(x) - E f(x')"), one_baseline],
    )?;
    sheet.present().with_context(|| format!("cannot write `{file}`"))
}

/// The sum of the attributions for each of [`COUNTS`], and what it should be.
fn sums(explain: impl Fn(usize) -> candlelight::Result<Attribution>) -> Result<(Vec<(f64, f64)>, f64)> {
    let (mut points, mut wanted) = (Vec::new(), 0.0);
    for count in COUNTS {
        let map = explain(count)?;
        let found = map.convergence().completeness.as_ref().context("a method without completeness")?;
        points.push((count as f64, found.sum[0]));
        wanted = found.difference[0];
    }
    Ok((points, wanted))
}

/// A curve over a logarithmic axis, and the levels it may tend to.
fn draw(
    area: &Area,
    title: &str,
    points: &[(f64, f64)],
    levels: &[(f64, RGBColor, &'static str)],
) -> Result<()> {
    let heights = || points.iter().map(|point| point.1).chain(levels.iter().map(|level| level.0));
    let (low, high) = (heights().fold(f64::INFINITY, f64::min), heights().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(48)
        .build_cartesian_2d((1.0..2400.0).log_scale(), low - 0.5..high + 0.5)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_desc("sum of the attributions")
        .x_label_formatter(&|count| format!("{count}"))
        .y_label_formatter(&|sum| format!("{sum}"))
        .draw()?;
    for &(level, colour, name) in levels {
        let line = LineSeries::new([(1.0, level), (2400.0, level)], colour.stroke_width(2));
        let key = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
        chart.draw_series(line)?.label(format!("{name} = {level:.2}")).legend(key);
    }
    chart.draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(2)))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(GREY.mix(0.4))
        .draw()?;
    Ok(())
}
