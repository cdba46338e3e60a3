//! Integrated Gradients: the gradient averaged along the straight line from a baseline.

use super::lines::{self, Integral, Line, Steps};
use super::versions::{self, Moments};
use super::{Quadrature, at_least_one};
use crate::random::Stream;
use crate::references::{Listed, References};
use crate::schedule::{Prediction, Run, to_f64};
use crate::{Attribution, Baseline, Completeness, Convergence, Explain, Model, Query, Result};
use candle_core::Tensor;

/// Baselines drawn from a distribution that has no list of them.
const DRAWN: usize = 30;
/// The most steps that a path takes which chooses them itself.
const MOST: usize = 500;

/// A = (x − x′) · ∫₀¹ ∂f/∂x (x′ + α(x − x′)) dα ([Sundararajan et al. 2017](https://arxiv.org/abs/1703.01365)).
///
/// The attributions of a row sum to f(x) − f(x′); how far they do is in the result's
/// [`Convergence`](crate::Convergence). Over a distribution of baselines the map is the mean of their maps, and sums to
/// f(x) − E f(x′).
///
/// [`until`](Self::until) places the steps itself and stops at the residual that is asked for; `docs/steps.md` has
/// what that saves. A small residual is necessary for a right map and not sufficient: errors of pixels cancel in the
/// sum.
///
/// **When not to use it:** where no baseline is neutral. Pixels that equal the baseline get nothing, so a black
/// baseline cannot see black objects; average over several, or take
/// [`ExpectedGradients`](super::ExpectedGradients) then.
///
/// # Example
/// ```
/// use candlelight_core::{Baseline, Bounds, IntegratedGradients};
///
/// let pixels = Bounds::Channels(vec![(-1.0, 1.0)]);
/// let method = IntegratedGradients::default().baseline(Baseline::MaxDistance(pixels)).until(0.01);
/// ```
#[derive(Clone, Debug)]
pub struct IntegratedGradients {
    steps: Steps,
    references: References,
    draws: Option<usize>,
}

impl Default for IntegratedGradients {
    /// 50 Gauss-Legendre steps from zero.
    fn default() -> Self {
        let steps = Steps::Fixed { count: 50, quadrature: Quadrature::default() };
        Self { steps, references: Baseline::default().into(), draws: None }
    }
}

impl IntegratedGradients {
    /// How many gradients are taken along the path; at most so many, if it chooses its steps itself.
    pub fn steps(self, count: usize) -> Self {
        let steps = match self.steps {
            Steps::Fixed { quadrature, .. } => Steps::Fixed { count, quadrature },
            Steps::Until { residual, .. } => Steps::Until { residual, most: count },
        };
        Self { steps, ..self }
    }

    /// Where on the path they are taken: so many as [`steps`](Self::steps) says.
    pub fn quadrature(self, quadrature: Quadrature) -> Self {
        Self { steps: Steps::Fixed { count: self.steps.most(), quadrature }, ..self }
    }

    /// Chooses number and place of the steps for every path: where the score bends, until the attributions miss
    /// f(x) − f(x′) by at most this share of it, or 500 are taken. No gradient is computed twice.
    pub fn until(self, residual: f64) -> Self {
        Self { steps: Steps::Until { residual, most: MOST }, ..self }
    }

    /// Where the path starts: at a [`Baseline`], or at every one of a distribution in turn.
    pub fn baseline(self, baseline: impl Into<References>) -> Self {
        Self { references: baseline.into(), ..self }
    }

    /// How many baselines are drawn for each row; unless set, each one of a list once, and 30 of a distribution that
    /// has none.
    pub fn draws(self, draws: usize) -> Self {
        Self { draws: Some(draws), ..self }
    }

    /// The baselines that every row is compared with.
    fn starts(&self, input: &Tensor) -> Result<Starts<'_>> {
        self.steps.check()?;
        self.references.check(input)?;
        Ok(match (self.draws, self.references.listed()) {
            (None, Some(listed)) => Starts::Listed(listed),
            (draws, _) => Starts::Drawn(at_least_one("number of baselines", draws.unwrap_or(DRAWN))?),
        })
    }

    /// The path of row `row` from its baseline `draw`.
    fn line(
        &self,
        (run, query): (&Run, &Query),
        starts: &Starts,
        (row, draw): (usize, usize),
        score: f64,
    ) -> Result<Line> {
        let baseline = match starts {
            Starts::Listed(listed) => listed[draw].1.at(query.input(), row)?,
            Starts::Drawn(_) => {
                let mut stream = Stream::new(query.seed_asked(), query.sample(row), draw as u64);
                self.references.draw(query.input(), row, &mut stream)?
            }
        };
        Line::new(run, row, baseline, score)
    }
}

/// Baselines, the same number for every row.
enum Starts<'a> {
    /// These, each with its share.
    Listed(Vec<(f64, Listed<'a>)>),
    /// So many from a distribution.
    Drawn(usize),
}

impl Starts<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Listed(listed) => listed.len(),
            Self::Drawn(count) => *count,
        }
    }

    fn share(&self, draw: usize) -> f64 {
        match self {
            Self::Listed(listed) => listed[draw].0,
            Self::Drawn(count) => 1.0 / *count as f64,
        }
    }
}

/// What the paths of all rows add up to.
struct Sums {
    values: Vec<Tensor>,
    /// E f(x′).
    expected: Vec<f64>,
    steps: Vec<usize>,
    moments: Vec<Moments>,
}

impl Sums {
    fn new(input: &Tensor) -> Result<Self> {
        let rows = input.dims()[0];
        let values = vec![input.get(0)?.zeros_like()?; rows];
        Ok(Self {
            values,
            expected: vec![0.0; rows],
            steps: vec![0; rows],
            moments: vec![Moments::default(); rows],
        })
    }

    fn add(&mut self, line: &Line, integral: &Integral, share: f64) -> Result<()> {
        let row = line.row;
        self.values[row] = (&self.values[row] + (&integral.values * share)?)?;
        self.expected[row] += line.ends.0 * share;
        self.steps[row] += integral.steps;
        Ok(())
    }

    fn attribution(
        self,
        name: String,
        starts: &Starts,
        prediction: Prediction,
        run: &Run,
    ) -> Result<Attribution> {
        let values = Tensor::stack(&self.values, 0)?;
        let difference = prediction.scores.iter().zip(self.expected).map(|(x, e)| x - e).collect();
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let (sampling, error) = match starts {
            Starts::Listed(_) => (None, None),
            Starts::Drawn(_) => (
                Some(versions::sampling(&self.moments)?),
                Some(versions::stack(&self.moments, Moments::error)?),
            ),
        };
        let steps = Some(self.steps);
        let convergence = Convergence { completeness, sampling, steps, ..Convergence::default() };
        let attribution = Attribution::new(name, values, prediction, convergence, run.cost());
        Ok(Attribution { error, ..attribution })
    }
}

impl Explain for IntegratedGradients {
    fn name(&self) -> String {
        "integrated-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let rows = query.input().dims()[0];
        let starts = self.starts(query.input())?;
        let count = starts.count();
        let mut run = Run::new(model, query, rows * (1 + count * (1 + self.steps.most())))?;
        let prediction = run.predict()?;
        let mut sums = Sums::new(query.input())?;
        let together = self.steps.lines(run.batch());
        for first in (0..rows * count).step_by(together) {
            let draws = first..(first + together).min(rows * count);
            let line = |k: usize| {
                let (row, draw) = (k / count, k % count);
                self.line((&run, query), &starts, (row, draw), prediction.scores[row])
            };
            let mut lines = draws.clone().map(line).collect::<Result<Vec<_>>>()?;
            lines::start(&mut run, &mut lines, &prediction.target)?;
            let integrals = lines::integrate(self.steps, &mut run, &lines, &prediction.target)?;
            for ((line, integral), draw) in lines.iter().zip(&integrals).zip(draws) {
                sums.add(line, integral, starts.share(draw % count))?;
                if let Starts::Drawn(_) = starts {
                    sums.moments[line.row].add(&integral.values)?;
                }
            }
        }
        run.finish()?;
        sums.attribution(self.name(), &starts, prediction, &run)
    }
}

/// The sum of every row's values.
pub(super) fn row_sums(values: &Tensor) -> Result<Vec<f64>> {
    let rows = values.flatten_from(1)?.to_dtype(candle_core::DType::F64)?;
    to_f64(&rows.sum(1)?)
}
