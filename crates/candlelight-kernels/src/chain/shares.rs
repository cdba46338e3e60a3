//! Elementwise work on relevance, and what of it per image is booked.

use super::rules::{AtAdd, AtRectifier, Entry};
use crate::simd::vectorized;
use crate::{Element, carrying, replace_counted, stabilised, sum_of_pairs};

/// Replaces every b by `f(a, b)`, and gives per image the sums of what `f` counts.
#[inline(always)]
pub(super) fn each<T: Element, const N: usize>(
    images: usize,
    a: &[T],
    b: &mut [T],
    f: impl Fn(T, T) -> (T, [f64; N]) + Copy,
) -> [Vec<f64>; N] {
    let size = (a.len() / images.max(1)).max(1);
    let mut sums = [(); N].map(|()| Vec::with_capacity(images));
    for (a, b) in a.chunks(size).zip(b.chunks_mut(size)) {
        let image = replace_counted(a, b, f);
        sums.iter_mut().zip(image).for_each(|(sums, sum)| sums.push(sum));
    }
    sums
}

/// Per image the sums of what `f` counts.
#[inline(always)]
pub(super) fn counted<T: Element>(
    images: usize,
    a: &[T],
    b: &[T],
    f: impl Fn(T, T) -> f64 + Copy,
) -> Vec<f64> {
    let size = (a.len() / images.max(1)).max(1);
    a.chunks(size).zip(b.chunks(size)).map(|(a, b)| sum_of_pairs(a, b, f)).collect()
}

/// The signal `g` of sums `z` becomes R / z, stabilised; per image what was received, and what the stabiliser absorbs.
pub(super) fn share<T: Element>(images: usize, z: &[T], g: &mut [T], epsilon: f64) -> [Vec<f64>; 2] {
    let epsilon = T::from_f64(epsilon);
    each(
        images,
        z,
        g,
        #[inline(always)]
        move |z: T, g: T| {
            let (r, whole) = (carrying(z) * g, stabilised(z, epsilon));
            let s = r / whole;
            (s, [r.to_f64(), (whole - z).to_f64() * s.to_f64()])
        },
    )
}

/// Denominators `z` become `times` R / z, stabilised; per image what the stabiliser absorbs.
pub(super) fn over<T: Element>(
    images: usize,
    r: &[T],
    z: &mut [T],
    (times, epsilon): (f64, f64),
) -> Vec<f64> {
    let (times, epsilon) = (T::from_f64(times), T::from_f64(epsilon));
    let [absorbed] = each(
        images,
        r,
        z,
        #[inline(always)]
        move |r: T, z: T| {
            let whole = stabilised(z, epsilon);
            let s = times * (r / whole);
            (s, [(whole - z).to_f64() * s.to_f64()])
        },
    );
    absorbed
}

/// Relevance `r` of outputs `z` and their positive contributions become what goes back through W and through W⁺ by the
/// rule of raised weights; per image what the stabiliser absorbs.
pub(super) fn raised<T: Element>(
    images: usize,
    z: &[T],
    (r, excited): (&mut [T], &mut [T]),
    (gamma, epsilon): (f64, f64),
) -> Vec<f64> {
    let raise = T::from_f64(gamma);
    vectorized(
        #[inline(always)]
        || {
            for ((&z, r), excited) in z.iter().zip(r.iter_mut()).zip(excited.iter_mut()) {
                *r = if z == T::ZERO { T::ZERO } else { *r };
                *excited = z + raise * if z > T::ZERO { *excited } else { z - *excited };
            }
        },
    );
    let absorbed = over(images, r, excited, (1.0, epsilon));
    split(z, r, excited, raise);
    absorbed
}

/// Relevance per denominator as the signals of W and of W⁺.
fn split<T: Element>(z: &[T], whole: &mut [T], positive: &mut [T], gamma: T) {
    vectorized(
        #[inline(always)]
        || {
            for ((&z, whole), positive) in z.iter().zip(whole).zip(positive) {
                let s = *positive;
                let (above, below) = (gamma * s, -(gamma * s));
                *whole = if z > T::ZERO { s } else { s + gamma * s };
                *positive = if z > T::ZERO { above } else { below };
            }
        },
    );
}

/// a − b into `out`, as far as that goes.
pub(super) fn difference<T: Element>(out: &mut [T], a: &[T], b: &[T]) {
    vectorized(
        #[inline(always)]
        || out.iter_mut().zip(a).zip(b).for_each(|((out, &a), &b)| *out = a - b),
    );
}

/// Per image what a bias absorbs of the relevance per output `s`, its channels side by side.
pub(super) fn absorbed<T: Element>(images: usize, bias: &[T], s: &[T]) -> Vec<f64> {
    let size = (s.len() / images.max(1)).max(1);
    let image = |s: &[T]| {
        let mut sums = vec![0.0; bias.len()];
        vectorized(
            #[inline(always)]
            || {
                for row in s.chunks_exact(bias.len()) {
                    for (sum, s) in sums.iter_mut().zip(row) {
                        *sum += s.to_f64();
                    }
                }
            },
        );
        sums.iter().zip(bias).map(|(sum, b)| sum * b.to_f64()).sum()
    };
    s.chunks(size).map(image).collect()
}

/// sums + more, image by image.
pub(super) fn book(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

impl AtAdd {
    /// What comes back from the signal `g` of sums.
    pub(super) fn hand_back<T: Element>(self, images: usize, sum: &[T], g: &mut [T]) -> Entry {
        let Self::Share(epsilon) = self else { return Entry::default() };
        let [received, stabiliser] = share(images, sum, g, epsilon);
        let passed = counted(
            images,
            sum,
            g,
            #[inline(always)]
            |z: T, s: T| (carrying(z) * s).to_f64(),
        );
        Entry { received, passed, stabiliser, bias: vec![0.0; images] }
    }
}

impl AtRectifier {
    /// What comes back from the signal `g` of rectified `x`.
    pub(super) fn hand_back<T: Element>(self, x: &[T], g: &mut [T]) {
        match self {
            Self::Gradient => {
                zipped(
                    x,
                    g,
                    #[inline(always)]
                    |x: T, g: T| if x > T::ZERO { g } else { T::ZERO },
                );
            }
            Self::Pass => {
                zipped(
                    x,
                    g,
                    #[inline(always)]
                    |x: T, g: T| g * (carrying(if x <= T::ZERO { T::ZERO } else { x }) / carrying(x)),
                );
            }
            Self::Guided => {
                zipped(
                    x,
                    g,
                    #[inline(always)]
                    |x: T, g: T| if x > T::ZERO && g > T::ZERO { g } else { T::ZERO },
                );
            }
            Self::Deconvnet => {
                zipped(
                    x,
                    g,
                    #[inline(always)]
                    |_: T, g: T| if g > T::ZERO { g } else { T::ZERO },
                );
            }
        }
    }
}

/// Replaces every b by `f(a, b)`.
#[inline(always)]
fn zipped<T: Element>(a: &[T], b: &mut [T], f: impl Fn(T, T) -> T) {
    vectorized(
        #[inline(always)]
        || {
            for (&a, b) in a.iter().zip(b) {
                *b = f(a, *b);
            }
        },
    );
}
