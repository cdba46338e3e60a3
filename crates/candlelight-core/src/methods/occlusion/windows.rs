//! Where the windows of an occlusion lie.

use crate::{Error, Result};
use candlelight_kernels::chain::Region;
use std::ops::Range;

/// Where nothing is said, a window has this part of the sides of an image.
const AUTO_PART: usize = 8;

/// The windows of an occlusion along every axis of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Windows(Vec<Along>);

/// The windows along one axis: they start every `stride` places, until one reaches the end; that is cut off there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Along {
    len: usize,
    window: usize,
    stride: usize,
}

impl Windows {
    /// The windows over rows of this shape. `window` and `stride` have one entry for all axes beside the channels, one
    /// for each of these, or one for every axis of the row.
    pub(crate) fn over(shape: &[usize], window: Option<&[usize]>, stride: Option<&[usize]>) -> Result<Self> {
        let window = match window {
            Some(window) => sizes(shape, window, "window of an occlusion")?,
            None => usual(shape),
        };
        let stride = match stride {
            Some(stride) => sizes(shape, stride, "stride of an occlusion")?,
            None => window.iter().map(|window| window.div_ceil(2)).collect(),
        };
        let axes = shape.iter().zip(window.into_iter().zip(stride));
        axes.map(|(&len, (window, stride))| Along::new(len, window, stride)).collect::<Result<_>>().map(Self)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(Along::count).product()
    }

    /// What window `index` covers of every axis; the last axis changes fastest.
    pub(crate) fn at(&self, index: usize) -> Vec<Range<usize>> {
        self.each(index, Along::at)
    }

    /// Whether they cover rectangles of images.
    pub(crate) fn are_of_images(&self) -> bool {
        self.0.len() == 3
    }

    /// The rectangle of an image that window `index` covers, whatever the channels.
    pub(crate) fn region(&self, index: usize) -> Region {
        let mut covered = self.at(index).into_iter().rev();
        let columns = covered.next().unwrap_or_default();
        Region { rows: covered.next().unwrap_or_default(), columns }
    }

    /// For every axis, which of its parts each place lies in. A part is what the same windows cover; an axis that every
    /// window covers whole is one place.
    pub(crate) fn parts(&self) -> Vec<Vec<usize>> {
        self.0.iter().map(Along::parts).collect()
    }

    /// The cells, products of parts, that window `index` covers, counted as the places of a row are.
    pub(crate) fn cells(&self, index: usize) -> Vec<usize> {
        let covered = self.each(index, |axis, k| axis.parts_of(axis.at(k)));
        let counts = self.0.iter().map(|axis| axis.bounds().len() - 1);
        covered.into_iter().zip(counts).fold(vec![0], |cells, (parts, count)| {
            cells.iter().flat_map(|cell| parts.clone().map(move |part| cell * count + part)).collect()
        })
    }

    /// Something of every axis, at the place that window `index` has there.
    fn each<R>(&self, mut index: usize, of: impl Fn(&Along, usize) -> R) -> Vec<R> {
        let mut found: Vec<R> = Vec::with_capacity(self.0.len());
        for axis in self.0.iter().rev() {
            found.push(of(axis, index % axis.count()));
            index /= axis.count();
        }
        found.reverse();
        found
    }
}

impl Along {
    fn new(len: usize, window: usize, stride: usize) -> Result<Self> {
        let refused = |setting, value: usize, expected| {
            Err(Error::Setting { setting, value: value.to_string(), expected })
        };
        match (window, stride) {
            (0, _) => refused("window of an occlusion", 0, "at least 1 place on every axis"),
            (window, _) if window > len => {
                refused("window of an occlusion", window, "no more places than the axis of the row has")
            }
            (_, 0) => refused("stride of an occlusion", 0, "at least 1 place on every axis"),
            (window, stride) if stride > window && len > window => {
                refused("stride of an occlusion", stride, "at most the window, or places are never covered")
            }
            _ => Ok(Self { len, window, stride }),
        }
    }

    fn count(&self) -> usize {
        (self.len - self.window).div_ceil(self.stride) + 1
    }

    fn at(&self, k: usize) -> Range<usize> {
        k * self.stride..(k * self.stride + self.window).min(self.len)
    }

    /// Where windows start or end, and with that the parts.
    fn bounds(&self) -> Vec<usize> {
        let mut bounds: Vec<usize> =
            (0..self.count()).flat_map(|k| [self.at(k).start, self.at(k).end]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }

    fn parts_of(&self, range: Range<usize>) -> Range<usize> {
        let bounds = self.bounds();
        let part = |place: usize| bounds.partition_point(|&bound| bound < place);
        part(range.start)..part(range.end)
    }

    fn parts(&self) -> Vec<usize> {
        if self.window == self.len {
            return vec![0];
        }
        let bounds = self.bounds();
        (0..self.len).map(|place| bounds.partition_point(|&bound| bound <= place) - 1).collect()
    }
}

/// The sizes for every axis of a row of this shape.
fn sizes(shape: &[usize], given: &[usize], what: &'static str) -> Result<Vec<usize>> {
    let places = &shape[usize::from(shape.len() > 1)..];
    let sizes = match given {
        [one] => vec![*one; places.len()],
        several => several.to_vec(),
    };
    match sizes.len() {
        all if all == shape.len() => Ok(sizes),
        beside if beside == places.len() => Ok([&shape[..1], &sizes[..]].concat()),
        _ => Err(Error::Shape {
            what,
            found: given.to_vec(),
            expected: format!("one size for all axes beside the channels, or one for each axis of {shape:?}"),
        }),
    }
}

/// An eighth of every axis beside the channels; single values of rows that have no other axis.
fn usual(shape: &[usize]) -> Vec<usize> {
    match shape {
        [_] => vec![1],
        [channels, places @ ..] => {
            let part = |&len: &usize| len.div_ceil(AUTO_PART);
            [*channels].into_iter().chain(places.iter().map(part)).collect()
        }
        [] => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_window_is_cut_off_as_captum_does() -> Result<()> {
        // Captum 0.9: ceil((28 - 10) / 7) + 1 = 4 positions; the last covers 21 to 28.
        let windows = Windows::over(&[3, 28, 28], Some(&[1, 10, 10]), Some(&[1, 7, 7]))?;
        assert_eq!(windows.count(), 48);
        assert_eq!(windows.at(0), [0..1, 0..10, 0..10]);
        assert_eq!(windows.at(47), [2..3, 21..28, 21..28]);
        assert_eq!(windows.at(17), [1..2, 0..10, 7..17]);
        Ok(())
    }

    #[test]
    fn cells_are_what_the_same_windows_cover() -> Result<()> {
        let windows = Windows::over(&[2, 7], Some(&[4]), Some(&[2]))?;
        assert_eq!(windows.parts(), [vec![0], vec![0, 0, 1, 1, 2, 2, 3]]);
        // Windows at 0, 2 and 4, the last without its fourth place.
        let cells: Vec<_> = (0..windows.count()).map(|k| windows.cells(k)).collect();
        assert_eq!(cells, [[0, 1], [1, 2], [2, 3]]);
        Ok(())
    }

    #[test]
    fn sizes_that_leave_places_out_are_refused() {
        let refused =
            |window: &[usize], stride: &[usize]| Windows::over(&[3, 8, 8], Some(window), Some(stride));
        for (window, stride) in
            [(&[0][..], &[1][..]), (&[9], &[1]), (&[2], &[0]), (&[2], &[3]), (&[1, 2, 3, 4], &[1])]
        {
            assert!(refused(window, stride).is_err(), "{window:?} every {stride:?}");
        }
        assert!(refused(&[3, 2, 2], &[3, 2, 2]).is_ok());
    }
}
