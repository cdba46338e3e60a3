//! Samples of coalitions, and what they say of each feature: pure functions of the values that a game gives, with the
//! memory of sums.

mod design;
mod estimate;
mod guided;
mod hsic;
mod jansen;
mod kernel;
mod linear;
mod orders;
mod owen;
mod sums;
mod surrogate;

pub(crate) use design::{Design, Sampled, sample};
pub(crate) use estimate::Estimate;
pub(crate) use guided::Guided;
pub(crate) use hsic::Hsic;
pub(crate) use jansen::Jansen;
pub use jansen::VarianceShare;
pub(crate) use kernel::Kernel;
pub(crate) use orders::{Enumeration, Law, Orders, Turn};
pub(crate) use owen::{Owen, Tree};
pub(crate) use surrogate::{Penalty, Surrogate};

use crate::perturb::{Calls, Coalition};
use crate::{Completeness, Error, Result};
use estimate::Mean;

/// The most parts that samples are divided into for the jackknife.
const PARTS: usize = 32;
/// Numbers that the sums of all parts may hold together: 128 MiB of them.
const NUMBERS: usize = 16 << 20;

/// Into how many parts samples are divided whose sums hold a matrix of the players.
fn parts_of(players: usize) -> usize {
    (NUMBERS / (players * players)).clamp(2, PARTS)
}

/// The most players of methods whose sums hold a matrix of them.
const MOST: usize = 2000;

/// Refuses more players than a matrix of them has room for.
pub(crate) fn check_players(calls: &Calls) -> Result<()> {
    match (0..calls.rows()).map(|row| calls.players(row).count()).find(|count| *count > MOST) {
        None => Ok(()),
        Some(count) => Err(Error::Setting {
            setting: "number of features of this method",
            value: count.to_string(),
            expected: "at most 2000: take patches, a grid or superpixels instead of pixels",
        }),
    }
}

/// The scores of nobody and of all, for every row.
pub(crate) fn ends(calls: &mut Calls) -> Result<Vec<(f64, f64)>> {
    let nobody = |row| (row, Coalition::empty(calls.players(row).count()));
    let nobody: Vec<_> = (0..calls.rows()).map(nobody).collect();
    let scores = calls.values(&nobody)?;
    Ok(scores.into_iter().enumerate().map(|(row, score)| (score, calls.whole(row))).collect())
}

/// What the features' values sum to, and what they should.
pub(crate) fn efficiency(estimates: &[Estimate], ends: &[(f64, f64)]) -> Option<Completeness> {
    let sum = estimates.iter().map(|estimate| estimate.values.iter().sum()).collect();
    Some(Completeness { sum, difference: ends.iter().map(|(nobody, all)| all - nobody).collect() })
}
