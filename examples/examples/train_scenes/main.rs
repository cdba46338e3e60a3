//! Trains one of the bundled demo models on procedural scenes, on candle, through `candlelight::nn`.
//!
//! ```text
//! cargo run --release -p candlelight-examples --example train_scenes -- resnet --steps 3000 --out models/weights/resnet
//! ```
//!
//! Every batch is new: scene seeds count up from 2³², so that all seeds below it are unseen. Progress goes to
//! `log.csv` in the output folder, the weights to `model.safetensors` after every evaluation, so that an
//! interrupted training loses at most the steps since the last one.

use candle_core::{D, DType, Device, Module, Result, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss};
use candlelight_core::nn;
use candlelight_models::scenes::{SIZE, Scene};
use candlelight_models::{ResNet, ResNetConfig, ViT, ViTConfig};
use clap::{Parser, ValueEnum};
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// The first scene seed of training; evaluation uses seeds from 0.
const FIRST_SEED: u64 = 1 << 32;
/// Side of the transformer's patches in pixels.
const PATCH: usize = 8;
/// Steps between two evaluations.
const EVALUATE_EVERY: usize = 250;
/// Scenes of an evaluation.
const EVALUATED: u64 = 2000;

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

enum Net {
    ResNet(ResNet),
    /// The transformer and, for training alone, a head that names the class under every patch.
    ViT(ViT, nn::Linear),
}

impl Net {
    fn new(architecture: Architecture, weights: &VarMap, patch_head: &VarMap) -> Result<Self> {
        let builder = |weights| VarBuilder::from_varmap(weights, DType::F32, &Device::Cpu);
        Ok(match architecture {
            Architecture::Resnet => Self::ResNet(ResNet::new(ResNetConfig::scenes(), builder(weights))?),
            Architecture::Vit => {
                let config = ViTConfig::scenes();
                let head = nn::linear(config.hidden_size, config.classes + 1, builder(patch_head))?;
                let vit = ViT::new(config, builder(weights))?;
                spread_positions(weights)?;
                Self::ViT(vit, head)
            }
        })
    }

    /// The loss of a batch. The transformer also learns from every patch: which class lies under it, or none.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        match self {
            Self::ResNet(net) => loss::cross_entropy(&net.forward_train(&batch.x)?, &batch.labels),
            Self::ViT(net, head) => {
                let tokens = net.tokens(&batch.x)?;
                let patches = tokens.narrow(1, 1, tokens.dim(1)? - 1)?.contiguous()?.flatten(0, 1)?;
                let whole = loss::cross_entropy(&net.classify(&tokens)?, &batch.labels)?;
                let chosen = head.forward(&patches.index_select(&batch.patches, 0)?)?;
                whole + loss::cross_entropy(&chosen, &batch.patch_labels)?
            }
        }
    }
}

/// Starts the positions of the patches as sines and cosines of row and column, so that neighbours are near from
/// the first step on.
fn spread_positions(weights: &VarMap) -> Result<()> {
    let tensors = weights.data().lock().map_err(|_| candle_core::Error::msg("the weights are locked"))?;
    let Some(positions) = tensors.get("vit.embeddings.position_embeddings") else { return Ok(()) };
    let (_, tokens, size) = positions.dims3()?;
    let (columns, quarter) = (((tokens - 1) as f64).sqrt() as usize, size / 4);
    let value = |token: usize, k: usize| {
        let place = if (k / quarter).is_multiple_of(2) { token / columns } else { token % columns };
        let angle = (place as f64 + 0.5) * 1.5 * (-(((k % quarter) as f64) / quarter as f64) * 3.0).exp();
        if k < 2 * quarter { angle.sin() } else { angle.cos() }
    };
    let values = (0..tokens * size).map(|i| match i / size {
        0 => 0.0,
        token => (0.5 * value(token - 1, i % size)) as f32,
    });
    positions.set(&Tensor::from_vec(values.collect(), (1, tokens, size), &Device::Cpu)?)
}

impl Module for Net {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::ResNet(net) => net.forward(x),
            Self::ViT(net, _) => net.forward(x),
        }
    }
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
    writeln!(log, "step,seconds,loss,accuracy")?;
    let (start, mut sum) = (Instant::now(), 0.0);
    for step in 1..=args.steps {
        optimizer.set_learning_rate(rate(&args, step));
        let loss = net.loss(&batches.recv()??)?;
        optimizer.backward_step(&loss)?;
        sum += f64::from(loss.to_scalar::<f32>()?);
        if step % EVALUATE_EVERY == 0 || step == args.steps {
            let (seconds, loss) = (start.elapsed().as_secs(), sum / EVALUATE_EVERY as f64);
            let accuracy = accuracy(&net)?;
            writeln!(log, "{step},{seconds},{loss:.4},{accuracy:.4}")?;
            println!(
                "step {step}, {seconds} s: loss {loss:.4}, accuracy {accuracy:.4} on {EVALUATED} unseen scenes"
            );
            weights.save(args.out.join("model.safetensors"))?;
            sum = 0.0;
        }
    }
    Ok(())
}

/// One batch of training.
struct Batch {
    x: Tensor,
    labels: Tensor,
    /// Patches chosen for their own loss: those of the object and as many others.
    patches: Tensor,
    patch_labels: Tensor,
}

/// Draws batches ahead of the training, on a thread of its own.
fn stream(args: &Args) -> Receiver<Result<Batch>> {
    let (send, receive) = sync_channel(2);
    let (steps, batch, first, fade) = (args.steps, args.batch as u64, FIRST_SEED + args.seed, args.fade);
    std::thread::spawn(move || {
        for step in 0..steps as u64 {
            let share = 0.9 * (1.0 - step as f64 / (fade * steps as f64)).max(0.0);
            if send.send(Batch::draw(first + step * batch..first + (step + 1) * batch, share)).is_err() {
                return;
            }
        }
    });
    receive
}

impl Batch {
    /// Scenes with so large a share of the object's silhouette blended in: an easy start that fades out.
    fn draw(seeds: Range<u64>, silhouette: f64) -> Result<Self> {
        let scenes: Vec<Scene> = seeds.map(Scene::single).collect();
        let labels: Vec<u32> = scenes.iter().map(|scene| scene.class() as u32).collect();
        let (plain, _) = pixels(&scenes)?;
        let masks: Vec<f32> = scenes
            .iter()
            .flat_map(|scene| &scene.objects[0].mask)
            .map(|&inside| if inside { 1.0 } else { -1.0 })
            .collect();
        let masks = Tensor::from_vec(masks, (scenes.len(), 1, SIZE, SIZE), &Device::Cpu)?;
        let x = (plain * (1.0 - silhouette))?.broadcast_add(&(masks * silhouette)?)?;
        let (patches, patch_labels) = patches(&scenes);
        Ok(Self {
            x,
            labels: Tensor::new(labels, &Device::Cpu)?,
            patches: Tensor::new(patches, &Device::Cpu)?,
            patch_labels: Tensor::new(patch_labels, &Device::Cpu)?,
        })
    }
}

/// Scenes as the models take them, pixels from -1 to 1, with their labels.
fn pixels(scenes: &[Scene]) -> Result<(Tensor, Tensor)> {
    let images = scenes.iter().map(|scene| scene.tensor(&Device::Cpu)).collect::<Result<Vec<_>>>()?;
    let labels: Vec<u32> = scenes.iter().map(|scene| scene.class() as u32).collect();
    Ok((Tensor::cat(&images, 0)?.affine(2.0, -1.0)?, Tensor::new(labels, &Device::Cpu)?))
}

/// Indices of the patches that learn, and what lies under each: a class, or 10 for none.
fn patches(scenes: &[Scene]) -> (Vec<u32>, Vec<u32>) {
    let (side, none) = (SIZE / PATCH, 10);
    let covered = |scene: &Scene, patch: usize| {
        let (top, left) = (patch / side * PATCH, patch % side * PATCH);
        let inside = |i: usize| scene.objects[0].mask[(top + i / PATCH) * SIZE + left + i % PATCH];
        (0..PATCH * PATCH).filter(|&i| inside(i)).count()
    };
    let mut chosen = (Vec::new(), Vec::new());
    for (n, scene) in scenes.iter().enumerate() {
        for patch in 0..side * side {
            let cover = covered(scene, patch);
            let on_object = cover > PATCH * PATCH / 4;
            if on_object || (cover == 0 && (patch + n).is_multiple_of(6)) {
                chosen.0.push((n * side * side + patch) as u32);
                chosen.1.push(if on_object { scene.class() as u32 } else { none });
            }
        }
    }
    chosen
}

fn rate(args: &Args, step: usize) -> f64 {
    let warm = (args.steps / 20).max(1);
    if step <= warm {
        return args.rate * step as f64 / warm as f64;
    }
    let progress = (step - warm) as f64 / (args.steps - warm).max(1) as f64;
    args.rate * 0.5 * (1.0 + (progress * std::f64::consts::PI).cos())
}

fn accuracy(net: &Net) -> Result<f64> {
    let mut correct = 0.0;
    for first in (0..EVALUATED).step_by(200) {
        let scenes: Vec<Scene> = (first..first + 200).map(Scene::single).collect();
        let (x, labels) = pixels(&scenes)?;
        let predicted = net.forward(&x)?.detach().argmax(D::Minus1)?;
        correct += predicted.eq(&labels)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(correct / EVALUATED as f64)
}
