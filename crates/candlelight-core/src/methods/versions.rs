//! The flat batch over (row, draw) that path methods and samplers share.

use crate::schedule::Run;
use crate::target::Resolved;
use crate::{Result, Sampling};
use candle_core::Tensor;

/// Differentiates the score at `draws` versions of every row. `version(row, draw)` gives the point and what the
/// caller wants back with its gradient; `visit(row, that, gradient)` is called in order, whatever the batch, so that
/// sums over the gradients do not depend on it.
pub(super) fn gradients<C>(
    run: &mut Run,
    draws: usize,
    target: &Resolved,
    version: impl Fn(usize, usize) -> Result<(Tensor, C)>,
    mut visit: impl FnMut(usize, C, &Tensor) -> Result<()>,
) -> Result<()> {
    for range in run.batches(run.rows() * draws) {
        let rows: Vec<usize> = range.clone().map(|k| k / draws).collect();
        let versions = range.map(|k| version(k / draws, k % draws)).collect::<Result<Vec<_>>>()?;
        let (points, contexts): (Vec<Tensor>, Vec<C>) = versions.into_iter().unzip();
        let (_, gradients) = run.slopes(&Tensor::stack(&points, 0)?, &rows, target)?;
        for (n, (row, context)) in rows.into_iter().zip(contexts).enumerate() {
            visit(row, context, &gradients.get(n)?)?;
        }
    }
    Ok(())
}

/// Running mean and spread of the maps that a sampler draws for one row.
#[derive(Clone)]
pub(super) struct Moments {
    count: usize,
    sum: Tensor,
    squares: Tensor,
}

impl Moments {
    pub(super) fn new(like: &Tensor) -> Result<Self> {
        let zeros = like.zeros_like()?;
        Ok(Self { count: 0, sum: zeros.clone(), squares: zeros })
    }

    pub(super) fn add(&mut self, map: &Tensor) -> Result<()> {
        self.count += 1;
        self.sum = (&self.sum + map)?;
        self.squares = (&self.squares + map.sqr()?)?;
        Ok(())
    }

    pub(super) fn mean(&self) -> Result<Tensor> {
        Ok((&self.sum / self.count as f64)?)
    }

    pub(super) fn mean_square(&self) -> Result<Tensor> {
        Ok((&self.squares / self.count as f64)?)
    }

    /// The population variance.
    pub(super) fn variance(&self) -> Result<Tensor> {
        Ok((self.mean_square()? - self.mean()?.sqr()?)?.relu()?)
    }

    /// The L2 norm of the mean's standard error over that of the mean; infinite after one draw.
    fn relative_error(&self) -> Result<f64> {
        let norm = |squares: Tensor| -> Result<f64> {
            Ok(crate::schedule::to_f64(&squares.sum_all()?)?.iter().sum::<f64>().sqrt())
        };
        let error = norm(self.variance()?)? / (self.count as f64 - 1.0).max(0.0).sqrt();
        let mean = norm(self.mean()?.sqr()?)?;
        Ok(if mean == 0.0 && error == 0.0 { 0.0 } else { error / mean })
    }
}

/// The sampling error of all rows.
pub(super) fn sampling(moments: &[Moments]) -> Result<Sampling> {
    let standard_error = moments.iter().map(Moments::relative_error).collect::<Result<_>>()?;
    Ok(Sampling { samples: moments.first().map_or(0, |m| m.count), standard_error })
}
