//! Expected Gradients: Integrated Gradients averaged over a distribution of baselines.

use super::at_least_one;
use super::integrated_gradients::row_sums;
use super::versions::{self, Moments};
use crate::baseline::References;
use crate::random::Stream;
use crate::schedule::{Prediction, Run};
use crate::{Attribution, Completeness, Convergence, Error, Explain, Model, Query, Result};
use candle_core::Tensor;

/// One draw of Expected Gradients: which reference, and where on the line from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Index of the reference among the samples.
    pub reference: usize,
    /// Position on the path, 0 at the reference, 1 at the input.
    pub alpha: f64,
}

/// A = E over x′ and α of (x − x′) · ∂f/∂x (x′ + α(x − x′)), x′ from a distribution, α uniform in [0, 1]
/// ([Erion et al. 2019](https://arxiv.org/abs/1906.10670); the estimator of GradientSHAP without its noise).
///
/// The attributions of a row sum, in expectation, to f(x) − E f(x′). The result carries the standard error that
/// sampling left; with given references also that sum and that difference.
///
/// **When not to use it:** without samples of the data the model was trained on. The default, uniform noise, is a
/// stand-in: its images are unlike any that the model knows.
#[derive(Clone, Debug)]
pub struct ExpectedGradients {
    samples: usize,
    references: References,
    draws: Option<Vec<Draw>>,
}

impl Default for ExpectedGradients {
    /// 200 samples, as in the paper; uniform noise for want of data.
    fn default() -> Self {
        Self { samples: 200, references: References::default(), draws: None }
    }
}

impl ExpectedGradients {
    /// How many (x′, α) are drawn for each row.
    pub fn samples(self, samples: usize) -> Self {
        Self { samples, ..self }
    }

    /// The distribution of x′.
    pub fn references(self, references: References) -> Self {
        Self { references, ..self }
    }

    /// Uses these draws for every row in place of random ones: to repeat another tool's numbers. They need
    /// [`References::Samples`].
    pub fn draws(self, draws: Vec<Draw>) -> Self {
        Self { draws: Some(draws), ..self }
    }

    /// Reference and α of one draw.
    fn draw(&self, query: &Query, row: usize, draw: usize) -> Result<(Tensor, f64)> {
        let x = query.input().get(row)?;
        match (&self.draws, &self.references) {
            (Some(draws), References::Samples(samples)) => {
                Ok((References::pick(samples, draws[draw].reference, &x)?, draws[draw].alpha))
            }
            _ => {
                let mut stream = Stream::new(query.seed_asked(), query.sample(row), draw as u64);
                let alpha = stream.uniform();
                Ok((self.references.draw(&x, &mut stream)?, alpha))
            }
        }
    }

    fn count(&self, input: &Tensor) -> Result<usize> {
        self.references.check(input)?;
        match (&self.draws, &self.references) {
            (None, _) => at_least_one("number of samples", self.samples),
            (Some(draws), References::Samples(samples))
                if draws.iter().all(|draw| draw.reference < samples.dims()[0]) =>
            {
                at_least_one("number of draws", draws.len())
            }
            _ => Err(Error::Setting {
                setting: "list of draws",
                value: "draws".into(),
                expected: "indices into references that are given as samples",
            }),
        }
    }

    /// E f(x′) for every row's class, over all given samples; nothing for a distribution without a list.
    fn expected_scores(&self, run: &mut Run, prediction: &Prediction) -> Result<Option<Vec<f64>>> {
        let References::Samples(samples) = &self.references else { return Ok(None) };
        let (row, count) = (run.input().get(0)?, samples.dims()[0]);
        let mut sums = vec![0.0; run.rows()];
        for range in run.batches(count) {
            let points = range.map(|k| References::pick(samples, k, &row)).collect::<Result<Vec<_>>>()?;
            let scores = run.scores_for_all_rows(&Tensor::stack(&points, 0)?, &prediction.target)?;
            sums.iter_mut().zip(scores).for_each(|(sum, scores)| *sum += scores.iter().sum::<f64>());
        }
        Ok(Some(sums.into_iter().map(|sum| sum / count as f64).collect()))
    }

    fn planned(&self, rows: usize, draws: usize) -> usize {
        let references = match &self.references {
            References::Samples(samples) => samples.dims()[0],
            References::Uniform => 0,
        };
        rows * (1 + draws) + references
    }
}

impl Explain for ExpectedGradients {
    fn name(&self) -> String {
        "expected-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let draws = self.count(query.input())?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, self.planned(rows, draws))?;
        let prediction = run.predict()?;
        let mut moments = vec![Moments::new(&query.input().get(0)?)?; rows];
        let version = |row: usize, draw: usize| {
            let (reference, alpha) = self.draw(query, row, draw)?;
            let path = (query.input().get(row)? - &reference)?;
            Ok(((reference + (&path * alpha)?)?, path))
        };
        versions::gradients(&mut run, draws, &prediction.target, version, |row, path, gradient| {
            moments[row].add(&(path * gradient)?)
        })?;
        let means = moments.iter().map(Moments::mean).collect::<Result<Vec<_>>>()?;
        let values = Tensor::stack(&means, 0)?;
        let expected = self.expected_scores(&mut run, &prediction)?;
        let completeness = match expected {
            None => None,
            Some(expected) => {
                let difference = prediction.scores.iter().zip(expected).map(|(x, e)| x - e).collect();
                Some(Completeness { sum: row_sums(&values)?, difference })
            }
        };
        let convergence = Convergence { completeness, sampling: Some(versions::sampling(&moments)?) };
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}
