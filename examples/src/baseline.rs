//! What `--baseline` says.

use crate::failure::{Failure, Result};
use crate::model::Opened;
use candle_core::Tensor;
use candlelight::{Baseline, References};

/// Standard deviation of a blur in pixels, unless told.
const BLUR: f64 = 5.0;
/// Standard deviation of Gaussian noise as a share of the range from black to white, unless told.
const NOISE: f64 = 0.25;

/// The baseline of this name for a model's input; `training` are the samples that are known of its training data.
pub fn of(asked: &str, model: &Opened, training: Option<&Tensor>) -> Result<References> {
    let (name, number) = match asked.split_once(':') {
        Some((name, number)) => (name, Some(parse(asked, number)?)),
        None => (asked, None),
    };
    let bounds = || model.preprocess.bounds();
    Ok(match (name, number) {
        ("zero", None) => Baseline::Zero.into(),
        ("black", None) => Baseline::Lowest(bounds()?).into(),
        ("white", None) => Baseline::Highest(bounds()?).into(),
        ("mean", None) => Baseline::Mean.into(),
        ("max-distance", None) => Baseline::MaxDistance(bounds()?).into(),
        ("blur", sigma) => Baseline::Blurred(sigma.unwrap_or(BLUR)).into(),
        ("uniform", None) => References::Uniform(bounds()?),
        ("gaussian", sigma) => References::Gaussian { sigma: sigma.unwrap_or(NOISE), bounds: bounds()? },
        ("training", None) => References::Samples(training.ok_or_else(no_training)?.clone()),
        _ => return Err(unknown(asked)),
    })
}

fn parse(asked: &str, number: &str) -> Result<f64> {
    number.parse().map_err(|_| unknown(asked))
}

fn unknown(asked: &str) -> Failure {
    Failure::input(
        format!("unknown baseline `{asked}`"),
        "there are zero, black, white, mean, max-distance, blur, blur:5, uniform, gaussian, gaussian:0.25 and training",
    )
}

fn no_training() -> Failure {
    Failure::input(
        "no training data is known for this model, as `--baseline training` needs it",
        "take another baseline, or a bundled model",
    )
}
