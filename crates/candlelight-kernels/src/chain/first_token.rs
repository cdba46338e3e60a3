//! The head of a transformer that looks at its first token alone.

use super::Maps;
use crate::rows::{add_standardize_gradient, standardize_into};
use crate::simd::vectorized;
use crate::{Affine, Element};

/// The first token of every image, normalised: (x − mean) / √(variance + eps) · weight + bias.
#[derive(Clone, Debug)]
pub struct FirstToken<T> {
    /// `[size]`.
    pub weight: Vec<T>,
    /// `[size]`.
    pub bias: Vec<T>,
    /// Added to the variance.
    pub eps: f64,
}

impl<T: Element> FirstToken<T> {
    /// One token for every image; nothing if they do not fit.
    pub(super) fn output(&self, from: Maps) -> Option<Maps> {
        let fits = from.width == 1 && from.height > 0 && from.channels == self.weight.len();
        fits.then_some(Maps { height: 1, ..from })
    }

    /// Gives the first tokens as they were, which the way back needs.
    pub(super) fn forward(&self, from: Maps, x: &[T], out: &mut [T]) -> Vec<T> {
        let size = self.weight.len();
        let mut first = Vec::with_capacity(out.len());
        x.chunks_exact(from.elements_of(1)).for_each(|image| first.extend_from_slice(&image[..size]));
        standardize_into(&first, size, self.eps, out);
        let affine = self.affine();
        vectorized(
            #[inline(always)]
            || out.chunks_exact_mut(size).for_each(|row| affine.apply(row)),
        );
        first
    }

    /// Adds the gradient to that of the tokens.
    pub(super) fn input_gradient(&self, from: Maps, first: &[T], g: &[T], dx: &mut [T]) {
        let size = self.weight.len();
        let images = dx.chunks_exact_mut(from.elements_of(1)).zip(g.chunks_exact(size));
        for ((dx, g), first) in images.zip(first.chunks_exact(size)) {
            let mut g = g.to_vec();
            self.affine().scale(&mut g);
            add_standardize_gradient(first, &g, size, self.eps, &mut dx[..size]);
        }
    }

    fn affine(&self) -> Affine<'_, T> {
        Affine { weight: Some(&self.weight), bias: Some(&self.bias) }
    }
}
