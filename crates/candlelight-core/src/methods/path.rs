//! Ways from a reference to the row that is explained.

use crate::{Baseline, Result};
use candle_core::Tensor;

/// A path γ with γ(1) = x, along which gradients are taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Path {
    /// γ(α) = x′ + α(x − x′), the straight line from a baseline.
    Straight(Baseline),
    /// γ(α) = x blurred by a Gaussian of standard deviation (1 − α) times this, in pixels: detail comes in, from the
    /// coarse to the fine ([Xu et al. 2020](https://arxiv.org/abs/2004.03383)).
    Blur(f64),
}

/// Every step of every row: (row, step).
pub(super) fn every(rows: usize, steps: usize) -> Vec<(usize, usize)> {
    (0..rows * steps).map(|k| (k / steps, k % steps)).collect()
}

impl Default for Path {
    /// The straight line from zero.
    fn default() -> Self {
        Self::Straight(Baseline::default())
    }
}

impl Path {
    pub(super) fn check(&self, input: &Tensor) -> Result<()> {
        match self {
            Self::Straight(baseline) => baseline.check(input),
            Self::Blur(sigma) => Baseline::Blurred(*sigma).check(input),
        }
    }

    /// The point γ(`alpha`) for row `row` of `input`.
    pub(super) fn at(&self, input: &Tensor, row: usize, alpha: f64) -> Result<Tensor> {
        match self {
            Self::Straight(baseline) => {
                let start = baseline.at(input, row)?;
                Ok((&start + ((input.get(row)? - &start)? * alpha)?)?)
            }
            Self::Blur(sigma) => Baseline::Blurred(sigma * (1.0 - alpha)).at(input, row),
        }
    }

    /// The start γ(0) of every row, `[N, …]`.
    pub(super) fn starts(&self, input: &Tensor) -> Result<Tensor> {
        let rows = (0..input.dims()[0]).map(|row| self.at(input, row, 0.0));
        Ok(Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
