//! Distributions of what an input is compared with.

use crate::blur::check_sigma;
use crate::random::Stream;
use crate::{Baseline, Bounds, Error, Result};
use candle_core::{DType, Tensor};

/// A distribution of reference inputs x′, drawn from once per sample
/// ([Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/)). A [`Baseline`] is one with a single
/// point, and goes in wherever references do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum References {
    /// The same for every draw.
    Fixed(Baseline),
    /// Noise, uniform between the bounds: for when there is no data at hand.
    Uniform(Bounds),
    /// The row with Gaussian noise, drawn again where it leaves the bounds.
    Gaussian {
        /// The standard deviation before truncation, as a share of the distance between the bounds.
        sigma: f64,
        /// Between which values it stays.
        bounds: Bounds,
    },
    /// Samples of the training distribution, `[M, …]`, each with the same chance: what Expected Gradients means.
    Samples(Tensor),
    /// Any of these, each with the same chance.
    Mixture(Vec<References>),
}

impl Default for References {
    /// Uniform noise between the smallest and the largest value of the row.
    fn default() -> Self {
        Self::Uniform(Bounds::OfRow)
    }
}

impl From<Baseline> for References {
    fn from(baseline: Baseline) -> Self {
        Self::Fixed(baseline)
    }
}

/// One of the reference inputs of a distribution that has a list of them.
#[derive(Clone, Copy)]
pub(crate) enum Listed<'a> {
    Fixed(&'a Baseline),
    Sample(&'a Tensor, usize),
}

impl Listed<'_> {
    /// The reference of row `row` of `input`.
    pub(crate) fn at(&self, input: &Tensor, row: usize) -> Result<Tensor> {
        match self {
            Self::Fixed(baseline) => baseline.at(input, row),
            Self::Sample(samples, index) => References::pick(samples, *index, &input.get(row)?),
        }
    }
}

impl References {
    /// Draws one reference for row `row` of `input`.
    pub(crate) fn draw(&self, input: &Tensor, row: usize, stream: &mut Stream) -> Result<Tensor> {
        match self {
            Self::Fixed(baseline) => baseline.at(input, row),
            Self::Uniform(bounds) => {
                let x = input.get(row)?;
                let (low, high) = bounds.of(&x)?;
                let noise = stream.uniform_like(&x)?;
                Ok(noise.broadcast_mul(&(high - &low)?)?.broadcast_add(&low)?)
            }
            Self::Gaussian { sigma, bounds } => around(&input.get(row)?, *sigma, bounds, stream),
            Self::Samples(samples) => Self::pick(samples, stream.below(samples.dims()[0]), &input.get(row)?),
            Self::Mixture(parts) => parts[stream.below(parts.len())].draw(input, row, stream),
        }
    }

    /// Sample `index`, like `row`.
    pub(crate) fn pick(samples: &Tensor, index: usize, row: &Tensor) -> Result<Tensor> {
        Ok(samples.get(index)?.to_dtype(row.dtype())?.to_device(row.device())?)
    }

    /// Every reference with its chance; nothing for a distribution without a list.
    pub(crate) fn listed(&self) -> Option<Vec<(f64, Listed<'_>)>> {
        match self {
            Self::Fixed(baseline) => Some(vec![(1.0, Listed::Fixed(baseline))]),
            Self::Samples(samples) => {
                let count = samples.dims()[0];
                Some((0..count).map(|k| (1.0 / count as f64, Listed::Sample(samples, k))).collect())
            }
            Self::Mixture(parts) => {
                let lists = parts.iter().map(Self::listed).collect::<Option<Vec<_>>>()?;
                let chance = 1.0 / parts.len() as f64;
                Some(lists.into_iter().flatten().map(|(share, listed)| (share * chance, listed)).collect())
            }
            Self::Uniform(_) | Self::Gaussian { .. } => None,
        }
    }

    pub(crate) fn check(&self, input: &Tensor) -> Result<()> {
        match self {
            Self::Fixed(baseline) => baseline.check(input),
            Self::Uniform(bounds) => bounds.check(input),
            Self::Gaussian { sigma, bounds } => {
                check_sigma("noise of the baseline", *sigma)?;
                bounds.check(input)
            }
            Self::Samples(samples) => check_samples(samples, input),
            Self::Mixture(parts) if parts.is_empty() => Err(Error::Setting {
                setting: "mixture of references",
                value: "[]".into(),
                expected: "at least one distribution",
            }),
            Self::Mixture(parts) => parts.iter().try_for_each(|part| part.check(input)),
        }
    }
}

fn check_samples(samples: &Tensor, input: &Tensor) -> Result<()> {
    let fit = samples.rank() == input.rank() && samples.dims()[1..] == input.dims()[1..];
    match fit && samples.dims()[0] > 0 {
        true => Ok(()),
        false => {
            let expected = format!("[M, …] with rows of {:?}", &input.dims()[1..]);
            Err(Error::Shape { what: "the references", found: samples.dims().to_vec(), expected })
        }
    }
}

/// `x` with Gaussian noise, every value between its bounds.
fn around(x: &Tensor, sigma: f64, bounds: &Bounds, stream: &mut Stream) -> Result<Tensor> {
    let values = |x: &Tensor| -> Result<Vec<f64>> { Ok(x.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?) };
    let (low, high) = bounds.of(x)?;
    let (low, high) = (values(&low.broadcast_as(x.shape())?)?, values(&high.broadcast_as(x.shape())?)?);
    let places = values(x)?.into_iter().zip(low.into_iter().zip(high));
    let drawn: Vec<f64> = places.map(|(x, bounds)| truncated(x, sigma, bounds, stream)).collect();
    Ok(Tensor::from_vec(drawn, x.shape(), x.device())?.to_dtype(x.dtype())?)
}

/// A normal number around `centre` on the condition that it lies between `low` and `high`. Where the bell is narrow
/// it is drawn from until it hits; where it is wide, a uniform number is kept with the chance that the bell gives it.
fn truncated(centre: f64, sigma: f64, (low, high): (f64, f64), stream: &mut Stream) -> f64 {
    let (range, centre) = (high - low, centre.clamp(low, high));
    let deviation = sigma * range;
    if deviation == 0.0 {
        return centre;
    }
    loop {
        if sigma < 1.0 {
            let drawn = centre + deviation * stream.normal();
            if (low..=high).contains(&drawn) {
                return drawn;
            }
        } else {
            let drawn = low + range * stream.uniform();
            if stream.uniform() < (-0.5 * ((drawn - centre) / deviation).powi(2)).exp() {
                return drawn;
            }
        }
    }
}
