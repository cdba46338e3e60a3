use crate::Element;
use crate::room::made;
use crate::simd::vectorized;
use rayon::prelude::*;

/// `x * scale + shift` with one pair per channel, on planes of `area` elements.
///
/// # Panics
/// If `x` does not hold whole images.
pub fn plane_affine<T: Element>(x: &[T], area: usize, scale: &[T], shift: &[T]) -> Vec<T> {
    assert_eq!(scale.len(), shift.len(), "a shift for each scale");
    by_planes(
        [x],
        area,
        scale.len(),
        #[inline(always)]
        |channel, [x], out| {
            let (scale, shift) = (scale[channel], shift[channel]);
            for (o, &v) in out.iter_mut().zip(x) {
                *o = v * scale + shift;
            }
        },
    )
}

/// `a * p + b * q + r` with one triple (p, q, r) per channel, on planes of `area` elements.
///
/// # Panics
/// If the slices differ in length or do not hold whole images.
pub fn plane_combine<T: Element>(a: &[T], b: &[T], area: usize, factors: &[(T, T, T)]) -> Vec<T> {
    by_planes(
        [a, b],
        area,
        factors.len(),
        #[inline(always)]
        |channel, [a, b], out| {
            let (p, q, r) = factors[channel];
            for (o, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
                *o = a * p + b * q + r;
            }
        },
    )
}

/// Per channel the sum of `f(x)` over all images and positions.
///
/// # Panics
/// If `x` does not hold whole images.
pub fn channel_sums<T: Element>(
    x: &[T],
    area: usize,
    channels: usize,
    f: impl Fn(usize, T) -> T + Sync,
) -> Vec<T> {
    over_channels([x], area, channels, |channel, [v]| f(channel, v))
}

/// Per channel the sum of `a * b` over all images and positions.
///
/// # Panics
/// If the slices differ in length or do not hold whole images.
pub fn channel_products<T: Element>(a: &[T], b: &[T], area: usize, channels: usize) -> Vec<T> {
    over_channels([a, b], area, channels, |_, [a, b]| a * b)
}

fn by_planes<T: Element, const N: usize>(
    inputs: [&[T]; N],
    area: usize,
    channels: usize,
    f: impl Fn(usize, [&[T]; N], &mut [T]) + Sync,
) -> Vec<T> {
    let len = whole_images(&inputs, area, channels);
    let make = |_: &mut (), plane: usize, out: &mut [T]| {
        vectorized(
            #[inline(always)]
            || f(plane % channels, inputs.map(|x| &x[plane * area..][..area]), out),
        );
    };
    made(len, area, || (), make)
}

fn over_channels<T: Element, const N: usize>(
    inputs: [&[T]; N],
    area: usize,
    channels: usize,
    f: impl Fn(usize, [T; N]) -> T + Sync,
) -> Vec<T> {
    let len = whole_images(&inputs, area, channels);
    let plane_sum = |channel: usize, image: usize| -> T {
        let from = (image * channels + channel) * area;
        (from..from + area).map(|i| f(channel, inputs.map(|x| x[i]))).sum()
    };
    let images = len / (area * channels).max(1);
    let channel_sum = |channel| (0..images).map(|image| plane_sum(channel, image)).sum();
    (0..channels).into_par_iter().map(channel_sum).collect()
}

fn whole_images<T, const N: usize>(inputs: &[&[T]; N], area: usize, channels: usize) -> usize {
    let len = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == len), "all inputs must have one length");
    assert_eq!(len % (area * channels).max(1), 0, "whole images");
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(len: usize, step: f64) -> Vec<f64> {
        (0..len).map(|i| 2.0 * (i as f64 * step).sin()).collect()
    }

    proptest! {
        #[test]
        fn planes_equal_their_definition(batch in 0usize..4, channels in 1usize..4, area in 1usize..7) {
            let (a, b) = (wave(batch * channels * area, 0.9), wave(batch * channels * area, 0.6));
            let (scale, shift) = (wave(channels, 1.1), wave(channels, 0.4));
            let factors: Vec<_> = scale.iter().zip(&shift).map(|(&p, &q)| (p, q, p - q)).collect();
            let (affine, combined) = (plane_affine(&a, area, &scale, &shift), plane_combine(&a, &b, area, &factors));
            let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
            for i in 0..a.len() {
                let c = i / area % channels;
                prop_assert_eq!(affine[i], a[i] * scale[c] + shift[c]);
                prop_assert_eq!(combined[i], a[i] * scale[c] + b[i] * shift[c] + (scale[c] - shift[c]));
                sums[c] += (a[i] - shift[c]).abs();
                products[c] += a[i] * b[i];
            }
            let absolute = channel_sums(&a, area, channels, |c, v| (v - shift[c]).abs());
            for (found, expected) in absolute.iter().zip(&sums).chain(channel_products(&a, &b, area, channels).iter().zip(&products)) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
        }
    }
}
