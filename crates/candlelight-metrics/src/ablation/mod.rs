//! Metrics that replace pixels and watch the score.

mod insertion_deletion;
mod mass_centre;
mod replaced;
mod top_k;

pub use insertion_deletion::{Deletion, Insertion};
pub use mass_centre::MassCentreAblation;
pub(crate) use replaced::{Replaced, replace};
pub use top_k::TopKAblation;

use crate::{Curve, Error, Measured, Result};

/// The curves of f(version) − f(x), and the area below each.
fn differences(replaced: Replaced, at: &[f64]) -> Measured {
    let difference = |(whole, answers): (&f64, Vec<f64>)| Curve {
        at: at.to_vec(),
        values: answers.into_iter().map(|answer| answer - whole).collect(),
    };
    let curves: Vec<Curve> = replaced.whole.iter().zip(replaced.answers).map(difference).collect();
    Measured { values: curves.iter().map(Curve::area).collect(), curves, cost: replaced.cost }
}

/// Refuses shares that do not lead from 0 upwards to at most 1.
pub(crate) fn check_shares(setting: &'static str, shares: &[f64]) -> Result<()> {
    let rising = shares.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = shares.iter().all(|share| (0.0..=1.0).contains(share));
    match rising && inside && !shares.is_empty() {
        true => Ok(()),
        false => Err(Error::Setting {
            setting,
            value: format!("{shares:?}"),
            expected: "rising numbers from 0 to 1, at least one",
        }),
    }
}
