//! The scheduler for those who measure.

use crate::schedule::{Prediction, Run};
use crate::{Baseline, Cost, Model, Query, Result};
use candle_core::Tensor;
use std::ops::Range;

/// What the model says of one version of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The target's score, in the units of the query's [`Output`](crate::Output).
    pub score: f64,
    /// The likeliest class.
    pub top: usize,
}

/// Versions of a query's rows on their way through the model, under the query's budget, with its progress and its
/// target: what metrics are made of.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{Evaluation, Query};
///
/// let model = |x: &Tensor| x.sum_keepdim(1); // any closure or module
/// let x = Tensor::new(&[[1.0f64, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let query = Query::from((&x, 0));
/// let mut evaluation = Evaluation::new(&model, &query, 2)?;
/// let doubled = evaluation.answers(&[0, 1], |versions| Ok((x.narrow(0, versions.start, versions.len())? * 2.0)?))?;
/// assert_eq!((evaluation.whole()[1].score, doubled[1].score), (7.0, 14.0));
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub struct Evaluation<'a> {
    run: Run<'a>,
    prediction: Prediction,
    whole: Vec<Answer>,
}

impl<'a> Evaluation<'a> {
    /// Runs the rows of `query` themselves; `planned` versions of them are to follow.
    ///
    /// # Errors
    /// What is wrong with the query or with what the model returns.
    pub fn new(model: &'a dyn Model, query: &'a Query, planned: usize) -> Result<Self> {
        let mut run = Run::new(model, query, query.input().dims().first().copied().unwrap_or(0) + planned)?;
        let (prediction, top) = run.answer_whole()?;
        let whole = answers(prediction.scores.clone(), top);
        Ok(Self { run, prediction, whole })
    }

    /// What the model says of the rows themselves.
    pub fn whole(&self) -> &[Answer] {
        &self.whole
    }

    /// The class that the target means in every row; empty for a score of one's own.
    pub fn classes(&self) -> Vec<usize> {
        self.prediction.target.classes()
    }

    /// What the model says of versions, of which version k is one of row `rows[k]`; `versions(range)` makes those in
    /// the range, `[range.len(), …]` with the rows' shape.
    ///
    /// # Errors
    /// Those of `versions` and of the model; [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn answers(
        &mut self,
        rows: &[usize],
        versions: impl Fn(Range<usize>) -> Result<Tensor>,
    ) -> Result<Vec<Answer>> {
        let mut all = Vec::with_capacity(rows.len());
        for range in self.run.batches(rows.len()) {
            let points = versions(range.clone())?;
            let (scores, top) = self.run.answers(&points, &rows[range], &self.prediction.target)?;
            all.extend(answers(scores, top));
        }
        Ok(all)
    }

    /// The baseline of every row, of the input's shape.
    ///
    /// # Errors
    /// If it does not fit the input.
    pub fn baseline(&self, baseline: &Baseline) -> Result<Tensor> {
        let input = self.run.input();
        baseline.check(input)?;
        let rows = (0..self.run.rows()).map(|row| baseline.at(input, row));
        Ok(Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// What it cost so far.
    pub fn cost(&self) -> Cost {
        self.run.cost()
    }
}

fn answers(scores: Vec<f64>, top: Vec<usize>) -> Vec<Answer> {
    scores.into_iter().zip(top).map(|(score, top)| Answer { score, top }).collect()
}
