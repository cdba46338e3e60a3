//! The shortcut without weights of small residual networks.

use super::Maps;
use super::blocks::add;
use crate::{Element, Window};

/// Every so many places along both axes, with channels of zeros around those that are there (option A of
/// [He et al. 2015](https://arxiv.org/abs/1512.03385)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// One place of so many along an axis, from the first.
    pub stride: usize,
    /// Channels before.
    pub before: usize,
    /// Channels behind.
    pub after: usize,
}

impl Subsample {
    pub(super) fn window(self) -> Window {
        Window::square(1, self.stride, 0)
    }

    /// The shape that comes out; `None` if there is no place.
    pub(super) fn output(self, from: Maps) -> Option<Maps> {
        let (height, width) = self.window().places((from.height, from.width))?;
        Some(Maps { height, width, channels: self.before + from.channels + self.after, ..from })
    }

    pub(super) fn forward<T: Element>(self, from: Maps, x: &[T], out: &mut [T]) {
        self.places(from, |to, pixel, channels| {
            let out = &mut out[to * channels..][..channels];
            out.fill(T::ZERO);
            out[self.before..][..from.channels].copy_from_slice(&x[pixel * from.channels..][..from.channels]);
        });
    }

    /// Adds the gradient of the output to where its places came from.
    pub(super) fn input_gradient<T: Element>(self, from: Maps, g: &[T], dx: &mut [T]) {
        self.places(from, |to, pixel, channels| {
            let g = &g[to * channels + self.before..][..from.channels];
            add(&mut dx[pixel * from.channels..][..from.channels], g);
        });
    }

    /// Every place of the output with its place of the input, and the channels of the output.
    fn places(self, from: Maps, mut visit: impl FnMut(usize, usize, usize)) {
        let Some(to) = self.output(from) else { return };
        for place in 0..to.images * to.height * to.width {
            let (line, column) = (place / to.width, place % to.width);
            let (image, row) = (line / to.height, line % to.height);
            let pixel = (image * from.height + row * self.stride) * from.width + column * self.stride;
            visit(place, pixel, to.channels);
        }
    }
}
