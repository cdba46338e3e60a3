//! What is taken away together: the features of an input, or the players of a game.

mod grouping;
mod players;

pub use grouping::Grouping;
pub(crate) use players::Players;

use crate::methods::at_least_one;
use crate::{Error, Result, Segmentation};
use candle_core::{DType, Tensor};

/// Rows and columns of the grid that [`Features::Auto`] lays over an image.
const AUTO: usize = 8;

/// What one feature of a row is: the values that are present or absent together.
///
/// The map of a method over features has the shape of its features: every element has the value of the feature that it
/// belongs to, not divided by the feature's size, and the channels are one where they belong together.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candlelight_core::{Explain, FeatureAblation, Features};
///
/// let model = |x: &Tensor| x.flatten_from(1)?.sum_keepdim(1); // any closure or module
/// let image = Tensor::ones((1, 3, 8, 8), DType::F64, &Device::Cpu)?;
/// let map = FeatureAblation::of(Features::Grid { rows: 2, columns: 2 }).explain(&model, (&image, 0))?;
/// assert_eq!(map.values().dims(), [1, 1, 8, 8]);
/// assert_eq!(map.values().flatten_all()?.to_vec1::<f64>()?, [48.0; 64]); // 4 x 4 pixels of 3 channels
/// # Ok::<(), candlelight_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Features {
    /// A grid of 8 x 8 cells for images `[N, C, H, W]`, every value for all else.
    #[default]
    Auto,
    /// Every value by itself.
    Values,
    /// Every place by itself, its channels together: rows `[C, …]`.
    Pixels,
    /// Tiles of so many pixels of an image from its upper left corner on, channels together; the last are cut off.
    Patches {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
    },
    /// So many cells of an image, as equal as pixels allow, channels together; at most as many as there are pixels.
    Grid {
        /// Cells from top to bottom.
        rows: usize,
        /// Cells from left to right.
        columns: usize,
    },
    /// Labels of whole numbers from 0 on, `[1, …]` for all rows or `[N, …]`, each axis as long as the input's or 1:
    /// what has the same label is one feature. Labels need not follow each other.
    Mask(Tensor),
    /// The segments of an image, channels together: others for every row.
    Superpixels(Segmentation),
    /// The patches of a vision transformer whose attention is that of [`nn`](crate::nn). An absent token is removed, not
    /// greyed: nobody attends to it, as if the sequence were shorter, and no baseline is needed. Exact for models whose
    /// score reads the tokens before the patches; one that reads the patches themselves (a mean over tokens) is refused.
    /// The map has the grid of the tokens, `[N, 1, rows, columns]`.
    Tokens,
}

impl Features {
    /// The features of row `row` of `input`.
    pub(crate) fn players(&self, input: &Tensor, row: usize) -> Result<Players> {
        let shape = &input.dims()[1..];
        match *self {
            Self::Auto if input.rank() == 4 => Self::Grid { rows: AUTO, columns: AUTO }.players(input, row),
            Self::Auto | Self::Values => Players::each(shape, input.device()),
            Self::Pixels => Players::each(&together(shape)?, input.device()),
            Self::Patches { height, width } => {
                let (tall, wide) = image(shape)?;
                at_least_one("height of patches", height)?;
                at_least_one("width of patches", width)?;
                let axes = [tiles(tall, height), tiles(wide, width)];
                Players::product(&[vec![0], axes[0].clone(), axes[1].clone()], input.device())
            }
            Self::Grid { rows, columns } => {
                let (tall, wide) = image(shape)?;
                at_least_one("number of the grid's rows", rows)?;
                at_least_one("number of the grid's columns", columns)?;
                Players::product(&[vec![0], cells(tall, rows), cells(wide, columns)], input.device())
            }
            Self::Superpixels(segmentation) => {
                let labels = segmentation.of(&input.get(row)?)?.to_dtype(DType::I64)?;
                Players::labelled(&labels, input.device())
            }
            Self::Tokens => Err(Error::Setting {
                setting: "features of this method",
                value: "Tokens".into(),
                expected: "parts of the input: tokens are parts of a model",
            }),
            Self::Mask(ref mask) => Players::labelled(&given(mask, input, row)?, input.device()),
        }
    }
}

/// The shape of a row with one channel.
fn together(shape: &[usize]) -> Result<Vec<usize>> {
    match shape {
        [_, places @ ..] if !places.is_empty() => Ok([&[1], places].concat()),
        _ => Err(refused(shape, "[N, C, …] with an extent beside the channels; take every value instead")),
    }
}

/// Height and width of an image.
fn image(shape: &[usize]) -> Result<(usize, usize)> {
    match *shape {
        [_, height, width] => Ok((height, width)),
        _ => Err(refused(shape, "images [N, C, H, W]; take every value, or a mask, instead")),
    }
}

fn refused(shape: &[usize], expected: &str) -> Error {
    Error::Shape { what: "a row of these features", found: shape.to_vec(), expected: expected.into() }
}

/// For every place of an axis the tile in which it lies.
fn tiles(len: usize, size: usize) -> Vec<usize> {
    (0..len).map(|place| place / size).collect()
}

/// For every place of an axis the cell of a grid in which it lies.
fn cells(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..len).map(|place| place * count / len).collect()
}

/// The labels for row `row` of `input`, with the input's places; a mask of one channel stays one.
fn given(mask: &Tensor, input: &Tensor, row: usize) -> Result<Tensor> {
    if !matches!(mask.dtype(), DType::U8 | DType::U32 | DType::I64) {
        let (value, expected) = (format!("{:?}", mask.dtype()), "whole numbers, as U8, U32 or I64");
        return Err(Error::Setting { setting: "dtype of a feature mask", value, expected });
    }
    let (found, wanted) = (mask.dims(), input.dims());
    let fits = |(found, wanted): (&usize, &usize)| *found == 1 || found == wanted;
    if found.len() != wanted.len() || !found.iter().zip(wanted).all(fits) {
        let expected = format!("{wanted:?}, or 1 in place of any of these");
        return Err(Error::Shape { what: "the feature mask", found: found.to_vec(), expected });
    }
    let labels = mask.get(if found[0] == 1 { 0 } else { row })?;
    let mut shape = wanted[1..].to_vec();
    if shape.len() > 1 {
        shape[0] = found[1];
    }
    Ok(labels.broadcast_as(shape)?.to_dtype(DType::I64)?)
}
