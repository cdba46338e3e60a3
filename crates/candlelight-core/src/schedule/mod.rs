//! The one scheduler: every batch of every method goes through it, so that budget, progress, cancelling, cost and
//! the checks on what the model returns are in one place.

mod inside;
mod pairs;
mod scale;
mod weigh;

pub use scale::Scale;

use crate::error::continue_or_cancel;
use crate::scope::{Rules, Tape, holds, unwatched, weighed};
use crate::target::{Resolved, check_one_per_row, top};
use crate::{Budget, Cost, Error, Model, Progress, Query, Result, Target};
use candle_core::{DType, Tensor, Var};
use candlelight_kernels::even_shares;
use rayon::prelude::*;
use std::ops::Range;

/// Bytes that [`Budget::Auto`] allows.
const AUTO_BYTES: usize = 2 << 30;
/// Rows that [`Budget::Auto`] sends through a model that nothing is known of.
const FIRST_ROWS: usize = 8;
/// What such a row is taken to hold, in units of its input, as deep networks of images do.
const FIRST_PER_INPUT: usize = 200;
/// Up to so many versions of a row that guess serves as well: weighing would cost as much as one of them.
const FEW_VERSIONS: usize = 4;
/// Rows that one worker differentiates together, as long as nobody knows what they hold.
const ROWS_PER_WORKER: usize = 3;

/// One run of a method over a query.
pub(crate) struct Run<'a> {
    rules: Rules,
    model: &'a dyn Model,
    query: &'a Query,
    batch: usize,
    /// Rows that one worker differentiates together.
    together: usize,
    /// The bytes for which `batch` is a guess until rows were weighed.
    unweighed: Option<usize>,
    progress: Progress,
    cost: Cost,
}

/// What the model says about the query's own rows.
#[derive(Clone)]
pub(crate) struct Prediction {
    pub(crate) target: Resolved,
    pub(crate) scores: Vec<f64>,
}

/// Rows of the query after a pass forth and back.
struct Differentiated {
    /// With the books of this pass.
    rules: Rules,
    prediction: Prediction,
    gradient: Tensor,
    /// Bytes that the pass forth held.
    held: usize,
}

impl<'a> Run<'a> {
    /// A run that will evaluate `rows` rows in all.
    pub(crate) fn new(model: &'a dyn Model, query: &'a Query, rows: usize) -> Result<Self> {
        Self::under(Rules::default(), model, query, rows)
    }

    /// A run whose gradients obey `rules`.
    pub(crate) fn under(rules: Rules, model: &'a dyn Model, query: &'a Query, rows: usize) -> Result<Self> {
        check_input(query.input())?;
        let progress = Progress { done: 0, of: rows };
        let (batch, together, unweighed) = (1, ROWS_PER_WORKER, None);
        let mut run =
            Self { rules, model, query, batch, together, unweighed, progress, cost: Cost::default() };
        match query.budget_asked() {
            Budget::Rows(rows) => run.batch = rows.max(1),
            Budget::Bytes(bytes) => run.unweighed = Some(bytes),
            Budget::Auto => {
                let row = run.row_bytes(FIRST_PER_INPUT * run.input_bytes());
                (run.batch, run.unweighed) = ((AUTO_BYTES / row).clamp(1, FIRST_ROWS), Some(AUTO_BYTES));
            }
        }
        let guessed = query.budget_asked() == Budget::Auto && rows <= FEW_VERSIONS * run.rows();
        if rows > run.rows() && !guessed {
            run.weigh()?;
        }
        Ok(run)
    }

    /// The part of the query's rows behind the first `done`, sent through `f`.
    fn part<R>(
        &mut self,
        done: usize,
        f: impl FnOnce(&Self, &Tensor) -> Result<R>,
    ) -> Result<Option<(Range<usize>, R)>> {
        let range = done..(done + self.batch).min(self.rows());
        if range.is_empty() {
            return Ok(None);
        }
        let x = self.input().narrow(0, range.start, range.len())?;
        let result = match self.unweighed {
            None => f(self, &x)?,
            Some(_) => {
                let (result, held) = weighed(|| f(self, &x));
                self.settle(held / range.len());
                result?
            }
        };
        Ok(Some((range, result)))
    }

    pub(crate) fn input(&self) -> &'a Tensor {
        self.query.input()
    }

    /// Rows of the query.
    pub(crate) fn rows(&self) -> usize {
        self.query.input().dims()[0]
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// How many rows the budget lets through the model at once.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// The parts in which `n` rows go through the model.
    pub(crate) fn batches(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let batch = self.batch;
        (0..n).step_by(batch).map(move |from| from..(from + batch).min(n))
    }

    /// Runs the model on the query's rows and fixes the target.
    pub(crate) fn predict(&mut self) -> Result<Prediction> {
        Ok(self.answer_whole()?.0)
    }

    /// [`predict`](Self::predict), and the likeliest class of every row.
    pub(crate) fn answer_whole(&mut self) -> Result<(Prediction, Vec<usize>)> {
        let mut outputs = Vec::new();
        for range in self.batches(self.rows()) {
            let x = self.input().narrow(0, range.start, range.len())?;
            outputs.push(self.outputs(&x, self.model.forward(&x)?)?);
            self.spent(Cost { forwards: range.len(), backwards: 0 })?;
        }
        let outputs = Tensor::cat(&outputs, 0)?;
        let target = Resolved::new(self.query.asked(), &outputs)?;
        let scores = to_f64(&target.scores(&outputs, &Vec::from_iter(0..self.rows()))?)?;
        Ok((Prediction { target, scores }, top(&outputs)?))
    }

    /// The scores of `points`, of which point k is a version of row `rows[k]`, and their likeliest classes.
    pub(crate) fn answers(
        &mut self,
        points: &Tensor,
        rows: &[usize],
        target: &Resolved,
    ) -> Result<(Vec<f64>, Vec<usize>)> {
        let outputs = self.outputs(points, self.model.forward(points)?)?;
        self.spent(Cost { forwards: rows.len(), backwards: 0 })?;
        Ok((to_f64(&target.scores(&outputs, rows)?)?, top(&outputs)?))
    }

    /// The scores of `points`, of which point k is a version of row `rows[k]`.
    pub(crate) fn scores(&mut self, points: &Tensor, rows: &[usize], target: &Resolved) -> Result<Vec<f64>> {
        Ok(self.answers(points, rows, target)?.0)
    }

    /// For every row of the query, what its target says of each of `points`.
    pub(crate) fn scores_for_all_rows(
        &mut self,
        points: &Tensor,
        target: &Resolved,
    ) -> Result<Vec<Vec<f64>>> {
        let (outputs, count) = (self.outputs(points, self.model.forward(points)?)?, points.dims()[0]);
        self.spent(Cost { forwards: count, backwards: 0 })?;
        (0..self.rows()).map(|row| to_f64(&target.scores(&outputs, &vec![row; count])?)).collect()
    }

    /// The scores of `points`, of which point k is a version of row `rows[k]`, and their gradients.
    pub(crate) fn slopes(
        &mut self,
        points: &Tensor,
        rows: &[usize],
        target: &Resolved,
    ) -> Result<(Vec<f64>, Tensor)> {
        let parts = self.spread(points, |x, range| self.slopes_of(&x, &rows[range], target))?;
        self.spent(Cost { forwards: rows.len(), backwards: rows.len() })?;
        let (scores, gradients): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((scores.concat(), Tensor::cat(&gradients, 0)?))
    }

    fn slopes_of(&self, x: &Tensor, rows: &[usize], target: &Resolved) -> Result<(Vec<f64>, Tensor)> {
        let x = Var::from_tensor(x)?;
        let outputs = self.outputs(&x, self.rules.forward(self.model, &x)?)?;
        let scores = target.scores(&outputs, rows)?;
        let gradient = gradient(&scores, &x)?;
        Ok((to_f64(&scores)?, gradient))
    }

    /// Runs `part` on a few of `points` at a time: so many go to each worker of a CPU; a device gets all at once, and so do
    /// the layers where there are fewer points than workers, which then share the work inside them.
    fn spread<R: Send>(
        &self,
        points: &Tensor,
        part: impl Fn(Tensor, Range<usize>) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let count = points.dims()[0];
        let workers = rayon::current_num_threads();
        let part = |range: Range<usize>| {
            let x = points.detach().narrow(0, range.start, range.len())?.contiguous()?;
            unwatched(|| part(x, range))
        };
        if !points.device().is_cpu() || count < workers {
            return Ok(vec![part(0..count)?]);
        }
        let shares: Vec<_> = even_shares(count, workers, self.together).collect();
        shares.into_par_iter().map(part).collect()
    }

    /// Score and gradient of the query's own rows, each in one pass.
    pub(crate) fn gradients_of_input(&mut self) -> Result<(Prediction, Tensor)> {
        let (mut predictions, mut gradients, mut done) = (Vec::new(), Vec::new(), 0);
        let differentiate = |run: &Self, x: &Tensor, from: usize| {
            let parts =
                run.spread(x, |x, range| run.gradient_at(&x, from + range.start..from + range.end))?;
            holds(parts.iter().map(|part| part.held).sum());
            Ok(parts)
        };
        while let Some((range, parts)) = self.part(done, |run, x| differentiate(run, x, done))? {
            for Differentiated { rules, prediction, gradient, .. } in parts {
                self.rules.collect(rules);
                predictions.push(prediction);
                gradients.push(gradient);
            }
            done = range.end;
            self.spent(Cost { forwards: range.len(), backwards: range.len() })?;
        }
        Ok((Prediction::join(predictions, self.query.asked()), Tensor::cat(&gradients, 0)?))
    }

    /// Score and gradient of `x`, the query's rows in `range`.
    fn gradient_at(&self, x: &Tensor, range: Range<usize>) -> Result<Differentiated> {
        let (x, rules) = (Var::from_tensor(x)?, self.rules.apart());
        let (outputs, held) = weighed(|| rules.forward(self.model, &x));
        let (prediction, scores) = self.resolve(&range, &self.outputs(&x, outputs?)?)?;
        Ok(Differentiated { rules, prediction, gradient: gradient(&scores, &x)?, held })
    }

    /// Runs `visit` on a tape of every part of the query, with the part's scores joined to the graph.
    pub(crate) fn tapes<R>(
        &mut self,
        record: impl Fn(&Tensor) -> Result<Tape>,
        mut visit: impl FnMut(&Tape, &Tensor) -> Result<(R, Cost)>,
    ) -> Result<(Prediction, Vec<R>)> {
        let (mut predictions, mut results, mut done) = (Vec::new(), Vec::new(), 0);
        let forward = |run: &Self, x: &Tensor| {
            let tape = record(x)?;
            Ok((run.outputs(x, tape.output().clone())?, tape))
        };
        while let Some((range, (outputs, tape))) = self.part(done, forward)? {
            let (prediction, scores) = self.resolve(&range, &outputs)?;
            let (result, cost) = visit(&tape, &scores)?;
            predictions.push(prediction);
            results.push(result);
            done = range.end;
            self.spent(cost)?;
        }
        Ok((Prediction::join(predictions, self.query.asked()), results))
    }

    /// Notes cost and progress; stops here if the caller wants to.
    pub(crate) fn spent(&mut self, cost: Cost) -> Result<()> {
        self.cost += cost;
        self.progress.done = (self.progress.done + cost.forwards).min(self.progress.of);
        let Progress { done, of } = self.progress;
        continue_or_cancel(self.query.report(self.progress), done, of)
    }

    /// Reports that nothing more is to come: a run that stopped by itself may have planned for more.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.progress.done = self.progress.of;
        let Progress { done, of } = self.progress;
        continue_or_cancel(self.query.report(self.progress), done, of)
    }

    /// The target of the rows in `range`, and their scores as they hang in the graph.
    fn resolve(&self, range: &Range<usize>, outputs: &Tensor) -> Result<(Prediction, Tensor)> {
        let target = Resolved::new(&part(self.query.asked(), range, self.rows())?, outputs)?;
        let scores = target.scores(outputs, &Vec::from_iter(0..range.len()))?;
        Ok((Prediction { target, scores: to_f64(&scores)? }, scores))
    }

    /// Outputs as `[n, classes]`, checked, in the units that are asked for.
    fn outputs(&self, x: &Tensor, outputs: Tensor) -> Result<Tensor> {
        let rows = x.dims()[0];
        let outputs = if outputs.rank() == 1 { outputs.unsqueeze(1)? } else { outputs };
        if outputs.rank() != 2 || outputs.dims()[0] != rows || outputs.dims()[1] == 0 {
            let expected = format!("[{rows}, classes]");
            return Err(Error::Shape {
                what: "the model's output",
                found: outputs.dims().to_vec(),
                expected,
            });
        }
        match not_finite(&outputs)? {
            0 => Ok(self.query.output_asked().of(outputs)?),
            count => {
                Err(Error::NonFinite { what: "the model's output", count, place: self.first_bad_layer(x) })
            }
        }
    }

    /// Which layer first shows a NaN or an infinity; nothing if none does.
    fn first_bad_layer(&self, x: &Tensor) -> String {
        let bad = crate::scope::first_not_finite(self.model, x);
        bad.map_or_else(String::new, |layer| format!(", first in the output of layer `{layer}`"))
    }
}

/// The most rows up to `batch` that keep workers busy to the end that differentiate so many together.
fn whole_turns(batch: usize, workers: usize, together: usize) -> usize {
    let even = |part: usize| (batch >= part).then(|| batch - batch % part);
    even(workers * together).or(even(workers)).unwrap_or(batch)
}

impl Prediction {
    /// The predictions of consecutive parts as one.
    fn join(parts: Vec<Self>, asked: &Target) -> Self {
        let scores: Vec<f64> = parts.iter().flat_map(|part| part.scores.clone()).collect();
        let rows = scores.len();
        let classes = parts.iter().flat_map(|part| part.target.classes()).collect();
        let target = match asked {
            Target::Contrast { class, against } => {
                Resolved::Contrast { class: *class, against: *against, rows }
            }
            Target::Score(score) => Resolved::Score(score.clone()),
            _ => Resolved::Classes(classes),
        };
        Self { target, scores }
    }
}

/// `target` for the rows in `range` alone.
fn part(target: &Target, range: &Range<usize>, rows: usize) -> Result<Target> {
    match target {
        Target::PerRow(classes) => {
            check_one_per_row(classes, rows)?;
            Ok(Target::PerRow(classes[range.clone()].to_vec()))
        }
        target => Ok(target.clone()),
    }
}

/// The gradient of the sum of `scores` at the leaf `x`.
fn gradient(scores: &Tensor, x: &Var) -> Result<Tensor> {
    if !scores.track_op() {
        return Err(Error::no_gradient("the input"));
    }
    let gradients = scores.sum_all()?.backward()?;
    let gradient = gradients.get(x).ok_or_else(|| Error::no_gradient("the input"))?.clone();
    match not_finite(&gradient)? {
        0 => Ok(gradient),
        count => Err(Error::NonFinite { what: "the gradient", count, place: String::new() }),
    }
}

/// Refuses inputs that nothing can be said about.
pub(crate) fn check_input(input: &Tensor) -> Result<()> {
    let found = input.dims().to_vec();
    if input.rank() < 2 || input.elem_count() == 0 {
        return Err(Error::Shape {
            what: "the input",
            found,
            expected: "[N, …] with at least one row".into(),
        });
    }
    if !matches!(input.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        return Err(Error::DType { what: "the input", found: input.dtype() });
    }
    match not_finite(input)? {
        0 => Ok(()),
        count => Err(Error::NonFinite { what: "the input", count, place: String::new() }),
    }
}

/// How many values are NaN or infinite.
pub(crate) fn not_finite(x: &Tensor) -> Result<usize> {
    let x = x.detach();
    // Zero times a number is zero; times a NaN or an infinity it is NaN.
    let finite = x.affine(0.0, 0.0)?.eq(0.0)?.to_dtype(DType::F32)?.flatten_all()?.contiguous()?;
    let per_block = finite.elem_count().clamp(1, 1 << 20);
    let count = (0..finite.elem_count()).step_by(per_block).try_fold(0usize, |count, from| {
        let block = finite.narrow(0, from, per_block.min(finite.elem_count() - from))?;
        Ok::<_, Error>(count + block.sum_all()?.to_scalar::<f32>()? as usize)
    })?;
    Ok(finite.elem_count() - count)
}

/// A vector as `f64`.
pub(crate) fn to_f64(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn no_worker_waits_for_another() {
        for (batch, workers, expected) in [(12, 2, 10), (64, 2, 60), (9, 2, 8), (1, 2, 1), (64, 32, 64)] {
            assert_eq!(whole_turns(batch, workers, 5), expected, "{batch} rows, {workers} workers");
        }
    }

    #[test]
    fn every_nan_and_infinity_is_counted() -> Result<()> {
        let x = Tensor::new(&[1.0f32, f32::NAN, f32::INFINITY, -2.0, f32::NEG_INFINITY], &Device::Cpu)?;
        assert_eq!(not_finite(&x)?, 3);
        Ok(())
    }
}
