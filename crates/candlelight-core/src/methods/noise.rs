//! Noise on the input.

use super::at_least_one;
use crate::blur::check_sigma;
use crate::random::Stream;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// The noise added to the input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Noise {
    /// Gaussian, its standard deviation so much of the row's range (largest less smallest value): that of SmoothGrad's
    /// paper.
    Relative(f64),
    /// Gaussian with this standard deviation, in units of the input.
    Absolute(f64),
    /// These tensors, `[samples, …]`, the same for every row: to repeat another tool's numbers.
    Given(Tensor),
}

impl Noise {
    /// Refuses what is no noise for `input`; the number of draws, if the noise is given.
    pub(super) fn check(&self, input: &Tensor) -> Result<Option<usize>> {
        match self {
            Self::Relative(sigma) | Self::Absolute(sigma) => check_sigma("noise", *sigma).map(|()| None),
            Self::Given(noise) if noise.rank() != input.rank() || noise.dims()[1..] != input.dims()[1..] => {
                let expected = format!("[samples, …] with rows of {:?}", &input.dims()[1..]);
                Err(Error::Shape { what: "the noise", found: noise.dims().to_vec(), expected })
            }
            Self::Given(noise) => at_least_one("number of noise tensors", noise.dims()[0]).map(Some),
        }
    }

    /// The row `x` with the noise of draw `draw`.
    pub(super) fn added(&self, x: &Tensor, draw: usize, stream: &mut Stream) -> Result<Tensor> {
        let noise = match self {
            Self::Given(noise) => noise.get(draw)?.to_dtype(x.dtype())?.to_device(x.device())?,
            Self::Absolute(sigma) => (stream.normal_like(x)? * *sigma)?,
            Self::Relative(share) => (stream.normal_like(x)? * (share * range(x)?))?,
        };
        Ok((x + noise)?)
    }
}

fn range(x: &Tensor) -> Result<f64> {
    let x = x.flatten_all()?.to_dtype(DType::F64)?;
    Ok(x.max(0)?.to_scalar::<f64>()? - x.min(0)?.to_scalar::<f64>()?)
}
