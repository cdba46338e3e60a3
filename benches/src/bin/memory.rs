//! The peak memory of every method under three budgets, each measured in a process of its own. Linux only: it reads
//! `/proc/self/status`.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use candlelight::Error;
use candlelight::models::bundled;
use candlelight::prelude::{Budget, METHODS, Query, Settings, method};
use candlelight_benches::process;
use clap::{Parser, Subcommand};
use std::process::Command;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The budgets, in MiB.
const BUDGETS: [usize; 3] = [64, 128, 256];
/// Steps of paths and samples of samplers: with the images more versions than any budget lets through at once.
const STEPS: usize = 16;

/// Measures how much memory every method takes beyond its model and its images
#[derive(Parser)]
struct Args {
    /// Scenes that are explained together
    #[arg(long, default_value_t = 128)]
    scenes: u64,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(Subcommand)]
enum Work {
    /// One method under one budget (the comparison starts it)
    #[command(hide = true)]
    Work { model: String, method: String, mebibytes: usize },
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.work {
        Some(Work::Work { model, method, mebibytes }) => work(&model, &method, mebibytes, args.scenes),
        None => compare(args.scenes),
    }
}

fn compare(scenes: u64) -> Result<()> {
    let headers = BUDGETS.map(|budget| format!("budget {budget} MiB"));
    println!("{scenes} scenes, {STEPS} steps or samples; peak in MiB beyond the model and the images\n");
    println!("| model | method | {} |\n|---|---|---|---|---|", headers.join(" | "));
    for model in bundled::NAMES {
        for method in METHODS {
            let peaks = BUDGETS.map(|budget| peak(model, method.name, budget, scenes));
            let peaks = peaks.into_iter().collect::<Result<Vec<_>>>()?;
            if peaks.iter().all(|peak| !peak.is_empty()) {
                println!("| {model} | {} | {} |", method.name, peaks.join(" | "));
            }
        }
    }
    Ok(())
}

/// What the process of one measurement prints: MiB, or nothing where the method does not suit the model.
fn peak(model: &str, method: &str, mebibytes: usize, scenes: u64) -> Result<String> {
    let program = std::env::current_exe()?;
    let (scenes, mebibytes) = (scenes.to_string(), mebibytes.to_string());
    let output =
        Command::new(program).args(["--scenes", &scenes, "work", model, method, &mebibytes]).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
        false => bail!("{model}, {method}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn work(model: &str, name: &str, mebibytes: usize, scenes: u64) -> Result<()> {
    let model = bundled::by_name(model, DType::F32, &Device::Cpu).context("no such model")??;
    let images = candlelight_benches::scenes(0..scenes)?;
    let references = Some(images.clone());
    let settings = Settings { references, steps: Some(STEPS), ..Settings::default() };
    let explainer = method(name)?.with(&settings)?;
    let query = Query::from((&images, 0)).budget(Budget::Bytes(mebibytes << 20));
    let before = process::resident()?;
    match explainer.attribute(&model.model, &query) {
        Ok(map) => {
            drop(map);
            println!("{}", (process::peak()? - before).div_ceil(1024));
            Ok(())
        }
        // Without attention, a ReLU or a global pool the method does not suit the model.
        Err(
            Error::MissingLayer { .. }
            | Error::NoRule { .. }
            | Error::NoRuleFired { .. }
            | Error::NotPooled { .. }
            | Error::NoFullGradient { .. },
        ) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
