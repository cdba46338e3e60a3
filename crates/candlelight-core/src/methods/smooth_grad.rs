//! SmoothGrad: any explanation averaged over noisy copies of the input.

use super::Saliency;
use super::at_least_one;
use super::versions::{self, Moments};
use crate::random::Stream;
use crate::schedule::Run;
use crate::{Attribution, Convergence, Cost, Error, Explain, Model, Query, Reading, Result};
use candle_core::{DType, Tensor};
use std::sync::Arc;

/// The noise added to the input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Noise {
    /// Gaussian, its standard deviation so much of the row's range (largest less smallest value): the paper's.
    Relative(f64),
    /// Gaussian with this standard deviation, in units of the input.
    Absolute(f64),
    /// These tensors, `[samples, …]`, the same for every row: to repeat another tool's numbers.
    Given(Tensor),
}

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
    samples: usize,
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
        Self { inner: Arc::new(inner), samples: 50, noise: Noise::Relative(0.15), statistic: Statistic::Mean }
    }

    /// How many noisy copies of each row are explained.
    pub fn samples(self, samples: usize) -> Self {
        Self { samples, ..self }
    }

    /// The noise.
    pub fn noise(self, noise: Noise) -> Self {
        Self { noise, ..self }
    }

    /// What is made of the copies' maps.
    pub fn statistic(self, statistic: Statistic) -> Self {
        Self { statistic, ..self }
    }

    fn count(&self, input: &Tensor) -> Result<usize> {
        let bad = |value: f64| Error::Setting {
            setting: "noise",
            value: value.to_string(),
            expected: "a standard deviation that is finite and not negative",
        };
        match &self.noise {
            Noise::Relative(sigma) | Noise::Absolute(sigma) if !(sigma.is_finite() && *sigma >= 0.0) => {
                Err(bad(*sigma))
            }
            Noise::Given(noise) if noise.rank() != input.rank() || noise.dims()[1..] != input.dims()[1..] => {
                let expected = format!("[samples, …] with rows of {:?}", &input.dims()[1..]);
                Err(Error::Shape { what: "the noise", found: noise.dims().to_vec(), expected })
            }
            Noise::Given(noise) => at_least_one("number of noise tensors", noise.dims()[0]),
            _ => at_least_one("number of samples", self.samples),
        }
    }

    /// Copy `draw` of row `row`.
    fn copy(&self, query: &Query, row: usize, draw: usize) -> Result<Tensor> {
        let x = query.input().get(row)?;
        let gaussian = || Stream::new(query.seed_asked(), query.sample(row), draw as u64).normal_like(&x);
        let noise = match &self.noise {
            Noise::Given(noise) => noise.get(draw)?.to_dtype(x.dtype())?.to_device(x.device())?,
            Noise::Absolute(sigma) => (gaussian()? * *sigma)?,
            Noise::Relative(share) => (gaussian()? * (share * range(&x)?))?,
        };
        Ok((x + noise)?)
    }
}

fn range(x: &Tensor) -> Result<f64> {
    let x = x.flatten_all()?.to_dtype(DType::F64)?;
    Ok(x.max(0)?.to_scalar::<f64>()? - x.min(0)?.to_scalar::<f64>()?)
}

impl Explain for SmoothGrad {
    fn name(&self) -> String {
        format!("smoothgrad({})", self.inner.name())
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let draws = self.count(query.input())?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (draws + 1))?;
        let prediction = run.predict()?;
        let (mut moments, mut shown) = (Vec::<Moments>::new(), (Reading::Signed, None, None));
        for range in run.batches(rows * draws) {
            let owners: Vec<usize> = range.clone().map(|k| k / draws).collect();
            let copies =
                range.clone().map(|k| self.copy(query, k / draws, k % draws)).collect::<Result<Vec<_>>>()?;
            let query = query.about(&Tensor::stack(&copies, 0)?, prediction.target.at(&owners));
            let maps = self.inner.attribute(model, &query)?;
            for (n, &row) in owners.iter().enumerate() {
                if moments.len() == row {
                    moments.push(Moments::new(&maps.values.get(n)?)?);
                }
                moments[row].add(&maps.values.get(n)?)?;
            }
            let Cost { backwards, .. } = maps.cost;
            run.spent(Cost { forwards: owners.len(), backwards })?;
            shown = (maps.reading, maps.layer, maps.placement);
        }
        let map = |moments: &Moments| match self.statistic {
            Statistic::Mean => moments.mean(),
            Statistic::MeanSquare => moments.mean_square(),
            Statistic::Variance => moments.variance(),
        };
        let values = Tensor::stack(&moments.iter().map(map).collect::<Result<Vec<_>>>()?, 0)?;
        let convergence =
            Convergence { sampling: Some(versions::sampling(&moments)?), ..Convergence::default() };
        let (reading, layer, placement) = shown;
        let reading = if self.statistic == Statistic::Mean { reading } else { Reading::Positive };
        let attribution = Attribution::new(self.name(), values, prediction, convergence, run.cost());
        Ok(Attribution { reading, layer, placement, ..attribution })
    }
}
