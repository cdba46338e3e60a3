//! Batches of inputs and their references.

use super::{Run, gradient, to_f64};
use crate::rules::pair::Pair;
use crate::target::Resolved;
use crate::{Cost, Result};
use candle_core::{Tensor, Var};

impl Run<'_> {
    /// How many pairs the budget lets through the model at once: one at least.
    pub(crate) fn pairs_at_once(&self) -> usize {
        (self.batch / 2).max(1)
    }

    /// What the change of every value of `points` from its value in `references` brings to the score: the change times
    /// the multiplier that the rules of this run hand back. Point k is a version of row `rows[k]`. With the scores of
    /// the references.
    pub(crate) fn contributions(
        &mut self,
        (points, references): (&Tensor, &Tensor),
        rows: &[usize],
        target: &Resolved,
    ) -> Result<(Vec<f64>, Tensor)> {
        let parts = self.spread(points, |x, range| {
            let reference = references.detach().narrow(0, range.start, range.len())?.contiguous()?;
            self.contributions_of(&Pair { x, reference }, &rows[range], target)
        })?;
        self.spent(Cost { forwards: 2 * rows.len(), backwards: 2 * rows.len() })?;
        let (scores, contributions): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((scores.concat(), Tensor::cat(&contributions, 0)?))
    }

    fn contributions_of(&self, pair: &Pair, rows: &[usize], target: &Resolved) -> Result<(Vec<f64>, Tensor)> {
        let batch = Var::from_tensor(&pair.joined()?)?;
        let outputs = self.outputs(&batch, self.rules.forward(self.model, &batch)?)?;
        let half = |index: usize| outputs.narrow(0, index * rows.len(), rows.len());
        let before = to_f64(&target.scores(&half(1)?, rows)?)?;
        let both = (target.scores(&half(0)?, rows)? + target.scores(&half(1)?, rows)?)?;
        let multipliers = Pair::of(&gradient(&both, &batch)?)?;
        let change = pair.difference()?;
        let multipliers = change.gt(0.0)?.where_cond(&multipliers.x, &multipliers.reference)?;
        Ok((before, (multipliers * change)?))
    }
}
