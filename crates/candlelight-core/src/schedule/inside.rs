//! Batches through a model of which one layer is watched, or replaced.

use super::{Run, gradient, to_f64};
use crate::scope::{Original, Selector, Watch, watch, without_tokens};
use crate::target::Resolved;
use crate::{Budget, Cost, Error, Result};
use candle_core::{Tensor, Var};
use candlelight_kernels::chain::Region;

/// Rows that share most of their values and go through together, unless a budget is asked for.
const CHANGED_ROWS: usize = 64;

impl Run<'_> {
    /// The scores of `points`, versions of row `row`, which is `original`: point k differs from it in rectangle
    /// `regions[k]` at most.
    pub(crate) fn scores_of_changed(
        &mut self,
        original: &Original,
        (points, regions): (&Tensor, &[Region]),
        row: usize,
        target: &Resolved,
    ) -> Result<Vec<f64>> {
        let outputs = original.hold(points, regions, || self.model.forward(points))?;
        let outputs = self.outputs(points, outputs)?;
        self.spent(Cost { forwards: regions.len(), backwards: 0 })?;
        to_f64(&target.scores(&outputs, &vec![row; regions.len()])?)
    }

    /// The scores of `points`, versions of row `row`, without the tokens that `present`, `[n, tokens]`, has not.
    pub(crate) fn scores_without_tokens(
        &mut self,
        (points, present): (&Tensor, &Tensor),
        rows: &[usize],
        target: &Resolved,
    ) -> Result<Vec<f64>> {
        let (outputs, layers) = without_tokens(present, || self.model.forward(points))?;
        let outputs = self.outputs(points, outputs?)?;
        if layers == 0 {
            return Err(Error::NO_TOKENS);
        }
        self.spent(Cost { forwards: rows.len(), backwards: 0 })?;
        to_f64(&target.scores(&outputs, rows)?)
    }

    /// How many rows go through together that share most of their values: memory is no matter then.
    pub(crate) fn batch_of_changed(&self) -> usize {
        match self.query.budget_asked() {
            Budget::Auto => self.batch.max(CHANGED_ROWS),
            Budget::Rows(_) | Budget::Bytes(_) => self.batch,
        }
    }

    /// The scores of `points` with `outputs` in place of what `layer` gives.
    pub(crate) fn scores_with(
        &mut self,
        layer: &str,
        (points, outputs): (&Tensor, &Tensor),
        rows: &[usize],
        target: &Resolved,
    ) -> Result<Vec<f64>> {
        let replaced = vec![(Selector::Name(layer.to_owned()), Watch::Replace(outputs.clone()))];
        let outputs = self.outputs(points, watch(self.model, points, replaced)?.output().clone())?;
        self.spent(Cost { forwards: rows.len(), backwards: 0 })?;
        to_f64(&target.scores(&outputs, rows)?)
    }

    /// The scores of the row `point`, `[1, …]`, with each of `versions` in place of what `layer` gives.
    ///
    /// What lies below the layer runs once, on the one row, and what lies above on the versions. Where the model joins
    /// both again (a residual connection goes around the layer), their rows differ and it fails: then all of it runs on
    /// as many copies of the row.
    pub(crate) fn scores_above(
        &mut self,
        layer: &str,
        (point, versions): (&Tensor, &Tensor),
        row: usize,
        target: &Resolved,
    ) -> Result<Vec<f64>> {
        let count = versions.dims()[0];
        let mut shape = point.dims().to_vec();
        shape[0] = count;
        let (copies, rows) = (point.broadcast_as(shape)?, vec![row; count]);
        let fan = vec![(Selector::Name(layer.to_owned()), Watch::Fan(versions.clone()))];
        let fanned = watch(self.model, point, fan);
        match fanned.and_then(|tape| self.outputs(&copies, tape.output().clone())) {
            Ok(outputs) => {
                self.spent(Cost { forwards: count, backwards: 0 })?;
                to_f64(&target.scores(&outputs, &rows)?)
            }
            Err(_) => self.scores_with(layer, (&copies.contiguous()?, versions), &rows, target),
        }
    }

    /// The activations of `layer` at `points`, of which point k is a version of row `rows[k]`, and the gradients of
    /// their scores there. With `outputs` the layer's own are replaced by them.
    pub(crate) fn slopes_at(
        &mut self,
        layer: &str,
        (points, outputs): (&Tensor, Option<&Tensor>),
        rows: &[usize],
        target: &Resolved,
    ) -> Result<(Tensor, Tensor)> {
        let parts = self.spread(points, |x, range| {
            let part = |outputs: &Tensor| outputs.narrow(0, range.start, range.len());
            let cut = outputs.map(part).transpose()?.map_or(Watch::Cut, Watch::Replace);
            let tape = watch(self.model, &x, vec![(Selector::Name(layer.to_owned()), cut)])?;
            let scores = target.scores(&self.outputs(&x, tape.output().clone())?, &rows[range])?;
            let activation = tape.only()?.activation().clone();
            Ok((activation, tape.gradients(&scores.sum_all()?)?.remove(0)))
        })?;
        self.spent(Cost { forwards: rows.len(), backwards: rows.len() })?;
        let (activations, gradients): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((Tensor::cat(&activations, 0)?, Tensor::cat(&gradients, 0)?))
    }

    /// The gradients of what the scores of `points` owe to one unit of `layer`, ∂f/∂h · ∂h/∂x: for point k, a version
    /// of row `rows[k]`, to unit `units[k]` of the layer's output taken flat.
    pub(crate) fn slopes_through(
        &mut self,
        (layer, units): (&str, &[u32]),
        points: &Tensor,
        rows: &[usize],
        target: &Resolved,
    ) -> Result<Tensor> {
        let parts = self.spread(points, |x, range| {
            let x = Var::from_tensor(&x)?;
            let tape = watch(self.model, &x, vec![(Selector::Name(layer.to_owned()), Watch::Split)])?;
            let scores = target.scores(&self.outputs(&x, tape.output().clone())?, &rows[range.clone()])?;
            let slope = tape.gradients(&scores.sum_all()?)?.remove(0).detach();
            let index = Tensor::new(&units[range], x.device())?.unsqueeze(1)?;
            let unit = |layer: &Tensor| layer.flatten_from(1)?.contiguous()?.gather(&index, 1);
            gradient(&(unit(tape.only()?.activation())? * unit(&slope)?)?, &x)
        })?;
        self.spent(Cost { forwards: rows.len(), backwards: 2 * rows.len() })?;
        Ok(Tensor::cat(&parts, 0)?)
    }
}
