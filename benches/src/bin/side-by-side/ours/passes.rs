//! Passes of the model: forth, and forth and back.

use super::Setup;
use anyhow::Result;
use candle_core::Tensor;
use candlelight::prelude::{Budget, Explain, Saliency};

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
    let query = setup.query().budget(Budget::Rows(setup.classes.len()));
    Ok(Saliency::signed().attribute(&*setup.model, &query)?.values().clone())
}
