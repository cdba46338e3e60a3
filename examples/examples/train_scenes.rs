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
use candlelight_models::{ResNet, ResNetConfig, ViT, ViTConfig, scenes};
use clap::{Parser, ValueEnum};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// The first scene seed of training; evaluation uses seeds from 0.
const FIRST_SEED: u64 = 1 << 32;
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
    ViT(ViT),
}

impl Net {
    fn new(architecture: Architecture, vb: VarBuilder) -> Result<Self> {
        Ok(match architecture {
            Architecture::Resnet => Self::ResNet(ResNet::new(ResNetConfig::scenes(), vb)?),
            Architecture::Vit => Self::ViT(ViT::new(ViTConfig::scenes(), vb)?),
        })
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::ResNet(net) => net.forward_train(x),
            Self::ViT(net) => net.forward(x),
        }
    }
}

impl Module for Net {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::ResNet(net) => net.forward(x),
            Self::ViT(net) => net.forward(x),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    fs::create_dir_all(&args.out)?;
    let mut weights = VarMap::new();
    let net = Net::new(args.model, VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    if let Some(path) = &args.from {
        weights.load(path)?;
    }
    let params = ParamsAdamW { weight_decay: 0.02, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(weights.all_vars(), params)?;
    let batches = stream(&args);
    let mut log = File::create(args.out.join("log.csv"))?;
    writeln!(log, "step,seconds,loss,accuracy")?;
    let (start, mut sum) = (Instant::now(), 0.0);
    for step in 1..=args.steps {
        optimizer.set_learning_rate(rate(&args, step));
        let (x, labels) = batches.recv()??;
        let loss = loss::cross_entropy(&net.train(&x)?, &labels)?;
        optimizer.backward_step(&loss)?;
        sum += f64::from(loss.to_scalar::<f32>()?);
        if step % EVALUATE_EVERY == 0 || step == args.steps {
            let (seconds, loss) = (start.elapsed().as_secs(), sum / EVALUATE_EVERY as f64);
            let accuracy = accuracy(&net)?;
            writeln!(log, "{step},{seconds},{loss:.4},{accuracy:.4}")?;
            println!("step {step}, {seconds} s: loss {loss:.4}, accuracy {accuracy:.4} on {EVALUATED} unseen scenes");
            weights.save(args.out.join("model.safetensors"))?;
            sum = 0.0;
        }
    }
    Ok(())
}

/// Draws batches ahead of the training, on a thread of its own.
fn stream(args: &Args) -> Receiver<Result<(Tensor, Tensor)>> {
    let (send, receive) = sync_channel(2);
    let (steps, batch, first) = (args.steps, args.batch as u64, FIRST_SEED + args.seed);
    std::thread::spawn(move || {
        for step in 0..steps as u64 {
            if send.send(batch_of(first + step * batch..first + (step + 1) * batch)).is_err() {
                return;
            }
        }
    });
    receive
}

/// Scenes as the models take them: pixels from -1 to 1.
fn batch_of(seeds: std::ops::Range<u64>) -> Result<(Tensor, Tensor)> {
    let (x, labels) = scenes::batch(seeds, &Device::Cpu)?;
    Ok((x.affine(2.0, -1.0)?, labels))
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
        let (x, labels) = batch_of(first..first + 200)?;
        let predicted = net.forward(&x)?.detach().argmax(D::Minus1)?;
        correct += predicted.eq(&labels)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(correct / EVALUATED as f64)
}
