use crate::Element;
use crate::affine::Affine;
use crate::room::made;
use crate::simd::vectorized;

/// Rows that one task works on.
const ROWS: usize = 16;

/// The softmax of every row of `x`, rows being `width` elements long.
///
/// # Panics
/// If `x` does not hold whole rows.
pub fn softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    by_rows(
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            out.copy_from_slice(x);
            softmax_row(out);
        },
    )
}

/// The gradient of [`softmax`] with respect to its input, from its output `y` and the gradient of that.
///
/// # Panics
/// If the slices differ in length or do not hold whole rows.
pub fn softmax_gradient<T: Element>(y: &[T], gradient: &[T], width: usize) -> Vec<T> {
    by_rows(
        [y, gradient],
        width,
        #[inline(always)]
        |[y, g], out| {
            out.copy_from_slice(g);
            softmax_gradient_row(y, out);
        },
    )
}

/// Every row of `x` less its mean, divided by its standard deviation: layer normalisation
/// ([Ba et al. 2016](https://arxiv.org/abs/1607.06450)).
///
/// # Panics
/// If `x` does not hold whole rows, or `affine` does not fit them.
pub fn standardize<T: Element>(x: &[T], width: usize, eps: f64, affine: Affine<T>) -> Vec<T> {
    by_affine_rows(
        affine,
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            standardize_row(x, eps, out);
            affine.apply(out);
        },
    )
}

/// The gradient of [`standardize`] with respect to its input.
///
/// # Panics
/// If the slices differ in length or do not hold whole rows, or `affine` does not fit them.
pub fn standardize_gradient<T: Element>(
    x: &[T],
    gradient: &[T],
    width: usize,
    eps: f64,
    affine: Affine<T>,
) -> Vec<T> {
    by_affine_rows(
        affine,
        [x, gradient],
        width,
        #[inline(always)]
        |[x, g], out| {
            out.copy_from_slice(g);
            affine.scale(out);
            standardize_gradient_row(x, eps, out);
        },
    )
}

/// [`softmax`] on this thread, in place.
pub(crate) fn softmax_in_place<T: Element>(x: &mut [T], width: usize) {
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(width) {
                softmax_row(row);
            }
        },
    );
}

/// [`softmax_gradient`] on this thread, in place of the gradient.
pub(crate) fn softmax_gradient_in_place<T: Element>(y: &[T], g: &mut [T], width: usize) {
    vectorized(
        #[inline(always)]
        || {
            for (y, g) in y.chunks_exact(width).zip(g.chunks_exact_mut(width)) {
                softmax_gradient_row(y, g);
            }
        },
    );
}

/// [`standardize`] on this thread.
pub(crate) fn standardize_into<T: Element>(x: &[T], width: usize, eps: f64, out: &mut [T]) {
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    vectorized(
        #[inline(always)]
        || {
            for (x, out) in rows {
                standardize_row(x, eps, out);
            }
        },
    );
}

/// [`standardize_gradient`] on this thread, added to `sum`.
pub(crate) fn add_standardize_gradient<T: Element>(x: &[T], g: &[T], width: usize, eps: f64, sum: &mut [T]) {
    let rows = x.chunks_exact(width).zip(g.chunks_exact(width)).zip(sum.chunks_exact_mut(width));
    vectorized(
        #[inline(always)]
        || {
            for ((x, g), sum) in rows {
                add_standardize_gradient_row(x, g, eps, sum);
            }
        },
    );
}

#[inline(always)]
fn softmax_row<T: Element>(row: &mut [T]) {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let largest = fold([&*row], T::NEG_INFINITY, |most, [v]| larger(most, v), larger);
    for v in &mut *row {
        *v = (*v - largest).exp();
    }
    let scale = T::ONE / sum([&*row], |[v]| v);
    for v in row {
        *v = *v * scale;
    }
}

#[inline(always)]
fn softmax_gradient_row<T: Element>(y: &[T], g: &mut [T]) {
    let mean = sum([y, &*g], |[y, g]| y * g);
    for (g, &y) in g.iter_mut().zip(y) {
        *g = y * (*g - mean);
    }
}

#[inline(always)]
fn standardize_row<T: Element>(x: &[T], eps: f64, out: &mut [T]) {
    let (mean, inverse) = moments(x, eps);
    for (o, &v) in out.iter_mut().zip(x) {
        *o = (v - mean) * inverse;
    }
}

/// In place of the gradient.
#[inline(always)]
fn standardize_gradient_row<T: Element>(x: &[T], eps: f64, g: &mut [T]) {
    let back = StandardizeBack::of(x, g, eps);
    for (g, &v) in g.iter_mut().zip(x) {
        *g = back.at(v, *g);
    }
}

#[inline(always)]
fn add_standardize_gradient_row<T: Element>(x: &[T], g: &[T], eps: f64, out: &mut [T]) {
    let back = StandardizeBack::of(x, g, eps);
    for (o, (&v, &g)) in out.iter_mut().zip(x.iter().zip(g)) {
        *o += back.at(v, g);
    }
}

/// What the gradient of a standardised row needs of the whole row.
struct StandardizeBack<T> {
    mean: T,
    inverse: T,
    mean_g: T,
    /// The mean of the gradient times the standardised row.
    mean_gx: T,
}

impl<T: Element> StandardizeBack<T> {
    #[inline(always)]
    fn of(x: &[T], g: &[T], eps: f64) -> Self {
        let (mean, inverse) = moments(x, eps);
        let n = T::from_f64(x.len() as f64);
        let mean_g = sum([g], |[g]| g) / n;
        let mean_gx = sum([x, g], |[v, g]| g * (v - mean) * inverse) / n;
        Self { mean, inverse, mean_g, mean_gx }
    }

    /// At an element `v` of the row, for the gradient `g` there.
    #[inline(always)]
    fn at(&self, v: T, g: T) -> T {
        self.inverse * (g - self.mean_g - (v - self.mean) * self.inverse * self.mean_gx)
    }
}

/// Numbers that are summed side by side: a sum of one after the other would wait for every addition.
const LANES: usize = 16;

/// The sum of `f` over a row.
#[inline(always)]
pub(crate) fn sum<T: Element, const N: usize>(rows: [&[T]; N], f: impl Fn([T; N]) -> T) -> T {
    fold(rows, T::ZERO, |sum, values| sum + f(values), |a, b| a + b)
}

/// Folds a row in lanes, and joins the lanes.
#[inline(always)]
fn fold<T: Element, const N: usize>(
    rows: [&[T]; N],
    start: T,
    step: impl Fn(T, [T; N]) -> T,
    join: impl Fn(T, T) -> T,
) -> T {
    let len = rows[0].len();
    let mut lanes = [start; LANES];
    for from in (0..len - len % LANES).step_by(LANES) {
        let parts = rows.map(|row| &row[from..from + LANES]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum = step(*sum, parts.map(|part| part[lane]));
        }
    }
    let rest = (len - len % LANES..len).fold(start, |sum, i| step(sum, rows.map(|row| row[i])));
    lanes.into_iter().fold(rest, join)
}

/// Every row of `x` divided by its root mean square: RMS normalisation
/// ([Zhang & Sennrich 2019](https://arxiv.org/abs/1910.07467)).
///
/// # Panics
/// If `x` does not hold whole rows, or `affine` does not fit them.
pub fn rms_scale<T: Element>(x: &[T], width: usize, eps: f64, affine: Affine<T>) -> Vec<T> {
    by_affine_rows(
        affine,
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            let inverse = inverse_size(x, T::ZERO, eps);
            for (o, &v) in out.iter_mut().zip(x) {
                *o = v * inverse;
            }
            affine.apply(out);
        },
    )
}

/// The gradient of [`rms_scale`] with respect to its input.
///
/// # Panics
/// If the slices differ in length or do not hold whole rows, or `affine` does not fit them.
pub fn rms_scale_gradient<T: Element>(
    x: &[T],
    gradient: &[T],
    width: usize,
    eps: f64,
    affine: Affine<T>,
) -> Vec<T> {
    by_affine_rows(
        affine,
        [x, gradient],
        width,
        #[inline(always)]
        |[x, g], out| {
            out.copy_from_slice(g);
            affine.scale(out);
            let inverse = inverse_size(x, T::ZERO, eps);
            let dot = sum([x, &*out], |[v, g]| v * g);
            let along = dot * inverse * inverse / T::from_f64(width as f64);
            for (g, &v) in out.iter_mut().zip(x) {
                *g = inverse * (*g - v * along);
            }
        },
    )
}

#[inline(always)]
fn moments<T: Element>(row: &[T], eps: f64) -> (T, T) {
    let mean = sum([row], |[v]| v) / T::from_f64(row.len() as f64);
    (mean, inverse_size(row, mean, eps))
}

/// 1 / √(mean((x − centre)²) + eps).
#[inline(always)]
fn inverse_size<T: Element>(row: &[T], centre: T, eps: f64) -> T {
    let squares = sum([row], |[v]| (v - centre) * (v - centre));
    T::ONE / (squares / T::from_f64(row.len() as f64) + T::from_f64(eps)).sqrt()
}

/// [`by_rows`] of an `f` that ends with `affine`.
fn by_affine_rows<T: Element, const N: usize>(
    affine: Affine<T>,
    inputs: [&[T]; N],
    width: usize,
    f: impl Fn([&[T]; N], &mut [T]) + Sync,
) -> Vec<T> {
    assert!(affine.fits(width), "a weight and a bias for every element of a row");
    by_rows(inputs, width, f)
}

fn by_rows<T: Element, const N: usize>(
    inputs: [&[T]; N],
    width: usize,
    f: impl Fn([&[T]; N], &mut [T]) + Sync,
) -> Vec<T> {
    let len = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == len), "all inputs must have one length");
    assert_eq!(len % width.max(1), 0, "whole rows");
    let make = |_: &mut (), task: usize, out: &mut [T]| {
        vectorized(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(width).enumerate() {
                    let from = (task * ROWS + row) * width;
                    f(inputs.map(|x| &x[from..from + width]), out);
                }
            },
        );
    };
    made(len, ROWS * width, || (), make)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Truncation and rounding of a central difference with step 1e-5 on values of order one.
    const DIFFERENCE_TOLERANCE: f64 = 1e-8;

    fn wave(len: usize, step: f64) -> Vec<f64> {
        (0..len).map(|i| 2.0 * (i as f64 * step).sin()).collect()
    }

    /// The derivative of sum(gradient * f(x)) along each element of x, by central differences.
    fn differences(x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let value = |x: &[f64]| f(x).iter().zip(gradient).map(|(y, g)| y * g).sum::<f64>();
        let step = 1e-5;
        let shifted = |i: usize, by: f64| {
            let mut x = x.to_vec();
            x[i] += by;
            value(&x)
        };
        (0..x.len()).map(|i| (shifted(i, step) - shifted(i, -step)) / (2.0 * step)).collect()
    }

    fn assert_close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < DIFFERENCE_TOLERANCE));
    }

    proptest! {
        #[test]
        fn row_gradients_are_the_central_differences(rows in 0usize..40, width in 2usize..40) {
            let (x, g) = (wave(rows * width, 0.7), wave(rows * width, 0.31));
            let y = softmax(&x, width);
            prop_assert!(y.chunks(width).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
            assert_close(&softmax_gradient(&y, &g, width), &differences(&x, &g, |x| softmax(x, width)));
            let small = |step| wave(width, step).into_iter().map(|v| 0.25 * v).collect::<Vec<_>>();
            let (weight, bias) = (small(1.1), small(0.4));
            for affine in [Affine::default(), Affine { weight: Some(&weight), bias: Some(&bias) }] {
                let numeric = differences(&x, &g, |x| standardize(x, width, 0.5, affine));
                assert_close(&standardize_gradient(&x, &g, width, 0.5, affine), &numeric);
                let numeric = differences(&x, &g, |x| rms_scale(x, width, 0.5, affine));
                assert_close(&rms_scale_gradient(&x, &g, width, 0.5, affine), &numeric);
            }
        }

        #[test]
        fn scaled_rows_equal_their_definition(rows in 0usize..40, width in 1usize..9) {
            let (x, weight, bias) = (wave(rows * width, 0.7), wave(width, 1.1), wave(width, 0.4));
            let scaled = rms_scale(&x, width, 0.01, Affine::default());
            let both = rms_scale(&x, width, 0.01, Affine { weight: Some(&weight), bias: Some(&bias) });
            for (i, (&found, &both)) in scaled.iter().zip(&both).enumerate() {
                let row = &x[i / width * width..][..width];
                let square = row.iter().map(|v| v.powi(2)).sum::<f64>() / width as f64;
                let expected = x[i] / (square + 0.01).sqrt();
                prop_assert!((found - expected).abs() < 1e-14);
                prop_assert!((both - (expected * weight[i % width] + bias[i % width])).abs() < 1e-14);
            }
        }

        #[test]
        fn standardized_rows_have_mean_zero_and_variance_one(rows in 1usize..40, width in 2usize..9) {
            let (weight, bias) = (wave(width, 1.1), wave(width, 0.4));
            let affine = Affine { weight: Some(&weight), bias: Some(&bias) };
            let both = standardize(&wave(rows * width, 0.7), width, 0.0, affine);
            let unit = standardize(&wave(rows * width, 0.7), width, 0.0, Affine::default());
            for (i, (both, unit)) in both.iter().zip(&unit).enumerate() {
                prop_assert!((both - (unit * weight[i % width] + bias[i % width])).abs() < 1e-14);
            }
            for row in unit.chunks(width) {
                prop_assert!(row.iter().sum::<f64>().abs() < 1e-9);
                prop_assert!((row.iter().map(|v| v * v).sum::<f64>() / width as f64 - 1.0).abs() < 1e-9);
            }
        }
    }
}
