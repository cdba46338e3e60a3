//! A window on its way over maps: the rows of the matrix that a convolution is multiplied with.

use super::Maps;
use crate::room::grown;
use crate::simd::vectorized;
use crate::{Element, Matrix, Window};
use std::ops::Range;

/// Bytes of unfolded rows that are worked on together: they stay in the second-level cache.
const BLOCK_BYTES: usize = 1 << 19;
/// Rows below which packing the weights costs more than it should.
const LEAST_ROWS: usize = 256;

/// A window over maps of shape `from`.
#[derive(Clone, Copy)]
pub(super) struct Slide {
    window: Window,
    from: Maps,
    places: (usize, usize),
}

impl Slide {
    /// `None` if the window does not fit.
    pub fn new(window: Window, from: Maps) -> Option<Self> {
        let places = window.places((from.height, from.width))?;
        Some(Self { window, from, places })
    }

    /// The shape of what the window makes, with so many channels.
    pub fn output(&self, channels: usize) -> Maps {
        let (height, width) = self.places;
        Maps { height, width, channels, ..self.from }
    }

    /// Whether every row is a place of the input as it is.
    pub fn is_pointwise(&self) -> bool {
        self.window == Window::square(1, 1, 0)
    }

    /// Elements under the window.
    pub fn depth(&self) -> usize {
        self.window.kernel.0 * self.window.kernel.1 * self.from.channels
    }

    /// All rows: the places of all images.
    pub fn rows(&self) -> usize {
        self.from.images * self.places.0 * self.places.1
    }

    /// How many rows are worked on together.
    pub fn block<T>(&self) -> usize {
        (BLOCK_BYTES / (self.depth() * size_of::<T>()).max(1)).max(LEAST_ROWS)
    }

    /// What lies under the window at the places of a block, `[places, kh · kw · channels]`.
    pub fn unfold<'a, T: Element>(
        &self,
        block: &Range<usize>,
        x: &'a [T],
        rows: &'a mut Vec<T>,
    ) -> Matrix<'a, T> {
        let (depth, channels) = (self.depth(), self.from.channels);
        if self.is_pointwise() {
            return Matrix::new(&x[block.start * channels..block.end * channels], block.len(), channels);
        }
        let rows = grown(rows, block.len() * depth);
        for (place, row) in block.clone().zip(rows.chunks_exact_mut(depth)) {
            self.taps(place, |tap, run| match run {
                Some(pixels) => row[tap.start * channels..tap.end * channels]
                    .copy_from_slice(&x[pixels.start * channels..pixels.end * channels]),
                None => row[tap.start * channels..tap.end * channels].fill(T::ZERO),
            });
        }
        Matrix::new(rows, block.len(), depth)
    }

    /// Adds the rows of a block back to where they came from.
    pub fn fold<T: Element>(&self, block: &Range<usize>, rows: &[T], dx: &mut [T]) {
        let (depth, channels) = (self.depth(), self.from.channels);
        vectorized(
            #[inline(always)]
            || {
                for (place, row) in block.clone().zip(rows.chunks_exact(depth)) {
                    self.taps(place, |tap, run| {
                        let Some(pixels) = run else { return };
                        let sums = &mut dx[pixels.start * channels..pixels.end * channels];
                        let parts = &row[tap.start * channels..tap.end * channels];
                        sums.iter_mut().zip(parts).for_each(|(sum, &part)| *sum += part);
                    });
                }
            },
        );
    }

    /// The runs of window elements at a place, each with the pixels under them, or nothing in the padding.
    #[inline(always)]
    fn taps(&self, place: usize, mut visit: impl FnMut(Range<usize>, Option<Range<usize>>)) {
        let (across, area) = (self.places.1, self.places.0 * self.places.1);
        let (image, row, column) = (place / area, place / across % self.places.0, place % across);
        let (kh, kw) = self.window.kernel;
        for ky in 0..kh {
            let Some(y) = self.window.row(row, ky, self.from.height) else {
                visit(ky * kw..(ky + 1) * kw, None);
                continue;
            };
            let line = (image * self.from.height + y) * self.from.width;
            let at = |kx: usize| self.window.column(column, kx, self.from.width).map(|x| line + x);
            match (at(0), at(kw - 1)) {
                (Some(first), Some(last)) if last - first == kw - 1 => {
                    visit(ky * kw..(ky + 1) * kw, Some(first..last + 1));
                }
                _ => (0..kw).for_each(|kx| visit(ky * kw + kx..ky * kw + kx + 1, at(kx).map(|x| x..x + 1))),
            }
        }
    }
}
