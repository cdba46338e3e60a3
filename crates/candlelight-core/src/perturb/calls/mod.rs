//! The one plan of model calls: masked inputs are made on the device, and nothing is asked twice.

mod losses;

use super::{Coalition, tokens};
use crate::features::Players;
use crate::sampled::Sampled;
use crate::schedule::{Prediction, Run, check_input};
use crate::{Attribution, Baseline, Convergence, Error, Features, Model, Query, Result, TokenGrid};
use candle_core::Tensor;
use std::collections::HashMap;

/// Bytes of coalitions whose scores are remembered for each row; beyond them all are forgotten.
const REMEMBERED: usize = 64 << 20;
/// Bytes that a map of scores takes beside its keys.
const PER_SCORE: usize = 16;

/// The calls of one method over one query: what the model says where some features of a row are absent, each value in
/// the place of an absent one that of the baseline.
///
/// Coalitions that were asked before are not asked again, nor is f(x); up to 64 MiB of them are remembered for each row.
pub(crate) struct Calls<'a> {
    run: Run<'a>,
    prediction: Prediction,
    rows: Vec<Asked>,
    /// How the tokens lie that are removed; nothing where values are replaced.
    tokens: Option<TokenGrid>,
}

/// What is known of one row.
struct Asked {
    players: Players,
    /// `[1, …]`.
    baseline: Tensor,
    scores: HashMap<Coalition, f64>,
    bytes: usize,
}

impl<'a> Calls<'a> {
    /// The plan of a method that asks `planned(players)` coalitions of a row, beside f(x), in all.
    pub(crate) fn new(
        (model, query): (&'a dyn Model, &'a Query),
        features: &Features,
        baseline: &Baseline,
        planned: impl Fn(&Players) -> usize,
    ) -> Result<Self> {
        let input = query.input();
        let Features::Tokens = features else {
            return Self::over((model, query), |row| features.players(input, row), baseline, planned);
        };
        check_input(input)?;
        let grid = tokens::grid(model, input)?;
        let players = |_| Players::each(&[1, grid.rows, grid.columns], input.device());
        let mut calls = Self::over((model, query), players, baseline, planned)?;
        calls.tokens = Some(grid);
        calls.check_tokens(grid)?;
        Ok(calls)
    }

    /// The same over features that the method makes itself.
    pub(crate) fn over(
        (model, query): (&'a dyn Model, &'a Query),
        players: impl Fn(usize) -> Result<Players>,
        baseline: &Baseline,
        planned: impl Fn(&Players) -> usize,
    ) -> Result<Self> {
        let input = query.input();
        check_input(input)?;
        baseline.check(input)?;
        let row = |row| Asked::new(players(row)?, baseline.at(input, row)?);
        let rows = (0..input.dims()[0]).map(row).collect::<Result<Vec<_>>>()?;
        let planned = rows.iter().map(|row| planned(&row.players));
        let all = planned.fold(rows.len(), usize::saturating_add);
        let mut run = Run::new(model, query, all)?;
        let prediction = run.predict()?;
        Ok(Self { run, prediction, rows, tokens: None })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many coalitions go through the model at once: who asks for no more at a time loses no more if the run is
    /// cancelled.
    pub(crate) fn batch(&self) -> usize {
        self.run.batch()
    }

    /// The features of row `row`.
    pub(crate) fn players(&self, row: usize) -> &Players {
        &self.rows[row].players
    }

    /// f(x) of row `row`.
    pub(crate) fn whole(&self, row: usize) -> f64 {
        self.prediction.scores[row]
    }

    /// The score of each (row, coalition): f of the row with the baseline in place of everybody who is absent.
    ///
    /// # Errors
    /// Those of the model; [`Error::Cancelled`](crate::Error::Cancelled).
    pub(crate) fn values(&mut self, asked: &[(usize, Coalition)]) -> Result<Vec<f64>> {
        let mut new: Vec<&(usize, Coalition)> =
            asked.iter().filter(|job| self.known(job).is_none()).collect();
        new.sort_unstable();
        new.dedup();
        for jobs in new.chunks(self.run.batch()) {
            let rows: Vec<usize> = jobs.iter().map(|job| job.0).collect();
            let scores = self.scores(jobs, &rows)?;
            jobs.iter()
                .zip(scores)
                .for_each(|((row, coalition), score)| self.rows[*row].note(coalition, score));
        }
        let values = asked.iter().filter_map(|job| self.known(job)).collect();
        self.rows.iter_mut().for_each(Asked::forget_if_many);
        Ok(values)
    }

    /// The scores of row `row` under `masks`, `[B, 1 or C, …]` with the row's places: each value is as much the row's as
    /// its mask says, from 0 to 1, and else the baseline's.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub(crate) fn blended(&mut self, row: usize, masks: &Tensor) -> Result<Vec<f64>> {
        let count = masks.dims()[0];
        let mut scores = Vec::with_capacity(count);
        for range in self.run.batches(count) {
            let (x, masks) = (self.x(row)?, masks.narrow(0, range.start, range.len())?);
            let baseline = &self.rows[row].baseline;
            let points = (x - baseline)?.broadcast_mul(&masks)?.broadcast_add(baseline)?;
            scores.extend(self.run.scores(&points, &vec![row; range.len()], &self.prediction.target)?);
        }
        Ok(scores)
    }

    /// The scores of row `row` with so much of each feature, from 0 to 1, and the rest of it the baseline's.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub(crate) fn strengths(&mut self, row: usize, strengths: &[&[f64]]) -> Result<Vec<f64>> {
        let dtype = self.run.input().dtype();
        let masks = strengths.iter().map(|values| self.players(row).spread(values, dtype));
        self.blended(row, &Tensor::stack(&masks.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The answer: `values` has one number for every feature of every row.
    pub(crate) fn attribution(
        mut self,
        name: String,
        values: &[Vec<f64>],
        convergence: Convergence,
    ) -> Result<Attribution> {
        if convergence.partial.is_none() {
            self.run.finish()?;
        }
        let maps = self.maps(values.iter())?;
        Ok(Attribution::new(name, maps, self.prediction, convergence, self.run.cost()))
    }

    /// The answer of a sampler, with the standard error of every value.
    pub(crate) fn sampled(self, name: String, sampled: Sampled) -> Result<Attribution> {
        let Sampled { estimates, convergence } = sampled;
        let errors = convergence.sampling.is_some();
        let errors = errors.then(|| self.maps(estimates.iter().map(|e| &e.errors))).transpose()?;
        let values: Vec<Vec<f64>> = estimates.into_iter().map(|estimate| estimate.values).collect();
        Ok(Attribution { error: errors, ..self.attribution(name, &values, convergence)? })
    }

    /// One number for every feature of every row, as maps.
    fn maps<'v>(&self, values: impl Iterator<Item = &'v Vec<f64>>) -> Result<Tensor> {
        let dtype = self.run.input().dtype();
        let maps = self.rows.iter().zip(values).map(|(row, values)| row.players.spread(values, dtype));
        Ok(Tensor::stack(&maps.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The scores of coalitions that go through the model together.
    fn scores(&mut self, jobs: &[&(usize, Coalition)], rows: &[usize]) -> Result<Vec<f64>> {
        if let Some(grid) = self.tokens {
            let coalitions: Vec<&Coalition> = jobs.iter().map(|job| &job.1).collect();
            let x = rows.iter().map(|&row| self.x(row)).collect::<Result<Vec<_>>>()?;
            let points = Tensor::cat(&x, 0)?;
            let present = tokens::present(&coalitions, grid, &points)?;
            return self.run.scores_without_tokens((&points, &present), rows, &self.prediction.target);
        }
        let parts = jobs.chunk_by(|a, b| a.0 == b.0).map(|jobs| self.points(jobs));
        let points = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
        self.run.scores(&points, rows, &self.prediction.target)
    }

    /// Refuses a model whose score reads what was removed: it would change with the pixels of patches that are absent.
    fn check_tokens(&mut self, grid: TokenGrid) -> Result<()> {
        let x = self.x(0)?;
        let points = Tensor::cat(&[&x, &tokens::other_pixels(&x)?], 0)?;
        let none = Coalition::empty(grid.rows * grid.columns);
        let present = tokens::present(&[&none, &none], grid, &points)?;
        let scores = self.run.scores_without_tokens((&points, &present), &[0, 0], &self.prediction.target)?;
        match scores[0] == scores[1] {
            true => Ok(()),
            false => Err(Error::TokensRead { change: (scores[0] - scores[1]).abs() }),
        }
    }

    /// What is known of a coalition.
    fn known(&self, (row, coalition): &(usize, Coalition)) -> Option<f64> {
        match coalition.is_full() {
            true => Some(self.whole(*row)),
            false => self.rows[*row].scores.get(coalition).copied(),
        }
    }

    /// Row `row` as `[1, …]`.
    fn x(&self, row: usize) -> Result<Tensor> {
        Ok(self.run.input().narrow(0, row, 1)?)
    }

    /// The masked inputs of some coalitions of one row.
    fn points(&self, jobs: &[&(usize, Coalition)]) -> Result<Tensor> {
        let row = jobs[0].0;
        let coalitions: Vec<&Coalition> = jobs.iter().map(|job| &job.1).collect();
        let (x, baseline) = (self.x(row)?, &self.rows[row].baseline);
        let mut shape = x.dims().to_vec();
        shape[0] = jobs.len();
        let present = self.rows[row].players.present(&coalitions)?.broadcast_as(&shape[..])?;
        Ok(present.where_cond(&x.broadcast_as(&shape[..])?, &baseline.broadcast_as(&shape[..])?)?)
    }
}

impl Asked {
    fn new(players: Players, baseline: Tensor) -> Result<Self> {
        Ok(Self { players, baseline: baseline.unsqueeze(0)?, scores: HashMap::new(), bytes: 0 })
    }

    fn note(&mut self, coalition: &Coalition, score: f64) {
        self.bytes += coalition.bytes() + PER_SCORE;
        self.scores.insert(coalition.clone(), score);
    }

    fn forget_if_many(&mut self) {
        if self.bytes > REMEMBERED {
            (self.scores, self.bytes) = (HashMap::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// x₀ + 10·x₁ + 100·x₂.
    fn model(x: &Tensor) -> candle_core::Result<Tensor> {
        x.matmul(&Tensor::new(&[[1.0f64], [10.0], [100.0]], x.device())?)
    }

    fn query() -> Result<Query> {
        Ok((&Tensor::new(&[[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?, 0).into())
    }

    #[test]
    fn absent_features_have_the_baseline_s_values_whatever_the_order_of_rows() -> Result<()> {
        let query = query()?;
        let baseline = Baseline::Constant(-1.0);
        let mut calls = Calls::new((&model, &query), &Features::Values, &baseline, |_| 4)?;
        let asked = [(1, Coalition::of(3, [0])), (0, Coalition::of(3, [1, 2])), (1, Coalition::full(3))];
        assert_eq!(calls.values(&asked)?, [4.0 - 10.0 - 100.0, -1.0 + 20.0 + 300.0, 654.0]);
        Ok(())
    }

    #[test]
    fn nothing_is_asked_twice() -> Result<()> {
        let (query, asked) = (query()?, AtomicUsize::new(0));
        let model = |x: &Tensor| {
            asked.fetch_add(x.dim(0)?, Ordering::Relaxed);
            model(x)
        };
        let mut calls = Calls::new((&model, &query), &Features::Values, &Baseline::Zero, |_| 2)?;
        let before = asked.load(Ordering::Relaxed);
        let (one, none) = ((0, Coalition::of(3, [1])), (1, Coalition::empty(3)));
        let jobs = [one.clone(), none.clone(), one.clone(), (0, Coalition::full(3)), none];
        assert_eq!(calls.values(&jobs)?, [20.0, 0.0, 20.0, 321.0, 0.0]);
        assert_eq!(calls.values(&[one])?, [20.0]);
        assert_eq!(asked.load(Ordering::Relaxed) - before, 2);
        Ok(())
    }

    #[test]
    fn soft_masks_lead_from_the_baseline_to_the_row() -> Result<()> {
        let query = query()?;
        let mut calls = Calls::new((&model, &query), &Features::Values, &Baseline::Constant(1.0), |_| 2)?;
        let masks = Tensor::new(&[[0.0f64, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.0, 1.0]], &Device::Cpu)?;
        assert_eq!(calls.blended(1, &masks)?, [111.0, 654.0, 2.5 + 10.0 + 600.0]);
        Ok(())
    }
}
