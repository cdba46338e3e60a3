//! What Non-Sensitivity takes and finds with 1, 32 and 128 features in a pass: every feature is replaced alone, so that
//! what it finds does not depend on that. Scenes for the bundled models, Integrated Gradients.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight::metrics::NonSensitivity;
use candlelight::models::bundled;
use candlelight::prelude::{Explain, IntegratedGradients};
use candlelight::{Attribution, Budget, Model, Query};
use candlelight_benches::scenes;
use clap::Parser;
use std::time::Instant;

/// The allocator that the programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Features that go through the model together.
const STEPS: [usize; 3] = [1, 32, 128];

/// Measures Non-Sensitivity with 1, 32 and 128 features in a pass
#[derive(Parser)]
struct Args {
    /// Scenes for each model
    #[arg(long, default_value_t = 2)]
    scenes: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("| model | features of an image | in a pass | seconds | violations |");
    println!("|---|---|---|---|---|");
    for name in bundled::NAMES {
        let Some(model) = bundled::by_name(name, DType::F32, &Device::Cpu) else { continue };
        measure(name, &model?.model, &scenes(0..args.scenes)?)?;
    }
    Ok(())
}

fn measure(name: &str, model: &dyn Model, scenes: &Tensor) -> Result<()> {
    let map = IntegratedGradients::default().explain(model, scenes)?;
    let mut first: Option<Vec<usize>> = None;
    for step in STEPS {
        let start = Instant::now();
        let counts = counts(model, scenes, &map, step)?;
        let seconds = start.elapsed().as_secs_f64();
        let features = scenes.elem_count() / scenes.dim(0)?;
        let told: Vec<String> = counts.iter().map(usize::to_string).collect();
        println!("| {name} | {features} | {step} | {seconds:.2} | {} |", told.join(", "));
        ensure!(*first.get_or_insert(counts.clone()) == counts, "the violations depend on the step");
    }
    Ok(())
}

/// The violations of each scene.
fn counts(model: &dyn Model, scenes: &Tensor, map: &Attribution, step: usize) -> Result<Vec<usize>> {
    let metric = NonSensitivity::default();
    let query = Query::from((scenes, map.classes().to_vec())).budget(Budget::Rows(step));
    let found = metric.compare(&metric.effects(model, &query)?, map)?;
    Ok(found.rows.iter().map(|row| row.count()).collect())
}
