//! How time and memory grow with steps, batch, image size and model size: every point in a process of its own, a record, a
//! figure for each axis, and the check that time per step is flat and memory bounded by the budget. Linux only: memory is
//! read from `/proc/self/status`.

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use candlelight::Model;
use candlelight::models::resnet::Block;
use candlelight::models::{ResNet, ResNetConfig, bundled};
use candlelight::prelude::{Budget, Explain, IntegratedGradients, Query, Saliency, layers};
use candlelight_benches::growth::{self, AXES, Axis, Point};
use candlelight_benches::{frozen, median, page, process, scenes, table};
use clap::{Parser, Subcommand};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Width and height of the corner of an image that the model is warmed up on.
const CORNER: usize = 32;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps where they are not what is varied.
const STEPS: usize = 10;
/// Images where steps are varied.
const IMAGES: u64 = 4;
/// Width and height where the model is varied.
const SIDE: usize = 96;

/// Measures how time and memory grow, writes a record and figures, and checks both
#[derive(Parser)]
struct Args {
    /// Runs of each point; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(Subcommand)]
enum Work {
    /// One point (the command starts it)
    #[command(hide = true)]
    Work { axis: String, at: usize },
}

/// What is explained.
struct Subject {
    model: Box<dyn Model>,
    x: Tensor,
    steps: usize,
    label: String,
    at: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.work {
        Some(Work::Work { axis, at }) => work(&axis, at, args.runs),
        None => measure(args.runs),
    }
}

fn measure(runs: usize) -> Result<()> {
    let mut points = Vec::new();
    for axis in AXES {
        for at in axis.points {
            points.push(point(axis, *at, runs)?);
            println!("{:?}", points[points.len() - 1]);
        }
    }
    table::write(&page::records().join(growth::RECORD), &points)?;
    let figures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/figures");
    fs::create_dir_all(&figures)?;
    for axis in AXES {
        growth::charts(axis, &points).save(figures.join(format!("growth-{}.svg", axis.name)))?;
    }
    growth::check(&points)
}

/// What the process of one point prints.
fn point(axis: &Axis, at: usize, runs: usize) -> Result<Point> {
    let runs = runs.to_string();
    let output = Command::new(std::env::current_exe()?)
        .args(["--runs", &runs, "work", axis.name, &at.to_string()])
        .output()?;
    ensure!(output.status.success(), "{} {at}: {}", axis.name, String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn work(axis: &str, at: usize, runs: usize) -> Result<()> {
    let axis = AXES.into_iter().find(|known| known.name == axis).context("no such axis")?;
    let subject = subject(axis, at)?;
    Saliency::default().attribute(&*subject.model, &Query::from(&corner(&subject.x)?))?;
    let method = IntegratedGradients::default().steps(subject.steps);
    let query = Query::from((&subject.x, 0)).budget(Budget::Bytes(axis.budget << 20));
    let before = process::resident()?;
    let mut times = Vec::new();
    for _ in 0..=runs {
        let start = Instant::now();
        drop(method.attribute(&*subject.model, &query)?);
        times.push(start.elapsed().as_secs_f64());
    }
    let mib = (process::peak()? - before).div_ceil(1024) as f64;
    // The first run warms up.
    let seconds = median(times[1..].to_vec());
    let (axis, budget, Subject { label, at, .. }) = (axis.name.to_owned(), axis.budget as f64, subject);
    println!("{}", serde_json::to_string(&Point { axis, label, at, seconds, mib, budget })?);
    Ok(())
}

/// A small image: its gradient lays the weights out for the way back, which the model holds from then on.
fn corner(x: &Tensor) -> Result<Tensor> {
    Ok(x.narrow(0, 0, 1)?.narrow(2, 0, CORNER)?.narrow(3, 0, CORNER)?.contiguous()?)
}

fn subject(axis: &Axis, at: usize) -> Result<Subject> {
    let (steps, label) = (STEPS, at.to_string());
    Ok(match axis.name {
        "steps" => {
            Subject { model: bundled_resnet()?, x: scenes(0..IMAGES)?, steps: at, label, at: at as f64 }
        }
        "batch" => {
            Subject { model: bundled_resnet()?, x: scenes(0..at as u64)?, steps, label, at: at as f64 }
        }
        "image-size" => {
            let x = Tensor::randn(0f32, 1.0, (1, 3, at, at), &Device::Cpu)?;
            let pixels = (at * at) as f64;
            Subject { model: resnet(18)?, x, steps, label: format!("{at} x {at}"), at: pixels }
        }
        _ => {
            let (model, x) = (resnet(at)?, Tensor::randn(0f32, 1.0, (1, 3, SIDE, SIDE), &Device::Cpu)?);
            let work: u64 = layers(&*model, &x)?.iter().map(|layer| layer.macs).sum();
            Subject { model, x, steps, label: format!("ResNet-{at}"), at: work as f64 / 1e6 }
        }
    })
}

fn bundled_resnet() -> Result<Box<dyn Model>> {
    Ok(Box::new(bundled::resnet()?.model))
}

/// A ResNet of so many layers, with weights at random.
fn resnet(depth: usize) -> Result<Box<dyn Model>> {
    let (block, depths) = match depth {
        18 => (Block::Basic, [2, 2, 2, 2]),
        34 => (Block::Basic, [3, 4, 6, 3]),
        50 => (Block::Bottleneck, [3, 4, 6, 3]),
        _ => (Block::Bottleneck, [3, 4, 23, 3]),
    };
    let config = ResNetConfig::imagenet(block, depths, 1000);
    Ok(Box::new(frozen(|vb| ResNet::new(config.clone(), vb))?))
}
