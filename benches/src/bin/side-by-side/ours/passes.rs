//! Passes of the model, without a method.

use super::Setup;
use anyhow::{Context, Result};
use candle_core::{Tensor, Var};

/// The pass of the setup's name; nothing where it is no pass.
pub fn run(setup: &Setup) -> Option<Result<Tensor>> {
    match setup.name.as_str() {
        "forward" | "forward-exact" => Some(forward(setup)),
        "gradient" | "gradient-exact" | "gradient-imports-only" => Some(gradient(setup)),
        _ => None,
    }
}

fn forward(setup: &Setup) -> Result<Tensor> {
    Ok(setup.model.forward(&setup.x)?)
}

/// The gradient of the classes' logits at the images.
fn gradient(setup: &Setup) -> Result<Tensor> {
    let x = Var::from_tensor(&setup.x)?;
    let classes: Vec<u32> = setup.classes.iter().map(|class| *class as u32).collect();
    let classes = Tensor::new(classes, setup.x.device())?.unsqueeze(1)?;
    let score = setup.model.forward(&x)?.gather(&classes, 1)?.sum_all()?;
    Ok(score.backward()?.get(&x).context("no gradient")?.clone())
}
