//! Sums in double precision on the way over pairs of elements. Functions come by value, with what they capture: what is
//! behind a reference is loaded again for every element.

use crate::Element;
use crate::simd::vectorized;

/// Sums that run beside each other, so that the processor adds several numbers at once.
const LANES: usize = 16;

/// Replaces every b by `f(a, b)`, and gives the sums of what `f` counts; write `#[inline(always)]` before it.
#[inline(always)]
pub fn replace_counted<T: Element, const N: usize>(
    a: &[T],
    b: &mut [T],
    f: impl Fn(T, T) -> (T, [f64; N]) + Copy,
) -> [f64; N] {
    vectorized(
        #[inline(always)]
        move || {
            let mut lanes = [[0.0; LANES]; N];
            let whole = a.len() / LANES * LANES;
            let ((a, rest_of_a), (b, rest_of_b)) = (a.split_at(whole), b.split_at_mut(whole));
            for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact_mut(LANES)) {
                for lane in 0..LANES {
                    let (value, counts) = f(a[lane], b[lane]);
                    b[lane] = value;
                    for n in 0..N {
                        lanes[n][lane] += counts[n];
                    }
                }
            }
            // A lane that is found by anything but a constant would put all of them into memory.
            let mut sums = lanes.map(|lanes| lanes.iter().sum::<f64>());
            for (&a, b) in rest_of_a.iter().zip(rest_of_b) {
                let (value, counts) = f(a, *b);
                *b = value;
                for n in 0..N {
                    sums[n] += counts[n];
                }
            }
            sums
        },
    )
}

/// The sum of `f` over all pairs; write `#[inline(always)]` before it.
#[inline(always)]
pub fn sum_of_pairs<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> f64 + Copy) -> f64 {
    vectorized(
        #[inline(always)]
        move || {
            let mut lanes = [0.0; LANES];
            let whole = a.len() / LANES * LANES;
            for (a, b) in a[..whole].chunks_exact(LANES).zip(b[..whole].chunks_exact(LANES)) {
                for lane in 0..LANES {
                    lanes[lane] += f(a[lane], b[lane]);
                }
            }
            let mut sum = lanes.iter().sum::<f64>();
            for (&a, &b) in a[whole..].iter().zip(&b[whole..]) {
                sum += f(a, b);
            }
            sum
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_and_values_are_those_of_a_plain_loop(len in 0usize..70, seed in 0.1f64..1.0) {
            let a: Vec<f64> = (0..len).map(|i| (i as f64 * seed).sin()).collect();
            let b: Vec<f64> = a.iter().map(|a| a * 2.0 + seed).collect();
            let mut values = b.clone();
            let sums = replace_counted(&a, &mut values, #[inline(always)] |a, b| (a * b, [a, b]));
            let near = |x: f64, y: f64| (x - y).abs() < 1e-12;
            prop_assert!(near(sums[0], a.iter().sum()) && near(sums[1], b.iter().sum()));
            prop_assert!(values.iter().zip(a.iter().zip(&b)).all(|(value, (a, b))| *value == a * b));
            let sum = sum_of_pairs(&a, &b, #[inline(always)] |a, b| a * b);
            prop_assert!(near(sum, values.iter().sum()));
        }
    }
}
