//! What an input is compared with.

use crate::random::Stream;
use crate::{Error, Result};
use candle_core::Tensor;

/// One reference input x′ for every row.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Baseline {
    /// All zeros, in the space of the model's input: after ImageNet normalisation that is the mean colour.
    #[default]
    Zero,
    /// One value everywhere.
    Constant(f64),
    /// A tensor of the input's shape, or `[1, …]` for all rows.
    Tensor(Tensor),
}

impl Baseline {
    /// The baseline of every row, `[N, …]` like `input`.
    pub(crate) fn like(&self, input: &Tensor) -> Result<Tensor> {
        match self {
            Self::Zero => Ok(input.zeros_like()?),
            Self::Constant(value) if !value.is_finite() => Err(Error::Setting {
                setting: "baseline",
                value: value.to_string(),
                expected: "a finite number",
            }),
            Self::Constant(value) => Ok((input.zeros_like()? + *value)?),
            Self::Tensor(baseline) => fit(baseline, input),
        }
    }
}

fn fit(baseline: &Tensor, input: &Tensor) -> Result<Tensor> {
    let one_for_all = baseline.rank() == input.rank() && baseline.dims()[0] == 1;
    if baseline.dims() != input.dims() && !(one_for_all && baseline.dims()[1..] == input.dims()[1..]) {
        let expected = format!("{:?} or the same with one row", input.dims());
        return Err(Error::Shape { what: "the baseline", found: baseline.dims().to_vec(), expected });
    }
    let baseline = baseline.detach().to_dtype(input.dtype())?.to_device(input.device())?;
    Ok(baseline.broadcast_as(input.shape())?.contiguous()?)
}

/// A distribution of reference inputs, drawn from once per sample.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum References {
    /// Noise, uniform between the smallest and the largest value of the row explained: for when there is no data
    /// at hand ([Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/)).
    #[default]
    Uniform,
    /// Samples of the training distribution, `[M, …]`: what the paper means.
    Samples(Tensor),
}

impl References {
    /// Draws one reference for `row`, `[…]`.
    pub(crate) fn draw(&self, row: &Tensor, stream: &mut Stream) -> Result<Tensor> {
        match self {
            Self::Uniform => {
                let low = row.flatten_all()?.min(0)?;
                let range = (row.flatten_all()?.max(0)? - &low)?;
                let noise = stream.uniform_like(row)?;
                Ok(noise.broadcast_mul(&range)?.broadcast_add(&low)?)
            }
            Self::Samples(samples) => Self::pick(samples, stream.below(samples.dims()[0]), row),
        }
    }

    /// Sample `index`, like `row`.
    pub(crate) fn pick(samples: &Tensor, index: usize, row: &Tensor) -> Result<Tensor> {
        Ok(samples.get(index)?.to_dtype(row.dtype())?.to_device(row.device())?)
    }

    pub(crate) fn check(&self, input: &Tensor) -> Result<()> {
        match self {
            Self::Samples(samples)
                if samples.rank() != input.rank()
                    || samples.dims()[0] == 0
                    || samples.dims()[1..] != input.dims()[1..] =>
            {
                let expected = format!("[M, …] with rows of {:?}", &input.dims()[1..]);
                Err(Error::Shape { what: "the references", found: samples.dims().to_vec(), expected })
            }
            _ => Ok(()),
        }
    }
}
