//! Layer Conductance: how much of Integrated Gradients flows through each unit of a layer.

use super::at_least_one;
use super::integrated_gradients::row_sums;
use super::layer::{self, Seen, Version};
use crate::schedule::Run;
use crate::{Attribution, Baseline, Completeness, Convergence, Error, Explain, Model, Query, Result};
use candle_core::Tensor;

/// Which gradient stands for a step between two points of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepGradient {
    /// The mean of those at both ends: the error falls with the square of the steps.
    #[default]
    Mean,
    /// That at the end nearer to the baseline: Captum's.
    Start,
}

/// A = ∫₀¹ ∂f/∂h · dh/dα dα along x′ + α(x − x′), h the output of a layer
/// ([Dhamdhere et al. 2018](https://arxiv.org/abs/1805.12233)).
///
/// Computed as Σₖ ḡₖ · (h(αₖ₊₁) − h(αₖ)) over n equal steps, ḡₖ the mean of ∂f/∂h at both ends: the change of the
/// layer's output is exact, whatever the steps. If nothing goes around the layer, the attributions of a row sum to
/// f(x) − f(x′).
///
/// **When not to use it:** at a layer that a residual connection goes around: what flows past it is missing from the sum,
/// and the residual in the result says how much.
///
/// # Shapes
/// The map has the shape of the layer's output, `[N, …]`.
#[derive(Clone, Debug)]
pub struct LayerConductance {
    layer: Option<String>,
    positions: Vec<f64>,
    gradient: StepGradient,
    baseline: Baseline,
}

impl Default for LayerConductance {
    /// 50 equal steps from zero, where [`GradCam`](super::GradCam) looks.
    fn default() -> Self {
        let (gradient, baseline) = (StepGradient::default(), Baseline::default());
        Self { layer: None, positions: Vec::new(), gradient, baseline }.steps(50)
    }
}

impl LayerConductance {
    /// At the layer of this name.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..Self::default() }
    }

    /// So many equal steps, from 0 to 1.
    pub fn steps(self, steps: usize) -> Self {
        let positions = (0..=steps).map(|k| k as f64 / steps.max(1) as f64).collect();
        Self { positions, ..self }
    }

    /// The points of the path between which the steps lie, ascending from 0 at the baseline to 1 at the input. What
    /// lies before the first and behind the last is left out.
    pub fn positions(self, positions: Vec<f64>) -> Self {
        Self { positions, ..self }
    }

    /// Which gradient stands for a step.
    pub fn gradient(self, gradient: StepGradient) -> Self {
        Self { gradient, ..self }
    }

    /// Where the path starts.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Gradients are taken at every point or, if they stand for the step behind them, at all but the last.
    fn check(&self) -> Result<()> {
        at_least_one("number of steps", self.positions.len().saturating_sub(1))?;
        let within = self.positions.iter().all(|position| (0.0..=1.0).contains(position));
        match within && self.positions.windows(2).all(|pair| pair[0] < pair[1]) {
            true => Ok(()),
            false => Err(Error::Setting {
                setting: "list of positions",
                value: format!("{:?}", self.positions),
                expected: "numbers that ascend from 0 to 1",
            }),
        }
    }
}

/// The conductance of one row, while its points come in.
struct Sum {
    values: Tensor,
    last: Option<(Tensor, Tensor)>,
}

impl Sum {
    fn add(&mut self, rule: StepGradient, activation: &Tensor, gradient: &Tensor) -> Result<()> {
        if let Some((before, slope)) = &self.last {
            let slope = match rule {
                StepGradient::Mean => ((slope + gradient)? / 2.0)?,
                StepGradient::Start => slope.clone(),
            };
            self.values = (&self.values + (slope * (activation - before)?)?)?;
        }
        self.last = Some((activation.clone(), gradient.clone()));
        Ok(())
    }
}

impl Explain for LayerConductance {
    fn name(&self) -> String {
        "layer-conductance".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.check()?;
        let (rows, count) = (query.input().dims()[0], self.positions.len());
        let mut run = Run::new(model, query, rows * (count + 2))?;
        let layer = layer::find(&self.layer, model, query.input())?;
        let baseline = super::baselines(&self.baseline, query.input())?;
        let path = (query.input() - &baseline)?;
        let (prediction, seen) = Seen::on_input(&mut run, model, layer)?;
        let mut sums = Vec::with_capacity(rows);
        for _ in 0..rows {
            sums.push(Sum { values: seen.activation.get(0)?.zeros_like()?, last: None });
        }
        let version =
            |row, k: usize| Ok(Version::Input((baseline.get(row)? + (path.get(row)? * self.positions[k])?)?));
        let place = (seen.name.as_str(), &prediction.target);
        layer::along((&mut run, query), place, count, version, |row, k, activation, gradient| {
            sums[row].add(self.gradient, activation, gradient)?;
            // A point is a view of its batch: a row that is done must not keep that in memory.
            sums[row].last.take_if(|_| k + 1 == count);
            Ok(())
        })?;
        let values = Tensor::stack(&sums.into_iter().map(|sum| sum.values).collect::<Vec<_>>(), 0)?;
        let difference = super::differences(&mut run, &baseline, &prediction)?;
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let convergence = Convergence { completeness, ..Convergence::in_steps(count, rows) };
        seen.attribution(self.name(), values, prediction, convergence, run.cost())
    }
}
