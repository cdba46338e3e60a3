//! How many gradients Integrated Gradients needs for a residual: Captum's default rule, given the best of its usual
//! numbers of steps beforehand, and ours, which has to find out.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candlelight::Model;
use candlelight::models::bundled;
use candlelight::prelude::{Attribution, Explain, IntegratedGradients};
use candlelight_benches::{median, scenes};
use candlelight_tests::Folder;
use candlelight_tests::folders::{Place, places};
use clap::Parser;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The numbers of steps that the peer is given, the smallest that suffices.
const GRID: [usize; 6] = [10, 20, 50, 100, 200, 500];
/// The map that both are compared with: Gauss-Legendre with so many steps.
const REFERENCE: usize = 200;
/// Images that are explained together.
const TOGETHER: usize = 8;

/// Compares the gradients taken until the residual is small enough
#[derive(Parser)]
struct Args {
    /// Scenes for each of the bundled models
    #[arg(long, default_value_t = 200)]
    scenes: u64,
    /// The residual, relative to the difference of the scores
    #[arg(long, default_value_t = 0.01)]
    residual: f64,
}

/// What one image took.
struct Taken {
    peer: usize,
    ours: usize,
    /// The residual that ours stopped at.
    residual: f64,
    /// How far the maps are from that of many steps, norm over norm: the peer's and ours.
    off: (f64, f64),
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!(
        "residual {}; Gauss-Legendre with the smallest of {GRID:?} steps that reaches it\n",
        args.residual
    );
    println!(
        "| model | images | Gauss-Legendre | `until` | of it | image by image | not reached | map off |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for name in bundled::NAMES {
        let Some(model) = bundled::by_name(name, DType::F32, &Device::Cpu) else { continue };
        row(name, &model?.model, &scenes(0..args.scenes)?, args.residual)?;
    }
    for place in places() {
        let Place::Found(folder) = place else { continue };
        let folder = Folder::open(&folder)?;
        for id in ["lenet_mnist", "resnet20_cifar"] {
            if folder.models().any(|model| model == id) {
                row(id, &*folder.model(id, DType::F32)?, &folder.sample(id, DType::F32)?, args.residual)?;
            }
        }
    }
    Ok(())
}

/// Measures one model and prints its line.
fn row(name: &str, model: &dyn Model, images: &Tensor, residual: f64) -> Result<()> {
    let mut taken = Vec::new();
    for first in (0..images.dim(0)?).step_by(TOGETHER) {
        let count = TOGETHER.min(images.dim(0)? - first);
        taken.extend(measure(model, &images.narrow(0, first, count)?, residual)?);
    }
    let of = |value: fn(&Taken) -> f64| median(taken.iter().map(value).collect());
    let (peer, ours) = (of(|taken| taken.peer as f64), of(|taken| taken.ours as f64));
    let pairs = of(|taken| taken.ours as f64 / taken.peer as f64);
    let missed = taken.iter().filter(|taken| taken.residual > residual).count();
    let most = taken.iter().map(|taken| taken.ours).max().unwrap_or(0);
    let off = (of(|taken| taken.off.0 * 100.0), of(|taken| taken.off.1 * 100.0));
    println!(
        "| {name} | {} | {peer} | {ours} (most: {most}) | {:.2} | {pairs:.2} | {missed} | {:.1} %, {:.1} % |",
        taken.len(),
        ours / peer,
        off.0,
        off.1
    );
    Ok(())
}

fn measure(model: &dyn Model, images: &Tensor, residual: f64) -> Result<Vec<Taken>> {
    let count = images.dim(0)?;
    let truth = IntegratedGradients::default().steps(REFERENCE).explain(model, images)?;
    let ours = IntegratedGradients::default().until(residual).explain(model, images)?;
    let mut peer: Vec<Option<(usize, f64)>> = vec![None; count];
    for steps in GRID {
        if peer.iter().all(Option::is_some) {
            break;
        }
        let map = IntegratedGradients::default().steps(steps).explain(model, images)?;
        let (residuals, off) = (residuals(&map), off(&map, &truth)?);
        for (image, found) in peer.iter_mut().enumerate() {
            if found.is_none() && (residuals[image] <= residual || steps == GRID[GRID.len() - 1]) {
                *found = Some((steps, off[image]));
            }
        }
    }
    let (residuals, ours_off) = (residuals(&ours), off(&ours, &truth)?);
    let steps = ours.convergence().steps.clone().unwrap_or_default();
    let taken = peer.into_iter().flatten().enumerate().map(|(image, (peer, off))| Taken {
        peer,
        ours: steps[image],
        residual: residuals[image],
        off: (off, ours_off[image]),
    });
    Ok(taken.collect())
}

fn residuals(map: &Attribution) -> Vec<f64> {
    map.convergence().completeness.iter().flat_map(|it| it.relative()).collect()
}

/// The norm of what the maps of each image differ by, over that of `truth`.
fn off(map: &Attribution, truth: &Attribution) -> Result<Vec<f64>> {
    let norms = |x: &Tensor| -> Result<Vec<f64>> {
        Ok(x.flatten_from(1)?.to_dtype(DType::F64)?.sqr()?.sum(1)?.sqrt()?.to_vec1()?)
    };
    let apart = norms(&(map.values() - truth.values())?)?;
    Ok(apart.into_iter().zip(norms(truth.values())?).map(|(apart, norm)| apart / norm).collect())
}
