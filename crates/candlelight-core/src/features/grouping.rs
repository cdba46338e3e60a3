//! Features of given rows, for those who measure.

use super::{Features, Players};
use crate::Result;
use candle_core::{DType, Tensor};

/// The [`Features`] of the rows of one input.
pub struct Grouping(Vec<Players>);

impl Features {
    /// The features of every row of `input`, `[N, …]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) and [`Error::Setting`](crate::Error::Setting) if they do not fit.
    pub fn grouping(&self, input: &Tensor) -> Result<Grouping> {
        Ok(Grouping((0..input.dims()[0]).map(|row| self.players(input, row)).collect::<Result<_>>()?))
    }
}

impl Grouping {
    /// For every row the sum of `maps`, `[N, …]`, over each of its features. Maps with one channel hold for all
    /// channels, and channels are summed where features have them together.
    ///
    /// # Errors
    /// If the maps have other places than the features.
    pub fn totals(&self, maps: &Tensor) -> Result<Vec<Vec<f64>>> {
        self.0.iter().enumerate().map(|(row, players)| players.totals(&maps.get(row)?)).collect()
    }

    /// The map in which every element has the value of its feature.
    ///
    /// # Errors
    /// If a row has another number of values than features.
    pub fn spread(&self, values: &[Vec<f64>], dtype: DType) -> Result<Tensor> {
        let maps = self.0.iter().zip(values).map(|(players, values)| players.spread(values, dtype));
        Ok(Tensor::stack(&maps.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
