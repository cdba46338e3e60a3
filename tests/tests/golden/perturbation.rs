//! Methods that take parts of the input away.

use anyhow::Result;
use candle_core::{DType, Tensor};
use candlelight_core::{Attribution, Baseline, FeatureAblation, Features};

use crate::methods::{Outputs, Setup, one};

pub fn feature_ablation(setup: &Setup) -> Result<Outputs> {
    let mask = setup.inputs.get(setup.case.text("feature_mask")?, DType::I64)?;
    let method = FeatureAblation::of(Features::Mask(mask)).baseline(baseline(setup)?);
    everywhere(setup, &setup.explain(&method)?)
}

/// The peer's map has the input's shape: what our map says of all channels together, it says of each.
fn everywhere(setup: &Setup, map: &Attribution) -> Result<Outputs> {
    let map: Tensor = map.values().broadcast_as(setup.x.shape())?.contiguous()?;
    Ok(one("attribution", map))
}

/// A number, or the name of a tensor.
fn baseline(setup: &Setup) -> Result<Baseline> {
    match setup.case.params["baseline"].as_f64() {
        Some(value) => Ok(Baseline::Constant(value)),
        None => Ok(Baseline::Tensor(setup.input(setup.case.text("baseline")?)?)),
    }
}
