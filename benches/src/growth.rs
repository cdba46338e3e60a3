//! How time and memory grow: the points that are measured, and what is to be seen of them.

use anyhow::{Result, ensure};
use candlelight::image::{Chart, Charts, OKABE_ITO, Series, Stroke};
use serde::{Deserialize, Serialize};

/// The record's name.
pub const RECORD: &str = "growth.csv";
/// How far from straight time may grow: the exponent of time over the axis, least squares through logarithms.
const FLAT: (f64, f64) = (0.8, 1.15);
/// Steps below which fixed costs show.
const FIXED: f64 = 20.0;
/// What is held beside a budget, in MiB: rows that are on their way in two threads, and pages that are not handed back.
const BESIDE: f64 = 64.0;

/// What is varied.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// The name in the record and of the figure.
    pub name: &'static str,
    /// The figure's title.
    pub title: &'static str,
    /// What is along it.
    pub x: &'static str,
    /// What is done.
    pub what: &'static str,
    /// The places on it.
    pub points: &'static [usize],
    /// The memory budget, in MiB.
    pub budget: usize,
}

/// All of them.
pub const AXES: [&Axis; 4] = [
    &Axis {
        name: "steps",
        title: "Integrated Gradients, by steps",
        x: "steps",
        what: "The bundled ResNet, 4 images.",
        points: &[5, 10, 20, 50, 100, 200, 400],
        budget: 64,
    },
    &Axis {
        name: "batch",
        title: "Integrated Gradients, by batch",
        x: "images",
        what: "The bundled ResNet, 10 steps.",
        points: &[1, 2, 4, 8, 16, 32, 64, 128],
        budget: 64,
    },
    &Axis {
        name: "image-size",
        title: "Integrated Gradients, by image size",
        x: "pixels",
        what: "ResNet-18 with weights at random, 1 image of 64 x 64 to 320 x 320 pixels, 10 steps.",
        points: &[64, 96, 128, 192, 256, 320],
        budget: 256,
    },
    &Axis {
        name: "model-size",
        title: "Integrated Gradients, by model size",
        x: "multiply-adds of a pass, millions",
        what: "ResNet-18, 34, 50 and 101 with weights at random, 1 image of 96 x 96 pixels, 10 steps.",
        points: &[18, 34, 50, 101],
        budget: 256,
    },
];

/// One measurement.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// The axis's name.
    pub axis: String,
    /// What the point is called.
    pub label: String,
    /// How far along the axis, in its unit.
    pub at: f64,
    /// The median time, in seconds.
    pub seconds: f64,
    /// The peak beyond the model and the images, in MiB.
    pub mib: f64,
    /// The memory budget, in MiB.
    pub budget: f64,
}

/// Time and memory over one axis, on one sheet.
pub fn charts(axis: &Axis, points: &[Point]) -> Charts {
    let of: Vec<&Point> = points.iter().filter(|point| point.axis == axis.name).collect();
    let curve =
        |value: fn(&Point) -> f64| of.iter().map(|point| (point.at, value(point))).collect::<Vec<_>>();
    let time = Chart::new("time", axis.x, "seconds").curve(Series::new(
        "measured",
        curve(|point| point.seconds),
        OKABE_ITO[0],
    ));
    let memory = Chart::new("memory beyond the model", axis.x, "MiB")
        .curve(Series::new("measured", curve(|point| point.mib), OKABE_ITO[0]))
        .curve(Series::new("budget", curve(|point| point.budget), [120; 3]).stroke(Stroke::Dotted));
    Charts::new(axis.title).note(axis.what).chart(time).chart(memory)
}

/// How time grows along an axis: the exponent b of t = a·xᵇ, least squares through logarithms, of points where fixed costs
/// no longer show.
pub fn exponent(axis: &Axis, points: &[Point]) -> f64 {
    let counted = |point: &&Point| point.axis == axis.name && (axis.name != "steps" || point.at >= FIXED);
    let logs: Vec<(f64, f64)> =
        points.iter().filter(counted).map(|point| (point.at.ln(), point.seconds.ln())).collect();
    let n = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let along: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    along / logs.iter().map(|log| (log.0 - x).powi(2)).sum::<f64>()
}

/// What an axis shows, in a sentence.
pub fn verdict(axis: &Axis, points: &[Point]) -> String {
    let most =
        points.iter().filter(|point| point.axis == axis.name).map(|point| point.mib).fold(0.0, f64::max);
    let exponent = exponent(axis, points);
    let bound = axis.budget as f64 + BESIDE;
    format!(
        "Time grows with the power {exponent:.2} of the axis. The peak is {most:.0} MiB, the bound {bound:.0} MiB."
    )
}

/// Time per step is flat, and memory stays below the budget and what is held beside it.
///
/// # Errors
/// If it is not so.
pub fn check(points: &[Point]) -> Result<()> {
    for axis in AXES {
        println!("{}: {}", axis.name, verdict(axis, points));
        let exponent = exponent(axis, points);
        // Small images and models keep a fixed share that hides how they grow: only steps must be flat.
        let is_flat = axis.name != "steps" || (FLAT.0..=FLAT.1).contains(&exponent);
        ensure!(is_flat, "time per step is not flat: it grows with the power {exponent:.2}");
        for point in points.iter().filter(|point| point.axis == axis.name) {
            let bound = point.budget + BESIDE;
            ensure!(
                point.mib <= bound,
                "{} {}: {} MiB are over {bound} MiB",
                axis.name,
                point.label,
                point.mib
            );
        }
    }
    Ok(())
}
