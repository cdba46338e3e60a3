//! What an input is compared with.

use crate::blur::{blur, check_sigma};
use crate::bounds::{check_channels, per_channel};
use crate::{Bounds, Error, Result};
use candle_core::Tensor;

/// One reference input x′ for every row; which one to take is discussed in
/// [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/). A distribution of them is a
/// [`References`](crate::References).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Baseline {
    /// All zeros, in the space of the model's input: after ImageNet normalisation that is the mean colour.
    #[default]
    Zero,
    /// One value everywhere.
    Constant(f64),
    /// One value for each channel: a colour.
    Colour(Vec<f64>),
    /// Every channel at its lowest valid value: black.
    Lowest(Bounds),
    /// Every channel at its highest valid value: white.
    Highest(Bounds),
    /// Every channel at its mean over the row: the image's own mean colour.
    Mean,
    /// Every value at the bound that is further from it, so that no pixel equals its baseline.
    MaxDistance(Bounds),
    /// The row blurred by a Gaussian of this standard deviation in pixels: what is missing is detail, not colour.
    Blurred(f64),
    /// A tensor of the input's shape, or `[1, …]` for all rows.
    Tensor(Tensor),
}

impl Baseline {
    /// The baseline of row `row` of `input`, `[…]` like that row.
    pub(crate) fn at(&self, input: &Tensor, row: usize) -> Result<Tensor> {
        let x = input.get(row)?;
        let everywhere =
            |value: &Tensor| -> Result<Tensor> { Ok(value.broadcast_as(x.shape())?.contiguous()?) };
        match self {
            Self::Zero => Ok(x.zeros_like()?),
            Self::Constant(value) => Ok((x.zeros_like()? + *value)?),
            Self::Colour(colour) => everywhere(&per_channel(colour.clone(), &x)?),
            Self::Lowest(bounds) => everywhere(&bounds.of(&x)?.0),
            Self::Highest(bounds) => everywhere(&bounds.of(&x)?.1),
            Self::Mean => everywhere(&channel_means(&x)?),
            Self::MaxDistance(bounds) => furthest(&x, bounds),
            Self::Blurred(sigma) => blur(&x, *sigma),
            Self::Tensor(given) => {
                let given = given.get(if given.dims()[0] == 1 { 0 } else { row })?.detach();
                Ok(given.to_dtype(x.dtype())?.to_device(x.device())?)
            }
        }
    }

    pub(crate) fn check(&self, input: &Tensor) -> Result<()> {
        match self {
            Self::Zero => Ok(()),
            Self::Constant(value) => finite(&[*value]),
            Self::Colour(colour) => {
                check_channels("the colour", colour.len(), input)?;
                finite(colour)
            }
            Self::Lowest(bounds) | Self::Highest(bounds) | Self::MaxDistance(bounds) => bounds.check(input),
            Self::Mean => check_spatial(input),
            Self::Blurred(sigma) => {
                check_sigma("blur", *sigma)?;
                check_spatial(input)
            }
            Self::Tensor(given) => check_fits(given, input),
        }
    }
}

/// The mean of every channel of `x`, `[C, …]`, as `[C, 1, …]`.
fn channel_means(x: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[0] = x.dims()[0];
    Ok(x.flatten_from(1)?.mean(1)?.reshape(shape)?)
}

/// The bound that is further from each value of `x`; the higher one of equals.
fn furthest(x: &Tensor, bounds: &Bounds) -> Result<Tensor> {
    let (low, high) = bounds.of(x)?;
    let (low, high) = (low.broadcast_as(x.shape())?, high.broadcast_as(x.shape())?);
    let below = x.sub(&low)?.gt(&high.sub(x)?)?;
    Ok(below.where_cond(&low, &high)?)
}

fn finite(values: &[f64]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => {
            Err(Error::Setting { setting: "baseline", value: value.to_string(), expected: "a finite number" })
        }
    }
}

/// Refuses rows without an extent beside their channels: their mean and their blur are they themselves.
fn check_spatial(input: &Tensor) -> Result<()> {
    match input.rank() > 2 {
        true => Ok(()),
        false => Err(Error::Shape {
            what: "the input of a blurred or mean baseline",
            found: input.dims().to_vec(),
            expected: "[N, C, …] with an extent beside the channels; give a colour or a tensor instead"
                .into(),
        }),
    }
}

fn check_fits(given: &Tensor, input: &Tensor) -> Result<()> {
    let same_rows = given.rank() == input.rank() && given.dims()[1..] == input.dims()[1..];
    match same_rows && (given.dims()[0] == 1 || given.dims()[0] == input.dims()[0]) {
        true => Ok(()),
        false => {
            let expected = format!("{:?} or the same with one row", input.dims());
            Err(Error::Shape { what: "the baseline", found: given.dims().to_vec(), expected })
        }
    }
}
