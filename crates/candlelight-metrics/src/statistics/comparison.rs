//! Two methods over the same samples.

use super::samples::differences;
use super::{Bootstrap, Estimate};
use crate::{Better, Error, Result};

/// What may be said of one method beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first one is better, and the interval says so.
    Better,
    /// The first one is worse, and the interval says so.
    Worse,
    /// These samples do not tell.
    Undecided,
}

/// The mean difference of two methods over the same samples, first minus second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The difference, with its interval.
    pub estimate: Estimate,
    /// Samples on which the two differ at all.
    pub differing: usize,
    /// What may be said.
    pub verdict: Verdict,
}

impl Bootstrap {
    /// The first method beside the second, sample by sample: `a[k]` and `b[k]` are of the same sample, so that easy and
    /// hard samples do not blur the difference.
    ///
    /// A method is called better or worse where the interval excludes zero, and where so many samples differ that they
    /// could not all lie on one side by chance: 2 · ½ⁿ ≤ 1 − level, which are 6 samples at 0.95. Resampling alone is sure of
    /// itself as soon as two samples agree.
    ///
    /// # Errors
    /// As [`mean`](Self::mean); [`Error::Pairs`] for lists of different lengths.
    pub fn compare<V: Into<Option<f64>> + Copy>(
        &self,
        better: Better,
        a: &[V],
        b: &[V],
    ) -> Result<Difference> {
        if a.len() != b.len() {
            return Err(Error::Pairs { first: a.len(), second: b.len() });
        }
        let (values, left_out) = differences(a.iter().zip(b).map(|(&a, &b)| (a.into(), b.into())));
        let estimate = self.of(&values, left_out)?;
        let differing = values.iter().filter(|value| **value != 0.0).count();
        let one_sided = 2.0 * 0.5f64.powi(differing.min(1000) as i32);
        let verdict = match one_sided <= 1.0 - self.level_asked() {
            true => Verdict::of(&estimate, better),
            false => Verdict::Undecided,
        };
        Ok(Difference { estimate, differing, verdict })
    }
}

impl Verdict {
    fn of(difference: &Estimate, better: Better) -> Self {
        match (difference.low > 0.0, difference.high < 0.0, better) {
            (true, _, Better::Higher) | (_, true, Better::Lower) => Self::Better,
            (true, _, Better::Lower) | (_, true, Better::Higher) => Self::Worse,
            (false, false, _) => Self::Undecided,
        }
    }
}
