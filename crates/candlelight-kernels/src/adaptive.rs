use crate::Element;
use crate::pool2d::first_maximum;
use rayon::prelude::*;
use std::ops::Range;

/// The elements under window `place` of the `to` windows that share out an axis of `from` elements: they overlap where
/// `to` does not divide `from` (PyTorch's adaptive pools).
pub fn adaptive_range(from: usize, to: usize, place: usize) -> Range<usize> {
    place * from / to..((place + 1) * from).div_ceil(to)
}

/// For each plane of `input` (height, width) and each of `output` windows the index of the largest element, the first
/// of ties; NaN wins.
///
/// # Panics
/// If `x` does not hold planes x height x width elements.
pub fn adaptive_maxima<T: Element>(
    x: &[T],
    planes: usize,
    input: (usize, usize),
    output: (usize, usize),
) -> Vec<u32> {
    assert_eq!(x.len(), planes * input.0 * input.1, "length of the input");
    let mut out = vec![0; planes * output.0 * output.1];
    if out.is_empty() || x.is_empty() {
        return out;
    }
    let planes = out.par_chunks_mut(output.0 * output.1).zip(x.par_chunks(input.0 * input.1));
    planes.for_each(|(out, x)| {
        for (place, out) in out.iter_mut().enumerate() {
            let rows = adaptive_range(input.0, output.0, place / output.1);
            let columns = adaptive_range(input.1, output.1, place % output.1);
            let inside = rows.flat_map(|y| columns.clone().map(move |x| y * input.1 + x));
            *out = first_maximum(inside.map(|i| (x[i], i as u32))).1;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_cover_the_axis_and_are_as_even_as_can_be(from in 1usize..20, to in 1usize..20) {
            let ranges: Vec<_> = (0..to).map(|place| adaptive_range(from, to, place)).collect();
            prop_assert_eq!((ranges[0].start, ranges[to - 1].end), (0, from));
            prop_assert!(ranges.windows(2).all(|pair| pair[1].start <= pair[0].end));
            prop_assert!(ranges.iter().all(|r| !r.is_empty() && r.len() <= from.div_ceil(to) + 1));
        }

        #[test]
        fn maxima_are_the_first_of_the_largest(
            planes in 0usize..4,
            (h, w) in (1usize..8, 1usize..8),
            (oh, ow) in (1usize..8, 1usize..8),
            levels in 1u32..5,
        ) {
            let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 16 & 0xff;
            let x: Vec<f64> =
                (0..planes * h * w).map(|i| (f64::from(noise(i) * levels) / 256.0).floor()).collect();
            let found = adaptive_maxima(&x, planes, (h, w), (oh, ow));
            prop_assert_eq!(found.len(), planes * oh * ow);
            for (k, &index) in found.iter().enumerate() {
                let (plane, oy, ox) = (&x[k / (oh * ow) * h * w..][..h * w], k / ow % oh, k % ow);
                let mut expected = None;
                for y in (oy as f64 * h as f64 / oh as f64).floor() as usize..h {
                    for x in (ox as f64 * w as f64 / ow as f64).floor() as usize..w {
                        let inside = y * oh < (oy + 1) * h && x * ow < (ox + 1) * w;
                        if inside && expected.is_none_or(|best: usize| plane[y * w + x] > plane[best]) {
                            expected = Some(y * w + x);
                        }
                    }
                }
                prop_assert_eq!(Some(index as usize), expected);
            }
        }
    }
}
