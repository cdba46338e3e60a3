//! The flat batch over (row, draw) that path methods and samplers share.

use crate::schedule::{Run, to_f64};
use crate::target::Resolved;
use crate::{Error, Progress, Result, Sampling};
use candle_core::Tensor;

/// Draws of a sampler that stops by itself before it first looks at its error.
const FIRST: usize = 20;

/// Differentiates the score at one version of a row for each job (row, draw). `version(row, draw)` gives the point and
/// what the caller wants back with its gradient; `visit(row, that, score, gradient)` is called in the order of the
/// jobs, whatever the batch, so that sums over the gradients do not depend on it.
pub(super) fn gradients<C>(
    run: &mut Run,
    jobs: &[(usize, usize)],
    target: &Resolved,
    version: impl Fn(usize, usize) -> Result<(Tensor, C)>,
    mut visit: impl FnMut(usize, C, f64, &Tensor) -> Result<()>,
) -> Result<()> {
    for jobs in jobs.chunks(run.batch()) {
        let rows: Vec<usize> = jobs.iter().map(|job| job.0).collect();
        let versions = jobs.iter().map(|&(row, draw)| version(row, draw)).collect::<Result<Vec<_>>>()?;
        let (points, contexts): (Vec<Tensor>, Vec<C>) = versions.into_iter().unzip();
        let (scores, gradients) = run.slopes(&Tensor::stack(&points, 0)?, &rows, target)?;
        for (n, ((row, context), score)) in rows.into_iter().zip(contexts).zip(scores).enumerate() {
            visit(row, context, score, &gradients.get(n)?)?;
        }
    }
    Ok(())
}

/// How many draws a sampler takes for each row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draws {
    Fixed(usize),
    /// Until the standard error of a row's map is small enough; at most so many.
    Until {
        error: f64,
        most: usize,
    },
}

impl Draws {
    /// Draws that stop by themselves at this relative standard error.
    pub(crate) fn until(error: f64) -> Self {
        Self::Until { error, most: 10_000 }
    }

    /// The same with at most `most` of them.
    pub(crate) fn at_most(self, most: usize) -> Self {
        match self {
            Self::Fixed(_) => Self::Fixed(most),
            Self::Until { error, .. } => Self::Until { error, most },
        }
    }

    /// The largest number of draws.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Fixed(most) | Self::Until { most, .. } => most,
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        if let Self::Until { error, .. } = self
            && !(error.is_finite() && error > 0.0)
        {
            let (setting, expected) = ("standard error", "a positive number such as 0.05");
            return Err(Error::Setting { setting, value: error.to_string(), expected });
        }
        super::at_least_one("number of samples", self.most()).map(drop)
    }

    /// As [`check`](Self::check), for estimators that compare draws with each other.
    pub(crate) fn check_pairs(self) -> Result<()> {
        self.check()?;
        match self.most() {
            1 => Err(Error::Setting {
                setting: "number of samples",
                value: "1".into(),
                expected: "at least 2 of them, which are compared",
            }),
            _ => Ok(()),
        }
    }

    /// The jobs (row, draw) that are to be done next, the first of every row, the second of every row; none when every
    /// row has enough.
    pub(super) fn jobs(self, moments: &[Moments]) -> Result<Vec<(usize, usize)>> {
        let mut jobs = Vec::new();
        for (row, moments) in moments.iter().enumerate() {
            let drawn = moments.count;
            let more = self.more(drawn, || moments.relative_error())?;
            jobs.extend((drawn..drawn + more).map(|draw| (row, draw)));
        }
        jobs.sort_by_key(|&(row, draw)| (draw, row));
        Ok(jobs)
    }

    /// How many more draws a row needs that has so many, with this relative error: as many as its error says, but neither
    /// many times what it has nor next to nothing, because the error is an estimate too.
    pub(crate) fn more(self, drawn: usize, relative_error: impl FnOnce() -> Result<f64>) -> Result<usize> {
        match self {
            Self::Fixed(count) => Ok(count.saturating_sub(drawn)),
            Self::Until { most, .. } if drawn == 0 => Ok(FIRST.min(most)),
            Self::Until { error, most } => {
                let excess = relative_error()? / error;
                if excess <= 1.0 {
                    return Ok(0);
                }
                let missing = drawn as f64 * (excess * excess - 1.0);
                let more = missing.min((2 * drawn) as f64).ceil() as usize;
                Ok(more.max(drawn / 4).max(1).min(most.saturating_sub(drawn)))
            }
        }
    }
}

/// Running mean and spread of the maps that a sampler draws for one row.
#[derive(Clone, Default)]
pub(super) struct Moments {
    count: usize,
    /// The sums of the maps and of their squares.
    sums: Option<(Tensor, Tensor)>,
}

impl Moments {
    pub(super) fn add(&mut self, map: &Tensor) -> Result<()> {
        self.count += 1;
        self.sums = Some(match &self.sums {
            None => (map.clone(), map.sqr()?),
            Some((sum, squares)) => ((sum + map)?, (squares + map.sqr()?)?),
        });
        Ok(())
    }

    /// How many maps were added.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn sums(&self) -> Result<&(Tensor, Tensor)> {
        let missing = || candle_core::Error::Msg("no sample was drawn".into());
        Ok(self.sums.as_ref().ok_or_else(missing)?)
    }

    pub(super) fn mean(&self) -> Result<Tensor> {
        Ok((&self.sums()?.0 / self.count as f64)?)
    }

    /// The population variance.
    pub(super) fn variance(&self) -> Result<Tensor> {
        let mean_square = (&self.sums()?.1 / self.count as f64)?;
        Ok((mean_square - self.mean()?.sqr()?)?.relu()?)
    }

    /// The standard error of the mean, value by value; infinite after one draw.
    pub(super) fn error(&self) -> Result<Tensor> {
        Ok(match self.count {
            0 | 1 => self.mean()?.zeros_like()?.affine(1.0, f64::INFINITY)?,
            count => (self.variance()?.sqrt()? / (count as f64 - 1.0).sqrt())?,
        })
    }

    /// The L2 norm of the mean's standard error over that of the mean; infinite after one draw.
    fn relative_error(&self) -> Result<f64> {
        let norm = |values: &Tensor| -> Result<f64> {
            Ok(to_f64(&values.sqr()?.sum_all()?)?.iter().sum::<f64>().sqrt())
        };
        let (error, mean) = (norm(&self.error()?)?, norm(&self.mean()?)?);
        Ok(if mean == 0.0 && error == 0.0 { 0.0 } else { error / mean })
    }
}

/// Makes draws until every row has enough; how far it was if the run was cancelled when every row had some.
pub(super) fn draw(
    draws: Draws,
    moments: &mut [Moments],
    mut make: impl FnMut(&[(usize, usize)], &mut [Moments]) -> Result<()>,
) -> Result<Option<Progress>> {
    loop {
        let jobs = draws.jobs(moments)?;
        if jobs.is_empty() {
            return Ok(None);
        }
        match make(&jobs, moments) {
            Err(Error::Cancelled { done, of }) if moments.iter().all(|moments| moments.count > 0) => {
                return Ok(Some(Progress { done, of }));
            }
            made => made?,
        }
    }
}

/// `what` of every row, as one batch.
pub(super) fn stack(moments: &[Moments], what: impl Fn(&Moments) -> Result<Tensor>) -> Result<Tensor> {
    Ok(Tensor::stack(&moments.iter().map(what).collect::<Result<Vec<_>>>()?, 0)?)
}

/// The sampling error of all rows.
pub(super) fn sampling(moments: &[Moments]) -> Result<Sampling> {
    let standard_error = moments.iter().map(Moments::relative_error).collect::<Result<_>>()?;
    Ok(Sampling { samples: moments.iter().map(|moments| moments.count).collect(), standard_error })
}
