//! Trains one of the bundled demo models on procedural scenes, on candle, through `candlelight::nn`.
//!
//! ```text
//! cargo run --release -p candlelight-examples --example train_scenes -- resnet --steps 3000 --out models/weights/resnet
//! ```
//!
//! Every batch is new: scene seeds count up from 2³², so that all seeds below it are unseen. Progress goes to
//! `log.csv` in the output folder, the weights to `model.safetensors` after every evaluation, so that an
//! interrupted training loses at most the steps since the last one.

mod data;
mod guidance;
mod net;
mod open;

use candle_core::{Module, Result};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarMap};
use candlelight_models::scenes::Scene;
use clap::{Parser, ValueEnum};
use data::{pixels, stream};
use net::Net;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Steps between two evaluations.
const EVALUATE_EVERY: usize = 500;
/// Scenes of an evaluation.
const EVALUATED: u64 = 2000;
/// Scenes with two objects of an evaluation.
const EVALUATED_PAIRS: u64 = 500;

/// Trains a bundled demo model on scenes.
#[derive(Parser)]
struct Args {
    /// The architecture
    #[arg(value_enum)]
    model: Architecture,
    /// Optimiser steps
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Scenes in a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Peak learning rate, reached after a twentieth of the steps, then falling as a cosine
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Where `model.safetensors` and `log.csv` are written
    #[arg(long)]
    out: PathBuf,
    /// Share of the steps over which a silhouette of the object, blended in at first, fades out
    #[arg(long, default_value_t = 0.0)]
    fade: f64,
    /// Share of the scenes that show two objects
    #[arg(long, default_value_t = 0.0)]
    pairs: f64,
    /// Weight of the loss that wants the relevance of a class on its object, where scenes show two
    #[arg(long, default_value_t = 0.0)]
    guide: f64,
    /// Continue from the weights in this file
    #[arg(long)]
    from: Option<PathBuf>,
    /// Offset of the scene seeds, so that a continued training sees new scenes
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Architecture {
    Resnet,
    Vit,
}

/// Sums since the last evaluation.
#[derive(Default)]
struct Since {
    steps: usize,
    loss: f64,
    told: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    fs::create_dir_all(&args.out)?;
    let (mut weights, patch_head) = (VarMap::new(), VarMap::new());
    let net = Net::new(args.model, &weights, &patch_head)?;
    if let Some(path) = &args.from {
        weights.load(path)?;
    }
    let params = ParamsAdamW { weight_decay: 0.02, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new([weights.all_vars(), patch_head.all_vars()].concat(), params)?;
    let batches = stream(&args);
    let mut log = File::create(args.out.join("log.csv"))?;
    writeln!(log, "step,seconds,loss,told,accuracy,pairs")?;
    let (start, mut since) = (Instant::now(), Since::default());
    for step in 1..=args.steps {
        optimizer.set_learning_rate(rate(&args, step));
        let seen = net.loss(&batches.recv()??, args.guide)?;
        optimizer.backward_step(&seen.loss)?;
        since.add(f64::from(seen.loss.to_scalar::<f32>()?), seen.told);
        if step % EVALUATE_EVERY == 0 || step == args.steps {
            let seconds = start.elapsed().as_secs();
            let (loss, told) = since.means();
            let accuracy = right(&net, Scene::single, EVALUATED)?;
            let pairs = right(&net, Scene::pair, EVALUATED_PAIRS)?;
            writeln!(log, "{step},{seconds},{loss:.4},{told:.4},{accuracy:.4},{pairs:.4}")?;
            println!(
                "step {step}, {seconds} s: loss {loss:.4}, relevance on its object in {told:.4}; right on {accuracy:.4} of \
                 {EVALUATED} unseen scenes and on {pairs:.4} of {EVALUATED_PAIRS} with two objects"
            );
            weights.save(args.out.join("model.safetensors"))?;
            since = Since::default();
        }
    }
    Ok(())
}

impl Since {
    fn add(&mut self, loss: f64, told: Option<f64>) {
        self.steps += 1;
        self.loss += loss;
        self.told += told.unwrap_or_default();
    }

    /// The mean loss, and in how many scenes the relevance was on its object; 0 where nothing was asked.
    fn means(&self) -> (f64, f64) {
        (self.loss / self.steps as f64, self.told / self.steps as f64)
    }
}

fn rate(args: &Args, step: usize) -> f64 {
    let warm = (args.steps / 20).max(1);
    if step <= warm {
        return args.rate * step as f64 / warm as f64;
    }
    let progress = (step - warm) as f64 / (args.steps - warm).max(1) as f64;
    args.rate * 0.5 * (1.0 + (progress * std::f64::consts::PI).cos())
}

/// The share of unseen scenes whose likeliest classes are those of their objects, in any order.
fn right(net: &Net, draw: fn(u64) -> Scene, scenes: u64) -> Result<f64> {
    let mut right = 0;
    for first in (0..scenes).step_by(100) {
        let scenes: Vec<Scene> = (first..first + 100).map(draw).collect();
        let logits = net.forward(&pixels(&scenes)?)?.detach().to_vec2::<f32>()?;
        right += scenes.iter().zip(&logits).filter(|(scene, logits)| named(scene, logits)).count();
    }
    Ok(right as f64 / scenes as f64)
}

/// Whether no other class is likelier than one of the scene's.
fn named(scene: &Scene, logits: &[f32]) -> bool {
    let classes = || scene.objects.iter().map(|object| object.shape.index());
    let least = classes().map(|class| logits[class]).fold(f32::INFINITY, f32::min);
    logits.iter().filter(|&&logit| logit >= least).count() == classes().count()
}
