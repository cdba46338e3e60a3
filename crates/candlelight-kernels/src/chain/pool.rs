//! A max pool over maps whose channels lie side by side.

use super::Maps;
use crate::simd::vectorized;
use crate::{Element, Window};

/// The largest value of each window.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxPool {
    window: Window,
}

impl MaxPool {
    pub fn new(window: Window) -> Self {
        assert!(
            window.kernel.0 * window.kernel.1 <= usize::from(u8::MAX),
            "a window has at most 255 elements"
        );
        Self { window }
    }

    pub fn window(&self) -> Window {
        self.window
    }

    /// The same on maps that have their padding with them.
    pub fn inside(&self) -> Self {
        Self { window: Window { padding: (0, 0), ..self.window } }
    }

    /// The shape that comes out; `None` if the window does not fit.
    pub fn output(&self, from: Maps) -> Option<Maps> {
        let (height, width) = self.window.places((from.height, from.width))?;
        Some(Maps { height, width, ..from })
    }

    /// Fills `out` and, with the window element that each maximum came from, `taken`.
    pub fn forward<T: Element>(&self, from: Maps, x: &[T], out: &mut [T], taken: &mut [u8]) {
        self.windows(from, |place, tap, pixel, first| {
            let out = &mut out[place * from.channels..][..from.channels];
            let taken = &mut taken[place * from.channels..][..from.channels];
            let x = &x[pixel * from.channels..][..from.channels];
            vectorized(
                #[inline(always)]
                || {
                    for ((out, taken), &v) in out.iter_mut().zip(taken).zip(x) {
                        let larger = first || v > *out || v.is_nan();
                        *out = if larger { v } else { *out };
                        *taken = if larger { tap } else { *taken };
                    }
                },
            );
        });
    }

    /// Adds the gradient of the output to where the maxima came from.
    pub fn input_gradient<T: Element>(&self, from: Maps, g: &[T], taken: &[u8], dx: &mut [T]) {
        self.windows(from, |place, tap, pixel, _| {
            let g = &g[place * from.channels..][..from.channels];
            let taken = &taken[place * from.channels..][..from.channels];
            let dx = &mut dx[pixel * from.channels..][..from.channels];
            vectorized(
                #[inline(always)]
                || {
                    for ((dx, &g), &taken) in dx.iter_mut().zip(g).zip(taken) {
                        *dx += if taken == tap { g } else { T::ZERO };
                    }
                },
            );
        });
    }

    /// Every place with every element of its window that lies inside: place, window element, pixel, and whether it is
    /// the place's first.
    fn windows(&self, from: Maps, mut visit: impl FnMut(usize, u8, usize, bool)) {
        let Some((height, width)) = self.window.places((from.height, from.width)) else { return };
        for place in 0..from.images * height * width {
            let (image, row, column) = (place / (height * width), place / width % height, place % width);
            let mut first = true;
            for tap in 0..self.window.kernel.0 * self.window.kernel.1 {
                let (ky, kx) = (tap / self.window.kernel.1, tap % self.window.kernel.1);
                let (y, x) =
                    (self.window.row(row, ky, from.height), self.window.column(column, kx, from.width));
                if let (Some(y), Some(x)) = (y, x) {
                    visit(place, tap as u8, (image * from.height + y) * from.width + x, first);
                    first = false;
                }
            }
        }
    }
}
