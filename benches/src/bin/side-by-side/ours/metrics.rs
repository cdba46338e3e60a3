//! Metrics in the peers' settings, and their numbers in the peers' form.

use super::{Setup, Told};
use anyhow::Result;
use candle_core::{Device, Tensor};
use candlelight::metrics::{
    Deletion, Entry, First, InputInvariance, Insertion, Measured, Metric, NonSensitivity, PointingGame,
    Removing, Road, Subject,
};
use candlelight::{Attribution, Saliency};

/// The share of the pixels that ROAD removes.
const REMOVED: f64 = 0.2;
/// From what change on the peer says that a map is not invariant.
const CHANGED: f64 = 1e-4;
/// The shift of the inputs.
const SHIFT: f64 = 1.0;

/// One number for each image, or its curve.
pub fn scores(setup: &Setup, entry: &Entry, told: &Told) -> Result<Tensor> {
    let query = setup.query();
    let method = Saliency::signed();
    let map = match entry.name {
        "input-invariance" => setup.explain(&method)?,
        _ => Attribution::given("saliency", &setup.first("map", setup.classes.len())?),
    };
    let masks = setup.first("masks", setup.classes.len())?;
    let subject = Subject::new(&*setup.model, &query, &map)?.masks(&masks).method(&method);
    let numbers = match entry.name {
        "pointing-game" => PointingGame::default().tolerance(0).measure(&subject)?.values,
        "non-sensitivity" => NonSensitivity::quantus().measure(&subject)?.values,
        "completeness" => said((entry.build)().measure(&subject)?.values, |gap| gap == 0.0),
        "input-invariance" => {
            said(InputInvariance::default().shift(SHIFT).measure(&subject)?.values, |change| {
                change <= CHANGED
            })
        }
        "insertion" => Insertion::default().step(told.step.unwrap_or(1)).measure(&subject)?.values,
        "deletion" => behind_the_first(Deletion::default().step(told.step.unwrap_or(1)).measure(&subject)?),
        "road" => changes(&subject, told)?,
        _ => (entry.build)().measure(&subject)?.values,
    };
    Ok(Tensor::new(numbers, &Device::Cpu)?)
}

/// 1 where the peer would say yes.
fn said(numbers: Vec<f64>, yes: impl Fn(f64) -> bool) -> Vec<f64> {
    numbers.into_iter().map(|number| f64::from(yes(number))).collect()
}

fn behind_the_first(measured: Measured) -> Vec<f64> {
    measured.curves.into_iter().flat_map(|curve| curve.values.into_iter().skip(1)).collect()
}

/// How much of the class's probability is left, less the whole image's.
fn changes(subject: &Subject, told: &Told) -> Result<Vec<f64>> {
    let road = Road::default().shares([REMOVED]).first(First::Most).removing(Removing::Quantile);
    let road = if told.given { road.noise(0.0) } else { road };
    let (rows, _) = road.removed(subject)?;
    Ok(rows.iter().map(|row| row.probabilities[0] - row.whole).collect())
}
