//! The values that an input can take.

use crate::{Error, Result};
use candle_core::Tensor;

/// The smallest and the largest valid value of every channel, in the space of the model's input: of an image, black
/// and white after normalisation. `Preprocess::bounds` of `candlelight-image` tells them.
///
/// # Example
/// ```
/// use candlelight_core::Bounds;
///
/// let pixels = Bounds::Channels(vec![(-1.0, 1.0)]); // all channels alike
/// let features = Bounds::Channels(vec![(0.0, 120.0), (0.0, 2.5)]); // of a table's columns
/// # drop((pixels, features));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Bounds {
    /// The smallest and the largest value of the row itself: for when nothing better is known.
    #[default]
    OfRow,
    /// Lowest and highest value of each channel, the input's second axis; a single pair holds for all channels.
    Channels(Vec<(f64, f64)>),
}

impl Bounds {
    /// Lowest and highest values for `row`, `[C, …]`, each of a shape that broadcasts to it.
    pub(crate) fn of(&self, row: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::OfRow => {
                let flat = row.flatten_all()?;
                Ok((flat.min(0)?, flat.max(0)?))
            }
            Self::Channels(channels) => {
                let (low, high): (Vec<f64>, Vec<f64>) = channels.iter().copied().unzip();
                Ok((per_channel(low, row)?, per_channel(high, row)?))
            }
        }
    }

    /// Lowest and highest values for every row of `input`, `[N, C, …]`, of its shape.
    pub(crate) fn of_rows(&self, input: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for row in 0..input.dim(0)? {
            let row = input.get(row)?;
            let (lowest, highest) = self.of(&row)?;
            low.push(lowest.broadcast_as(row.shape())?);
            high.push(highest.broadcast_as(row.shape())?);
        }
        Ok((Tensor::stack(&low, 0)?, Tensor::stack(&high, 0)?))
    }

    pub(crate) fn check(&self, input: &Tensor) -> Result<()> {
        let Self::Channels(channels) = self else { return Ok(()) };
        check_channels("the bounds", channels.len(), input)?;
        let wrong = |&&(low, high): &&(f64, f64)| !(low.is_finite() && high.is_finite() && low <= high);
        match channels.iter().find(wrong) {
            None => Ok(()),
            Some((low, high)) => Err(Error::Setting {
                setting: "pair of bounds",
                value: format!("{low} to {high}"),
                expected: "finite numbers, the lowest first",
            }),
        }
    }
}

/// One value per channel, as `[C, 1, …]` for `row`, `[C, …]`.
pub(crate) fn per_channel(values: Vec<f64>, row: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; row.rank()];
    shape[0] = values.len();
    Ok(Tensor::from_vec(values, shape, row.device())?.to_dtype(row.dtype())?)
}

/// Refuses a list that has neither one entry nor one per channel of `input`, `[N, C, …]`.
pub(crate) fn check_channels(what: &'static str, count: usize, input: &Tensor) -> Result<()> {
    let channels = input.dims().get(1).copied().unwrap_or(1);
    match count == 1 || count == channels {
        true => Ok(()),
        false => Err(Error::Shape {
            what,
            found: vec![count],
            expected: format!("one entry, or one for each of the {channels} channels"),
        }),
    }
}
