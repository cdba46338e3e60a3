//! SmoothGrad: any explanation averaged over noisy copies of the input.

use super::versions::{self, Draws, Moments};
use super::{Noise, Saliency};
use crate::random::Stream;
use crate::schedule::Run;
use crate::target::Resolved;
use crate::{Attribution, Convergence, Cost, Explain, Model, Placement, Query, Reading, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// What is made of the maps of all noisy copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistic {
    /// Their mean: SmoothGrad.
    #[default]
    Mean,
    /// The mean of their squares: SmoothGrad-squared ([Hooker et al. 2018](https://arxiv.org/abs/1806.10758)).
    MeanSquare,
    /// Their population variance: VarGrad ([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292)).
    Variance,
}

/// A = mean over ε of A′(x + ε), ε Gaussian ([Smilkov et al. 2017](https://arxiv.org/abs/1706.03825)), for any
/// explainer A′ of the input.
///
/// **When not to use it:** as a cure for a wrong explanation. Noise hides what differs between copies; it also
/// takes the input off the data that the model knows. VarGrad no longer says which way a pixel acts.
///
/// # Example
/// ```
/// use candlelight_core::{IntegratedGradients, Noise, SmoothGrad};
///
/// let method = SmoothGrad::over(IntegratedGradients::default().steps(20)).samples(10).noise(Noise::Relative(0.1));
/// ```
#[derive(Clone)]
pub struct SmoothGrad {
    inner: Arc<dyn Explain>,
    samples: Draws,
    noise: Noise,
    statistic: Statistic,
}

impl Default for SmoothGrad {
    /// The signed gradient over 50 copies with noise of 15 % of the range.
    fn default() -> Self {
        Self::over(Saliency::signed())
    }
}

impl SmoothGrad {
    /// Smooths `inner`.
    pub fn over(inner: impl Explain + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            samples: Draws::Fixed(50),
            noise: Noise::Relative(0.15),
            statistic: Statistic::Mean,
        }
    }

    /// How many noisy copies of each row are explained; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Explains copies of each row until the standard error of their mean, norm over norm, is at most
    /// `standard_error`, or 10 000 are explained.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// The noise.
    pub fn noise(self, noise: Noise) -> Self {
        Self { noise, ..self }
    }

    /// What is made of the copies' maps.
    pub fn statistic(self, statistic: Statistic) -> Self {
        Self { statistic, ..self }
    }

    fn count(&self, input: &Tensor) -> Result<Draws> {
        self.samples.check()?;
        Ok(self.noise.check(input)?.map_or(self.samples, Draws::Fixed))
    }

    /// Copy `draw` of row `row`.
    fn copy(&self, query: &Query, row: usize, draw: usize) -> Result<Tensor> {
        let mut stream = Stream::new(query.seed_asked(), query.sample(row), draw as u64);
        self.noise.added(&query.input().get(row)?, draw, &mut stream)
    }
}

impl Explain for SmoothGrad {
    fn name(&self) -> String {
        format!("smoothgrad({})", self.inner.name())
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let draws = self.count(query.input())?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (draws.most() + 1))?;
        let prediction = run.predict()?;
        let (mut moments, mut shown) = (vec![Moments::default(); rows], Shown::default());
        let partial = versions::draw(draws, &mut moments, |jobs, moments| {
            jobs.chunks(run.batch()).try_for_each(|jobs| {
                let of = (&mut run, model, query);
                self.explain_copies(of, &prediction.target, jobs, (moments, &mut shown))
            })
        })?;
        if partial.is_none() {
            run.finish()?;
        }
        let (values, error) = match self.statistic {
            Statistic::Mean | Statistic::MeanSquare => {
                (versions::stack(&moments, Moments::mean)?, Some(versions::stack(&moments, Moments::error)?))
            }
            Statistic::Variance => (versions::stack(&moments, Moments::variance)?, None),
        };
        let sampling = Some(versions::sampling(&moments)?);
        let convergence = Convergence { sampling, partial, ..Convergence::default() };
        let Shown { reading, layer, placement } = shown;
        let reading = if self.statistic == Statistic::Mean { reading } else { Reading::Positive };
        let attribution = Attribution::new(self.name(), values, prediction, convergence, run.cost());
        Ok(Attribution { reading, layer, placement, error, ..attribution })
    }
}

/// What the explainer of the copies says about its maps.
#[derive(Default)]
struct Shown {
    reading: Reading,
    layer: Option<String>,
    placement: Option<Placement>,
}

impl SmoothGrad {
    /// Explains one copy for each job (row, draw); the explainer has the whole budget for their versions.
    fn explain_copies(
        &self,
        (run, model, query): (&mut Run, &dyn Model, &Query),
        target: &Resolved,
        jobs: &[(usize, usize)],
        (moments, shown): (&mut [Moments], &mut Shown),
    ) -> Result<()> {
        let rows: Vec<usize> = jobs.iter().map(|job| job.0).collect();
        let copies =
            jobs.iter().map(|&(row, draw)| self.copy(query, row, draw)).collect::<Result<Vec<_>>>()?;
        let about = query.about(&Tensor::stack(&copies, 0)?, target.at(&rows), run.batch());
        let maps = self.inner.attribute(model, &about)?;
        for (n, &row) in rows.iter().enumerate() {
            let map = maps.values.get(n)?;
            match self.statistic {
                Statistic::Mean | Statistic::Variance => moments[row].add(&map)?,
                Statistic::MeanSquare => moments[row].add(&map.sqr()?)?,
            }
        }
        *shown = Shown { reading: maps.reading, layer: maps.layer, placement: maps.placement };
        run.spent(Cost { forwards: rows.len(), backwards: maps.cost.backwards })
    }
}
