//! What the programs of this crate share.

pub mod growth;
pub mod machine;
pub mod page;
pub mod process;
pub mod record;
pub mod rivals;
pub mod table;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candlelight::models::scenes::Scene;
use candlelight::nn::{VarBuilder, VarMap};
use std::ops::Range;

/// A model in single precision with weights at random, none of them tracked.
///
/// # Errors
/// Those of `build`.
pub fn frozen<M>(build: impl Fn(VarBuilder) -> candle_core::Result<M>) -> Result<M> {
    let map = VarMap::new();
    build(VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu))?;
    let variables = map.data().lock().ok().context("the map is poisoned")?;
    let weights = variables.iter().map(|(name, variable)| (name.clone(), variable.as_detached_tensor()));
    Ok(build(VarBuilder::from_tensors(weights.collect(), DType::F32, &Device::Cpu))?)
}

/// The scenes of these seeds as the bundled models take them, `[N, 3, H, W]`.
///
/// # Errors
/// Those of candle.
pub fn scenes(seeds: Range<u64>) -> candle_core::Result<Tensor> {
    let scene = |seed| Scene::single(seed).tensor(&Device::Cpu)?.affine(2.0, -1.0);
    Tensor::cat(&seeds.map(scene).collect::<candle_core::Result<Vec<_>>>()?, 0)
}

/// The median, the mean of two in the middle.
///
/// # Panics
/// If there is no value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}
