//! DeepLIFT and DeepSHAP.

use anyhow::Result;
use candlelight_core::{Attribution, DeepLift, DeepLiftShap, References};

use crate::gradients::{baseline, delta};
use crate::methods::{Outputs, Setup};

pub fn rescale(setup: &Setup) -> Result<Outputs> {
    outputs(&setup.explain(&DeepLift::default().baseline(baseline(setup)?))?)
}

pub fn reveal_cancel(setup: &Setup) -> Result<Outputs> {
    outputs(&setup.explain(&DeepLift::default().baseline(baseline(setup)?).reveal_cancel())?)
}

pub fn shap(setup: &Setup) -> Result<Outputs> {
    let samples = References::Samples(setup.input(setup.case.text("baselines")?)?);
    outputs(&setup.explain(&DeepLiftShap::default().references(samples))?)
}

fn outputs(map: &Attribution) -> Result<Outputs> {
    Ok(vec![("attribution".into(), map.values().clone()), ("delta".into(), delta(map, 1.0)?)])
}
