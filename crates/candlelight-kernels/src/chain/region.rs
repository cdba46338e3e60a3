//! Rectangles of maps, and what windows make of them.

use super::Maps;
use crate::Window;
use std::ops::Range;

/// A rectangle of a map; an empty one where a range is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns.
    pub columns: Range<usize>,
}

impl Region {
    /// The places of `to` at which a window sees something of this rectangle.
    pub(super) fn reached(&self, window: &Window, to: Maps) -> Self {
        if self.is_empty() {
            return Self { rows: 0..0, columns: 0..0 };
        }
        let Window { kernel, stride, padding, dilation } = *window;
        let along =
            |range: &Range<usize>, len: usize, kernel: usize, stride, padding: usize, dilation: usize| {
                // Place p sees from p·stride − padding to (kernel − 1)·dilation further on.
                let first = (range.start + padding).saturating_sub((kernel - 1) * dilation).div_ceil(stride);
                let end = (range.end - 1 + padding) / stride + 1;
                first.min(len)..end.clamp(first.min(len), len)
            };
        Self {
            rows: along(&self.rows, to.height, kernel.0, stride.0, padding.0, dilation.0),
            columns: along(&self.columns, to.width, kernel.1, stride.1, padding.1, dilation.1),
        }
    }

    /// The smallest rectangle around both.
    pub(super) fn with(&self, other: &Self) -> Self {
        let around = |a: &Range<usize>, b: &Range<usize>| a.start.min(b.start)..a.end.max(b.end);
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => {
                Self { rows: around(&self.rows, &other.rows), columns: around(&self.columns, &other.columns) }
            }
        }
    }

    /// Places.
    pub(super) fn area(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Height and width of what is computed for it: one place at least.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.rows.len().max(1), self.columns.len().max(1))
    }

    fn is_empty(&self) -> bool {
        self.area() == 0
    }
}

/// Rectangles of one size, one for each image, wherever they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Height and width.
    pub size: (usize, usize),
    /// The upper left corner of each; it may lie in the padding.
    pub corners: Vec<(isize, isize)>,
}

/// The share of a map from which on it is computed whole: no halo has to be brought together then.
const WHOLE: f64 = 0.9;

impl Places {
    /// Rectangles around `regions`, as large as the largest, that stay inside a map; one place at least.
    pub fn around(regions: &[Region], map: Maps) -> Self {
        let largest =
            |size: (usize, usize), other: (usize, usize)| (size.0.max(other.0), size.1.max(other.1));
        let (height, width) = regions.iter().map(Region::size).fold((1, 1), largest);
        if (height * width) as f64 >= WHOLE * (map.height * map.width) as f64 {
            return Self::whole(map, regions.len());
        }
        let corner = |region: &Region| {
            let (row, column) = (region.rows.start, region.columns.start);
            (row.min(map.height - height) as isize, column.min(map.width - width) as isize)
        };
        Self { size: (height, width), corners: regions.iter().map(corner).collect() }
    }

    /// All of a map, for so many images.
    pub fn whole(map: Maps, images: usize) -> Self {
        Self { size: (map.height, map.width), corners: vec![(0, 0); images] }
    }

    /// What a window sees of a map when it makes these places.
    pub fn seen(&self, window: &Window) -> Self {
        let Window { kernel, stride, padding, dilation } = *window;
        let size = |len: usize, kernel, stride, dilation| (len - 1) * stride + (kernel - 1) * dilation + 1;
        let corner = |&(row, column): &(isize, isize)| {
            (row * stride.0 as isize - padding.0 as isize, column * stride.1 as isize - padding.1 as isize)
        };
        Self {
            size: (
                size(self.size.0, kernel.0, stride.0, dilation.0),
                size(self.size.1, kernel.1, stride.1, dilation.1),
            ),
            corners: self.corners.iter().map(corner).collect(),
        }
    }

    /// Whether they are whole maps of this shape.
    pub fn are_whole(&self, map: Maps) -> bool {
        self.size == (map.height, map.width)
    }

    /// The shape of the rectangles of a map.
    pub fn of(&self, map: Maps) -> Maps {
        Maps { images: self.corners.len(), height: self.size.0, width: self.size.1, ..map }
    }
}

/// A rectangle whose values lie row by row.
pub(super) struct Rectangle {
    /// The upper left corner.
    pub corner: (isize, isize),
    /// Height and width.
    pub size: (usize, usize),
}

impl Rectangle {
    fn ends(&self) -> (isize, isize) {
        (self.corner.0 + self.size.0 as isize, self.corner.1 + self.size.1 as isize)
    }

    /// Whether `other` lies inside.
    pub fn holds(&self, other: &Self) -> bool {
        let (ends, others) = (self.ends(), other.ends());
        self.corner.0 <= other.corner.0
            && self.corner.1 <= other.corner.1
            && others.0 <= ends.0
            && others.1 <= ends.1
    }

    /// Copies what both have in common.
    pub fn copy<T: Copy>(&self, source: &Self, values: &[T], out: &mut [T], channels: usize) {
        let (ends, others) = (self.ends(), source.ends());
        let rows = self.corner.0.max(source.corner.0)..ends.0.min(others.0);
        let columns = self.corner.1.max(source.corner.1)..ends.1.min(others.1);
        if columns.is_empty() {
            return;
        }
        let len = (columns.end - columns.start) as usize * channels;
        let at = |of: &Self, row: isize| {
            ((row - of.corner.0) as usize * of.size.1 + (columns.start - of.corner.1) as usize) * channels
        };
        for row in rows {
            let (to, from) = (at(self, row), at(source, row));
            out[to..to + len].copy_from_slice(&values[from..from + len]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_is_reached_if_its_window_sees_the_rectangle(
            len in 5usize..12, kernel in 1usize..4, stride in 1usize..4, padding in 0usize..3, dilation in 1usize..3,
            start in 0usize..5, extent in 1usize..5,
        ) {
            let window = Window { kernel: (kernel, 1), stride: (stride, 1), padding: (padding, 0), dilation: (dilation, 1) };
            let Some((height, _)) = window.places((len, 1)) else { return Ok(()) };
            let region = Region { rows: start..(start + extent).min(len), columns: 0..1 };
            let reached = region.reached(&window, Maps { images: 1, height, width: 1, channels: 1 });
            let sees = |place: usize| (0..kernel).any(|k| {
                let row = place * stride + k * dilation;
                row >= padding && region.rows.contains(&(row - padding))
            });
            // Between the taps of a dilated window lie places that see nothing: the rectangle is around all that do.
            let first = (0..height).find(|&place| sees(place));
            let last = (0..height).rfind(|&place| sees(place));
            if let (Some(first), Some(last)) = (first, last) {
                prop_assert!(reached.rows.start <= first && last < reached.rows.end);
                if dilation == 1 {
                    prop_assert_eq!(reached.rows, first..last + 1);
                }
            }
        }
    }
}
