//! Methods that take parts of the input away.

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use candlelight_core::{Attribution, Baseline, FeatureAblation, Features, Occlusion};

use crate::methods::{Outputs, Setup, one};

pub fn feature_ablation(setup: &Setup) -> Result<Outputs> {
    let mask = setup.inputs.get(setup.case.text("feature_mask")?, DType::I64)?;
    let method = FeatureAblation::of(Features::Mask(mask)).baseline(baseline(setup)?);
    everywhere(setup, &setup.explain(&method)?)
}

pub fn occlusion(setup: &Setup) -> Result<Outputs> {
    let method = Occlusion::default().window(sizes(setup, "window")?).stride(sizes(setup, "stride")?);
    everywhere(setup, &setup.explain(&method.baseline(baseline(setup)?))?)
}

/// One size for every axis of a row.
fn sizes(setup: &Setup, name: &str) -> Result<Vec<usize>> {
    let sizes = setup.case.params[name].as_array().with_context(|| format!("no list `{name}`"))?;
    let size = |size: &serde_json::Value| size.as_u64().map(|size| size as usize);
    sizes.iter().map(size).collect::<Option<_>>().with_context(|| format!("`{name}` has no sizes"))
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
