//! IDGI: along a path, only the part of each step that the gradient explains.

use super::integrated_gradients::row_sums;
use super::path::{self, Path};
use super::{at_least_one, versions};
use crate::schedule::Run;
use crate::{Attribution, Completeness, Convergence, Explain, Model, Query, Result};
use candle_core::Tensor;

/// A = Σₖ gₖ² / ‖gₖ‖² · (f(γₖ₊₁) − f(γₖ)), gₖ the gradient at the point γₖ of a path: Important Direction Gradient
/// Integration ([Yang et al. 2023](https://arxiv.org/abs/2303.14242)).
///
/// Each step shares its change of the score out along the direction of the gradient, whatever direction the path takes.
/// The attributions of a row sum to f(x) − f(γ(0)) with any number of steps, but for steps whose gradient is zero.
///
/// **When not to use it:** to compare the pixels of one colour with those of another by their sign: within a step all
/// features get the same sign, that of the step.
///
/// # Shapes
/// The map has the input's shape.
///
/// # Example
/// ```
/// use candlelight_core::{Idgi, Path};
///
/// let method = Idgi::along(Path::Blur(20.0)).steps(50);
/// ```
#[derive(Clone, Debug)]
pub struct Idgi {
    path: Path,
    steps: usize,
}

impl Default for Idgi {
    /// 50 equal steps on the straight line from zero.
    fn default() -> Self {
        Self::along(Path::default())
    }
}

impl Idgi {
    /// Along this path.
    pub fn along(path: Path) -> Self {
        Self { path, steps: 50 }
    }

    /// How many gradients are taken along the path.
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }
}

/// What the steps of one row add up to.
struct Sum {
    values: Tensor,
    /// Score and share of every feature at the point before.
    last: Option<(f64, Tensor)>,
}

impl Sum {
    /// Goes to a point of this score.
    fn reach(&mut self, score: f64) -> Result<()> {
        if let Some((before, shares)) = self.last.take() {
            self.values = (&self.values + (shares * (score - before))?)?;
        }
        Ok(())
    }

    /// Leaves a point of this score and gradient.
    fn leave(&mut self, score: f64, gradient: &Tensor) -> Result<()> {
        let squares = gradient.sqr()?;
        let norm = super::total(&squares)?;
        let shares = if norm > 0.0 { (squares / norm)? } else { squares };
        self.last = Some((score, shares));
        Ok(())
    }
}

impl Explain for Idgi {
    fn name(&self) -> String {
        "idgi".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let steps = at_least_one("number of steps", self.steps)?;
        let (input, rows) = (query.input(), query.input().dims()[0]);
        let mut run = Run::new(model, query, rows * (steps + 1))?;
        self.path.check(input)?;
        let prediction = run.predict()?;
        let mut sums = Vec::with_capacity(rows);
        for row in 0..rows {
            sums.push(Sum { values: input.get(row)?.zeros_like()?, last: None });
        }
        let mut starts = vec![f64::NAN; rows];
        let version = |row, k: usize| Ok((self.path.at(input, row, k as f64 / steps as f64)?, k));
        let jobs = path::every(rows, steps);
        versions::gradients(&mut run, &jobs, &prediction.target, version, |row, k, score, gradient| {
            if k == 0 {
                starts[row] = score;
            }
            sums[row].reach(score)?;
            sums[row].leave(score, gradient)
        })?;
        for (sum, &score) in sums.iter_mut().zip(&prediction.scores) {
            sum.reach(score)?;
        }
        let values = Tensor::stack(&sums.into_iter().map(|sum| sum.values).collect::<Vec<_>>(), 0)?;
        let difference = prediction.scores.iter().zip(starts).map(|(x, start)| x - start).collect();
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let convergence = Convergence { completeness, ..Convergence::in_steps(steps, rows) };
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}
