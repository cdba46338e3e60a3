//! Integrated Gradients: the gradient averaged along the straight line from a baseline.

use super::versions;
use super::{Quadrature, at_least_one};
use crate::baseline::Baseline;
use crate::schedule::{Run, to_f64};
use crate::{Attribution, Completeness, Convergence, Explain, Model, Query, Result};
use candle_core::Tensor;

/// A = (x − x′) · ∫₀¹ ∂f/∂x (x′ + α(x − x′)) dα ([Sundararajan et al. 2017](https://arxiv.org/abs/1703.01365)).
///
/// The attributions of a row sum to f(x) − f(x′); how far they do is in the result's
/// [`Convergence`](crate::Convergence).
///
/// **When not to use it:** where no baseline is neutral. Pixels that equal the baseline get nothing, so a black
/// baseline cannot see black objects; take [`ExpectedGradients`](super::ExpectedGradients) then.
#[derive(Clone, Debug)]
pub struct IntegratedGradients {
    steps: usize,
    quadrature: Quadrature,
    baseline: Baseline,
}

impl Default for IntegratedGradients {
    /// 50 Gauss-Legendre steps from zero.
    fn default() -> Self {
        Self { steps: 50, quadrature: Quadrature::default(), baseline: Baseline::default() }
    }
}

impl IntegratedGradients {
    /// How many gradients are taken along the path.
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Where on the path they are taken.
    pub fn quadrature(self, quadrature: Quadrature) -> Self {
        Self { quadrature, ..self }
    }

    /// Where the path starts.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }
}

impl Explain for IntegratedGradients {
    fn name(&self) -> String {
        "integrated-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let nodes = self.quadrature.nodes(at_least_one("number of steps", self.steps)?);
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (nodes.len() + 2))?;
        let baseline = self.baseline.like(query.input())?;
        let prediction = run.predict()?;
        let path = (query.input() - &baseline)?;
        let mut sums = vec![path.get(0)?.zeros_like()?; rows];
        let version = |row: usize, step: usize| {
            let (alpha, weight) = nodes[step];
            Ok(((baseline.get(row)? + (path.get(row)? * alpha)?)?, weight))
        };
        versions::gradients(&mut run, nodes.len(), &prediction.target, version, |row, weight, gradient| {
            sums[row] = (&sums[row] + (gradient * weight)?)?;
            Ok(())
        })?;
        let values = (path * Tensor::stack(&sums, 0)?)?;
        let mut at_baseline = Vec::with_capacity(rows);
        for range in run.batches(rows) {
            let points = baseline.narrow(0, range.start, range.len())?;
            at_baseline.extend(run.scores(&points, &range.collect::<Vec<_>>(), &prediction.target)?);
        }
        let difference = prediction.scores.iter().zip(at_baseline).map(|(x, b)| x - b).collect();
        let completeness = Completeness { sum: row_sums(&values)?, difference };
        let convergence = Convergence { completeness: Some(completeness), ..Convergence::default() };
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}

/// The sum of every row's values.
pub(super) fn row_sums(values: &Tensor) -> Result<Vec<f64>> {
    let rows = values.flatten_from(1)?.to_dtype(candle_core::DType::F64)?;
    to_f64(&rows.sum(1)?)
}
