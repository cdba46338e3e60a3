//! Expected Gradients: Integrated Gradients averaged over a distribution of baselines.

use super::integrated_gradients::row_sums;
use super::versions::{self, Draws, Moments};
use super::{Noise, at_least_one};
use crate::random::Stream;
use crate::references::{Listed, References};
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
/// ([Erion et al. 2019](https://arxiv.org/abs/1906.10670)). With [`noise`](ExpectedGradients::noise) on x it is the
/// estimator of GradientSHAP ([Lundberg and Lee 2017](https://arxiv.org/abs/1705.07874), as in `shap` and Captum).
///
/// The attributions of a row sum, in expectation, to f(x) − E f(x′). The result carries the standard error that
/// sampling left; with references that have a list also that sum and that difference. [`until`](ExpectedGradients::until)
/// draws until the error is small enough, for every row by itself.
///
/// **When not to use it:** without samples of the data the model was trained on. The default, uniform noise, is a
/// stand-in: its images are unlike any that the model knows.
#[derive(Clone, Debug)]
pub struct ExpectedGradients {
    samples: Draws,
    references: References,
    draws: Option<Vec<Draw>>,
    noise: Option<Noise>,
}

impl Default for ExpectedGradients {
    /// 200 samples, as in the paper; uniform noise for want of data.
    fn default() -> Self {
        Self { samples: Draws::Fixed(200), references: References::default(), draws: None, noise: None }
    }
}

impl ExpectedGradients {
    /// How many (x′, α) are drawn for each row; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws for each row until the standard error of its map, norm over norm, is at most `standard_error`, or 10 000
    /// are drawn. How often the error is looked at is fixed beforehand by the error itself, not by luck: between two
    /// looks the number of draws grows towards what is missing.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// The distribution of x′; a [`Baseline`](crate::Baseline) is one, too.
    pub fn references(self, references: impl Into<References>) -> Self {
        Self { references: references.into(), ..self }
    }

    /// Uses these draws for every row in place of random ones: to repeat another tool's numbers. They need
    /// [`References::Samples`].
    pub fn draws(self, draws: Vec<Draw>) -> Self {
        Self { draws: Some(draws), ..self }
    }

    /// Draws noise for x as well, so that the line ends at x + ε: GradientSHAP. The map sums to E f(x + ε) − E f(x′)
    /// then, of which no residual is told.
    pub fn noise(self, noise: Noise) -> Self {
        Self { noise: Some(noise), ..self }
    }

    /// Reference and α of one draw.
    fn draw(&self, query: &Query, (row, draw): (usize, usize), stream: &mut Stream) -> Result<(Tensor, f64)> {
        if let (Some(draws), References::Samples(samples)) = (&self.draws, &self.references) {
            let reference = References::pick(samples, draws[draw].reference, &query.input().get(row)?)?;
            return Ok((reference, draws[draw].alpha));
        }
        let alpha = stream.uniform();
        Ok((self.references.draw(query.input(), row, stream)?, alpha))
    }

    /// Where the gradient of one draw is taken, and the line that it lies on.
    fn point(&self, query: &Query, row: usize, draw: usize) -> Result<(Tensor, Tensor)> {
        let mut stream = Stream::new(query.seed_asked(), query.sample(row), draw as u64);
        let (reference, alpha) = self.draw(query, (row, draw), &mut stream)?;
        let x = query.input().get(row)?;
        let end = match &self.noise {
            Some(noise) => noise.added(&x, draw, &mut stream)?,
            None => x,
        };
        let path = (end - &reference)?;
        Ok(((reference + (&path * alpha)?)?, path))
    }

    fn count(&self, input: &Tensor) -> Result<Draws> {
        self.references.check(input)?;
        self.samples.check()?;
        let given = self.noise.as_ref().map(|noise| noise.check(input)).transpose()?.flatten();
        match (&self.draws, &self.references) {
            (None, _) => Ok(given.map_or(self.samples, Draws::Fixed)),
            (Some(draws), References::Samples(samples))
                if draws.iter().all(|draw| draw.reference < samples.dims()[0])
                    && given.is_none_or(|noise| noise == draws.len()) =>
            {
                Ok(Draws::Fixed(at_least_one("number of draws", draws.len())?))
            }
            _ => Err(Error::Setting {
                setting: "list of draws",
                value: "draws".into(),
                expected: "indices into references that are given as samples, one for each noise tensor if those are given",
            }),
        }
    }

    /// E f(x′) for every row's class, over all references; nothing for a distribution without a list.
    fn expected_scores(&self, run: &mut Run, prediction: &Prediction) -> Result<Option<Vec<f64>>> {
        let Some(listed) = self.listed() else { return Ok(None) };
        let mut expected = vec![0.0; run.rows()];
        let (shared, own): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(_, point)| is_shared(point));
        for shared in shared.chunks(run.batch()) {
            let points =
                shared.iter().map(|(_, point)| point.at(run.input(), 0)).collect::<Result<Vec<_>>>()?;
            let scores = run.scores_for_all_rows(&Tensor::stack(&points, 0)?, &prediction.target)?;
            for (expected, scores) in expected.iter_mut().zip(scores) {
                *expected += shared.iter().zip(scores).map(|((share, _), score)| share * score).sum::<f64>();
            }
        }
        for (share, point) in own {
            for rows in run.batches(run.rows()) {
                let rows: Vec<usize> = rows.collect();
                let points =
                    rows.iter().map(|&row| point.at(run.input(), row)).collect::<Result<Vec<_>>>()?;
                let scores = run.scores(&Tensor::stack(&points, 0)?, &rows, &prediction.target)?;
                rows.iter().zip(scores).for_each(|(&row, score)| expected[row] += share * score);
            }
        }
        Ok(Some(expected))
    }

    /// The references whose mean score the map is held against.
    fn listed(&self) -> Option<Vec<(f64, Listed<'_>)>> {
        self.references.listed().filter(|_| self.noise.is_none())
    }

    /// Rows that the model evaluates at most.
    fn planned(&self, rows: usize, draws: Draws) -> usize {
        let listed = self.listed().unwrap_or_default();
        let references = listed.iter().map(|(_, point)| if is_shared(point) { 1 } else { rows });
        rows * (1 + draws.most()) + references.sum::<usize>()
    }
}

/// Whether a reference is the same for all rows.
fn is_shared(point: &Listed) -> bool {
    matches!(point, Listed::Sample(..))
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
        let mut moments = vec![Moments::default(); rows];
        let version = |row: usize, draw: usize| self.point(query, row, draw);
        let partial = versions::draw(draws, &mut moments, |jobs, moments| {
            versions::gradients(&mut run, jobs, &prediction.target, version, |row, path, _, gradient| {
                moments[row].add(&(path * gradient)?)
            })
        })?;
        let values = versions::stack(&moments, Moments::mean)?;
        let mut expected = None;
        if partial.is_none() {
            expected = self.expected_scores(&mut run, &prediction)?;
            run.finish()?;
        }
        let difference =
            |expected: Vec<f64>| prediction.scores.iter().zip(expected).map(|(x, e)| x - e).collect();
        let sum = row_sums(&values)?;
        let completeness = expected.map(|expected| Completeness { sum, difference: difference(expected) });
        let sampling = Some(versions::sampling(&moments)?);
        let convergence = Convergence { completeness, sampling, partial, ..Convergence::default() };
        let error = Some(versions::stack(&moments, Moments::error)?);
        let attribution = Attribution::new(self.name(), values, prediction, convergence, run.cost());
        Ok(Attribution { error, ..attribution })
    }
}
