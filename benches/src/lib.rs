//! What the programs of this crate share.

pub mod growth;
pub mod machine;
pub mod page;
pub mod record;
pub mod rivals;
pub mod table;

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use candlelight::nn::{VarBuilder, VarMap};

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

/// The median, the mean of two in the middle.
///
/// # Panics
/// If there is no value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}
