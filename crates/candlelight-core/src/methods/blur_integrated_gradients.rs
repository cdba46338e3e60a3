//! Blur IG: Integrated Gradients along a path of blurred images.

use super::integrated_gradients::row_sums;
use super::path::{self, Path};
use super::{at_least_one, versions};
use crate::schedule::Run;
use crate::{Attribution, Completeness, Convergence, Explain, Model, Query, Result};
use candle_core::Tensor;

/// A = ∫ ∂f/∂x (x_σ) · ∂x_σ/∂σ dσ from the largest σ to 0, x_σ the image blurred by a Gaussian of standard deviation σ
/// ([Xu et al. 2020](https://arxiv.org/abs/2004.03383)).
///
/// Computed as Σₖ ∂f/∂x(γ(αₖ₊½)) · (γ(αₖ₊₁) − γ(αₖ)) over n equal steps of σ: the change of the image is exact. The
/// attributions of a row sum to f(x) less the score of the most blurred image. Beyond its edges the image is mirrored,
/// so that it fades into its own colours and not into black.
///
/// **When not to use it:** to explain what colour does: the blurred image has x's own mean colour. And on inputs without
/// neighbourhoods, such as tables, which are refused.
///
/// # Shapes
/// Input and map `[N, C, …]`, blurred along every axis but N and C.
#[derive(Clone, Copy, Debug)]
pub struct BlurIntegratedGradients {
    sigma: f64,
    steps: usize,
}

impl Default for BlurIntegratedGradients {
    /// 100 steps from a blur of 50 pixels.
    fn default() -> Self {
        Self { sigma: 50.0, steps: 100 }
    }
}

impl BlurIntegratedGradients {
    /// The largest standard deviation, in pixels.
    pub fn sigma(self, sigma: f64) -> Self {
        Self { sigma, ..self }
    }

    /// How many gradients are taken along the path.
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }
}

impl Explain for BlurIntegratedGradients {
    fn name(&self) -> String {
        "blur-integrated-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let steps = at_least_one("number of steps", self.steps)?;
        let (input, rows) = (query.input(), query.input().dims()[0]);
        let mut run = Run::new(model, query, rows * (steps + 2))?;
        let blur = Path::Blur(self.sigma);
        blur.check(input)?;
        let prediction = run.predict()?;
        let point = |row, step: f64| blur.at(input, row, step / steps as f64);
        let version = |row: usize, k: usize| {
            let change = (point(row, k as f64 + 1.0)? - point(row, k as f64)?)?;
            Ok((point(row, k as f64 + 0.5)?, change))
        };
        let mut sums = vec![input.get(0)?.zeros_like()?; rows];
        let jobs = path::every(rows, steps);
        versions::gradients(&mut run, &jobs, &prediction.target, version, |row, change, _, gradient| {
            sums[row] = (&sums[row] + (change * gradient)?)?;
            Ok(())
        })?;
        let values = Tensor::stack(&sums, 0)?;
        let difference = super::differences(&mut run, &blur.starts(input)?, &prediction)?;
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let convergence = Convergence { completeness, ..Convergence::in_steps(steps, rows) };
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}
