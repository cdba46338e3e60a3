//! A map as numbers: one signed value per cell, before any colour.

use candle_core::Tensor;
use candlelight_core::{Axis, Placement};

use crate::decode::check_size;
use crate::error::{Error, Result, check_finite};
use crate::preprocess::values;

/// How several channels become one value per pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Their sum: keeps the sign, and the map's total.
    #[default]
    Sum,
    /// The largest magnitude: as gradient maps are often drawn. Never negative.
    MaxAbs,
}

/// `height` x `width` finite numbers in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) values: Vec<f64>,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// How many channels were reduced.
    pub(crate) channels: usize,
    /// Whether values below zero were set to zero.
    pub(crate) clipped: bool,
}

impl Field {
    /// Reads `[1, C, h, w]`, `[C, h, w]` or `[h, w]`.
    pub(crate) fn read(tensor: &Tensor, reduce: Reduce) -> Result<Self> {
        let (channels, height, width) = match *tensor.dims() {
            [1, c, h, w] | [c, h, w] if c * h * w > 0 => (c, h, w),
            [h, w] if h * w > 0 => (1, h, w),
            _ => return Err(wrong_shape(tensor)),
        };
        check_size(width as u64, height as u64)?;
        let all = values(tensor)?;
        check_finite("the map", &all)?;
        let plane = height * width;
        let pixel = |at: usize| reduce.channels(all[at..].iter().step_by(plane).copied());
        Ok(Self { values: (0..plane).map(pixel).collect(), height, width, channels, clipped: false })
    }

    /// The field with zero in place of what is negative.
    pub(crate) fn positive(mut self) -> Self {
        self.clipped = self.range().0 < 0.0;
        self.values.iter_mut().for_each(|value| *value = value.max(0.0));
        self
    }

    /// The value at a row and column.
    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.width + column]
    }

    /// Bilinear between the places of the cells; cells that tile the picture are resized as by PyTorch's
    /// `interpolate(.., align_corners=False)`.
    pub(crate) fn resize(&self, placement: Placement, height: usize, width: usize) -> Self {
        let stencil = |axis: Axis, cells, pixels| -> Vec<_> {
            (0..pixels).map(|pixel| axis.between(cells, pixel, pixels)).collect()
        };
        let rows = stencil(placement.rows, self.height, height);
        let columns = stencil(placement.columns, self.width, width);
        let mix = |from: f64, to: f64, share: f64| from + (to - from) * share;
        let pixel = |&(top, bottom, down): &(usize, usize, f64)| {
            columns.iter().map(move |&(left, right, across)| {
                let upper = mix(self.at(top, left), self.at(top, right), across);
                mix(upper, mix(self.at(bottom, left), self.at(bottom, right), across), down)
            })
        };
        let values = rows.iter().flat_map(pixel).collect();
        Self { values, height, width, channels: self.channels, clipped: self.clipped }
    }

    /// The smallest and the largest value.
    pub(crate) fn range(&self) -> (f64, f64) {
        let fold = |(lo, hi): (f64, f64), v: &f64| (lo.min(*v), hi.max(*v));
        self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), fold)
    }

    /// The largest magnitude.
    pub(crate) fn peak(&self) -> f64 {
        let (lo, hi) = self.range();
        hi.abs().max(lo.abs())
    }

    /// The `percent`-th percentile of the magnitudes, linear between ranks as numpy's.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut sorted: Vec<f64> = self.values.iter().map(|v| v.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = percent / 100.0 * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        low + (high - low) * rank.fract()
    }
}

impl Reduce {
    fn channels(self, values: impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::Sum => values.sum(),
            Self::MaxAbs => values.fold(0.0, |peak, v| v.abs().max(peak)),
        }
    }
}

fn wrong_shape(tensor: &Tensor) -> Error {
    Error::Shape {
        what: "the map",
        shape: tensor.dims().to_vec(),
        expected: "`[1, C, h, w]`, `[C, h, w]` or `[h, w]`, none of them 0; draw one row of a batch with \
                   `narrow(0, index, 1)`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    fn tiled(field: &Field, height: usize, width: usize) -> Field {
        field.resize(Placement::even(field.height, field.width), height, width)
    }

    fn field(values: Vec<f64>, height: usize, width: usize) -> Field {
        Field { values, height, width, channels: 1, clipped: false }
    }

    #[test]
    fn doubling_two_cells_gives_pytorch_s_quarters() {
        let wide = tiled(&field(vec![0.0, 1.0], 1, 2), 1, 4);
        assert_eq!(wide.values, [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn sums_keep_the_sign_and_the_largest_magnitude_does_not() {
        let map = Tensor::new(&[[[1f32]], [[-3.0]]], &Device::Cpu).unwrap();
        assert_eq!(Field::read(&map, Reduce::Sum).unwrap().values, [-2.0]);
        assert_eq!(Field::read(&map, Reduce::MaxAbs).unwrap().values, [3.0]);
    }

    #[test]
    fn percentiles_are_linear_between_ranks() {
        let map = field(vec![-4.0, 1.0, 2.0, 3.0, 0.0], 1, 5);
        assert_eq!(map.percentile(50.0), 2.0);
        assert_eq!(map.percentile(100.0), 4.0);
        assert!((map.percentile(90.0) - 3.6).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn resizing_invents_no_extremes_and_keeps_constants(
            values in proptest::collection::vec(-5.0..5.0_f64, 12), height in 1usize..20, width in 1usize..20,
        ) {
            let map = field(values, 3, 4);
            let ((lo, hi), (low, high)) = (map.range(), tiled(&map, height, width).range());
            prop_assert!(low >= lo - 1e-12 && high <= hi + 1e-12);
            let flat = tiled(&field(vec![0.7; 12], 3, 4), height, width);
            prop_assert!(flat.values.iter().all(|v| *v == 0.7));
        }

        #[test]
        fn resizing_to_the_same_size_changes_nothing(values in proptest::collection::vec(-5.0..5.0_f64, 12)) {
            prop_assert_eq!(tiled(&field(values.clone(), 3, 4), 3, 4).values, values);
        }
    }
}
