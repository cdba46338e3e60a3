//! Maps of inputs compared with references, averaged over those.

use super::integrated_gradients::row_sums;
use super::versions::{self, Draws, Moments};
use crate::random::Stream;
use crate::references::{Listed, References};
use crate::rules::{Composite, Rule};
use crate::schedule::Run;
use crate::scope::{Rules, Selector};
use crate::target::Resolved;
use crate::{Attribution, Completeness, Convergence, Error, Model, Progress, Query, Result, Sampling};
use candle_core::Tensor;

/// References drawn from a distribution that has no list of them.
const DRAWN: Draws = Draws::Fixed(30);

/// The references that every row is compared with.
pub(super) struct Compared<'a> {
    references: &'a References,
    /// Each of these with its share; or draws from the distribution.
    listed: Option<Vec<(f64, Listed<'a>)>>,
    draws: Draws,
    rule: Rule,
}

impl<'a> Compared<'a> {
    /// So many draws; unless set, each reference of a list once.
    pub(super) fn with(references: &'a References, samples: Option<Draws>) -> Self {
        let listed = references.listed().filter(|_| samples.is_none());
        let each = |listed: &Vec<_>| Draws::Fixed(listed.len());
        let draws = samples.or(listed.as_ref().map(each)).unwrap_or(DRAWN);
        Self { references, listed, draws, rule: Rule::Rescale }
    }

    /// The same by another rule for pairs.
    pub(super) fn by(self, rule: &Rule) -> Self {
        Self { rule: rule.clone(), ..self }
    }

    /// The mean of the contributions of every row's changes.
    pub(super) fn attribute(&self, name: String, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.references.check(query.input())?;
        self.draws.check()?;
        let rows = query.input().dims()[0];
        let rules = Rules::new(&Composite::default().with(Selector::Every, self.rule.clone()));
        let mut run = Run::under(rules, model, query, rows * (1 + 2 * self.draws.most()))?;
        let prediction = run.predict()?;
        let (mut moments, mut expected) = (vec![Moments::default(); rows], vec![0.0; rows]);
        let partial = versions::draw(self.draws, &mut moments, |jobs, moments| {
            jobs.chunks(run.pairs_at_once()).try_for_each(|jobs| {
                self.compare(&mut run, query, jobs, &prediction.target, |row, score, map| {
                    expected[row] += score;
                    moments[row].add(&map)
                })
            })
        })?;
        match (&self.listed, partial) {
            (_, None) => run.finish()?,
            // Some of a list say nothing of all of it.
            (Some(_), Some(Progress { done, of })) => return Err(Error::Cancelled { done, of }),
            (None, Some(_)) => {}
        }
        let values = versions::stack(&moments, Moments::mean)?;
        let mean = |row: usize| expected[row] / moments[row].count() as f64;
        let difference = (0..rows).map(|row| prediction.scores[row] - mean(row)).collect();
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let (sampling, error) = self.sampled(&moments)?;
        let convergence = Convergence { completeness, sampling, partial, ..Convergence::default() };
        let attribution = Attribution::new(name, values, prediction, convergence, run.cost());
        Ok(Attribution { error, ..attribution })
    }

    /// Hands every job's row, score of its reference and contributions to `visit`, each times what its reference counts
    /// in the mean.
    fn compare(
        &self,
        run: &mut Run,
        query: &Query,
        jobs: &[(usize, usize)],
        target: &Resolved,
        mut visit: impl FnMut(usize, f64, Tensor) -> Result<()>,
    ) -> Result<()> {
        let rows: Vec<usize> = jobs.iter().map(|job| job.0).collect();
        let points =
            rows.iter().map(|&row| query.input().get(row)).collect::<candle_core::Result<Vec<_>>>()?;
        let references = jobs.iter().map(|&job| self.reference(query, job)).collect::<Result<Vec<_>>>()?;
        let pairs = (&Tensor::stack(&points, 0)?, &Tensor::stack(&references, 0)?);
        let (scores, maps) = run.contributions(pairs, &rows, target)?;
        for (n, (&(row, draw), score)) in jobs.iter().zip(scores).enumerate() {
            let weight = self.weight(draw);
            visit(row, score * weight, (maps.get(n)? * weight)?)?;
        }
        Ok(())
    }

    fn reference(&self, query: &Query, (row, draw): (usize, usize)) -> Result<Tensor> {
        match &self.listed {
            Some(listed) => listed[draw].1.at(query.input(), row),
            None => {
                let mut stream = Stream::new(query.seed_asked(), query.sample(row), draw as u64);
                self.references.draw(query.input(), row, &mut stream)
            }
        }
    }

    /// The share of a reference in units of the share that each has where all have the same.
    fn weight(&self, draw: usize) -> f64 {
        self.listed.as_ref().map_or(1.0, |listed| listed[draw].0 * listed.len() as f64)
    }

    /// The error of draws; a list leaves none.
    fn sampled(&self, moments: &[Moments]) -> Result<(Option<Sampling>, Option<Tensor>)> {
        match self.listed {
            Some(_) => Ok((None, None)),
            None => Ok((Some(versions::sampling(moments)?), Some(versions::stack(moments, Moments::error)?))),
        }
    }
}
