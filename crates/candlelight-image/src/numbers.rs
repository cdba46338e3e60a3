//! What a picture of a map is made of, as numbers: for those who draw it themselves.

use candlelight_core::Placement;

use crate::colormap::ColorMap;
use crate::error::Result;
use crate::field::Field;
use crate::heatmap::Heatmap;

/// A map ready to be drawn elsewhere: on a web page, in a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// One value per cell in row-major order, in the map's own units: channels are reduced, and nothing else is changed.
    pub values: Vec<f64>,
    /// Rows of cells.
    pub height: usize,
    /// Columns of cells.
    pub width: usize,
    /// How many channels were reduced to one value.
    pub channels: usize,
    /// Where the cells lie on the picture.
    pub placement: Placement,
    /// The values that the ends of the colours stand for; what lies beyond gets the end colour.
    pub range: (f64, f64),
    /// The colours; on diverging ones zero is the middle.
    pub colors: ColorMap,
    /// How the range was found, in words.
    pub scaled: String,
}

impl Heatmap {
    /// The numbers that it draws, the range and the colours.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use candlelight_image::{ColorMap, Heatmap, Normalize};
    ///
    /// let map = Tensor::new(&[[1f32, -4.0], [2.0, 0.0]], &Device::Cpu)?;
    /// let numbers = Heatmap::new(&map).normalize(Normalize::MaxAbs).numbers()?;
    /// assert_eq!((numbers.range, numbers.colors), ((-4.0, 4.0), ColorMap::BlueRed));
    /// # Ok::<(), candlelight_image::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::Option`](crate::Error::Option).
    pub fn numbers(&self) -> Result<Numbers> {
        let Field { values, height, width, channels, .. } = self.field()?;
        let (_, scale) = self.read()?;
        let placement = self.placed().unwrap_or(Placement::even(height, width));
        let (range, colors, scaled) = ((scale.lo, scale.hi), scale.colors, scale.words);
        Ok(Numbers { values, height, width, channels, placement, range, colors, scaled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use candlelight_core::Reading;

    #[test]
    fn values_that_are_not_shown_are_still_there() {
        let map = Tensor::new(&[[[-3f32, 1.0]], [[1.0, 1.0]]], &Device::Cpu).unwrap();
        let numbers = Heatmap::new(&map).reading(Reading::Positive).numbers().unwrap();
        assert_eq!((numbers.values, numbers.channels), (vec![-2.0, 2.0], 2));
        assert_eq!((numbers.range.0, numbers.colors), (0.0, ColorMap::Inferno));
    }
}
