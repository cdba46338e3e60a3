use crate::room::made;
use crate::simd::vectorized;
use crate::{Element, Window};
use rayon::prelude::*;

/// The geometry of a two-dimensional pool over independent planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Planes: batch times channels.
    pub planes: usize,
    /// Height and width of the input.
    pub input: (usize, usize),
    /// Height and width of the output; the last row and column of windows may reach past the input (ceil mode).
    pub output: (usize, usize),
    /// How the window slides.
    pub window: Window,
}

impl Pool2d {
    fn sizes(&self) -> (usize, usize) {
        (self.input.0 * self.input.1, self.output.0 * self.output.1)
    }

    /// The largest value of each window over a plane `x`, and where it lies: a row of places at a time, every window
    /// element for all of them, so that the loop inside is one for vectors.
    #[inline(always)]
    fn maxima<T: Element>(&self, x: &[T], largest: &mut [T], indices: &mut [u32]) {
        let Self { input: (height, width), output: (_, across), window, .. } = *self;
        let rows = largest.chunks_exact_mut(across).zip(indices.chunks_exact_mut(across));
        for (oy, (largest, indices)) in rows.enumerate() {
            let inside = |place: usize| self.inside(oy * across + place).next().map_or(0, |i| i as u32);
            indices.iter_mut().enumerate().for_each(|(place, index)| *index = inside(place));
            for y in (0..window.kernel.0).filter_map(|k| window.row(oy, k, height)) {
                for k in 0..window.kernel.1 {
                    let places = window.columns_inside(k, width, across);
                    let Some(first) = window.column(places.start, k, width) else { continue };
                    let first = y * width + first;
                    let best = largest[places.clone()].iter_mut().zip(&mut indices[places]);
                    keep_larger(&x[first..(y + 1) * width], (first, window.stride.1), best);
                }
            }
        }
    }

    /// The input indices inside the window at output `place`, in row-major order.
    fn inside(&self, place: usize) -> impl Iterator<Item = usize> {
        let (oy, ox) = (place / self.output.1, place % self.output.1);
        let Self { input: (height, width), window, .. } = *self;
        let rows = (0..window.kernel.0).filter_map(move |k| window.row(oy, k, height));
        rows.flat_map(move |y| {
            (0..window.kernel.1).filter_map(move |k| window.column(ox, k, width)).map(move |x| y * width + x)
        })
    }
}

/// The largest element of each window and its index in its plane, the first of ties as in PyTorch; padding
/// never wins, and NaN does.
///
/// # Panics
/// If `x` does not hold planes x height x width elements.
pub fn max_pool2d<T: Element>(pool: &Pool2d, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let (input, output) = pool.sizes();
    assert_eq!(x.len(), pool.planes * input, "length of the input");
    let mut largest = vec![T::NEG_INFINITY; pool.planes * output];
    let mut indices = vec![0; pool.planes * output];
    let chunk = output.max(1);
    let planes = largest.par_chunks_mut(chunk).zip(indices.par_chunks_mut(chunk));
    planes.zip(x.par_chunks(input.max(1))).for_each(|((largest, indices), x)| {
        vectorized(
            #[inline(always)]
            || pool.maxima(x, largest, indices),
        );
    });
    (largest, indices)
}

/// Takes the elements of `x` a `stride` apart where they are larger than the best so far; NaN is larger than any.
/// Element 0 has the index `first`.
#[inline(always)]
fn keep_larger<'a, T: Element>(
    x: &[T],
    (first, stride): (usize, usize),
    best: impl Iterator<Item = (&'a mut T, &'a mut u32)>,
) {
    for (place, (largest, index)) in best.enumerate() {
        let next = x[place * stride];
        let wins = ((next > *largest) | next.is_nan()) & !largest.is_nan();
        *largest = if wins { next } else { *largest };
        *index = if wins { (first + place * stride) as u32 } else { *index };
    }
}

/// The first of the largest values, with its index; NaN is larger than any.
pub(crate) fn first_maximum<T: Element>(values: impl Iterator<Item = (T, u32)>) -> (T, u32) {
    values
        .reduce(|best, next| {
            let wins = next.0 > best.0 || next.0.is_nan();
            if wins && !best.0.is_nan() { next } else { best }
        })
        .unwrap_or((T::NEG_INFINITY, 0))
}

/// The gradient of [`max_pool2d`] with respect to its input: each `gradient` goes to its window's maximum.
///
/// # Panics
/// If `gradient` or `indices` do not hold planes x output elements.
pub fn max_pool2d_gradient<T: Element>(pool: &Pool2d, gradient: &[T], indices: &[u32]) -> Vec<T> {
    assert_eq!(indices.len(), gradient.len(), "an index for each gradient");
    scatter(pool, gradient, |plane, place, g, out| {
        out[indices[plane * pool.sizes().1 + place] as usize] += g;
    })
}

/// What an average divides by.
pub type Divisor<'a> = &'a (dyn Fn(usize) -> usize + Sync);

/// The sum of each window divided by `divisor(place)`.
///
/// # Panics
/// If `x` does not hold planes x height x width elements.
pub fn avg_pool2d<T: Element>(pool: &Pool2d, divisor: Divisor, x: &[T]) -> Vec<T> {
    let (input, output) = pool.sizes();
    assert_eq!(x.len(), pool.planes * input, "length of the input");
    let make = |_: &mut (), plane: usize, out: &mut [T]| {
        let x = &x[plane * input..][..input];
        for (place, out) in out.iter_mut().enumerate() {
            let sum: T = pool.inside(place).map(|i| x[i]).sum();
            *out = sum / T::from_f64(divisor(place) as f64);
        }
    };
    made(pool.planes * output, output, || (), make)
}

/// The gradient of [`avg_pool2d`] with respect to its input.
///
/// # Panics
/// If `gradient` does not hold planes x output elements.
pub fn avg_pool2d_gradient<T: Element>(pool: &Pool2d, divisor: Divisor, gradient: &[T]) -> Vec<T> {
    scatter(pool, gradient, |_, place, g, out| {
        let share = g / T::from_f64(divisor(place) as f64);
        pool.inside(place).for_each(|i| out[i] += share);
    })
}

fn scatter<T: Element>(
    pool: &Pool2d,
    gradient: &[T],
    add: impl Fn(usize, usize, T, &mut [T]) + Sync,
) -> Vec<T> {
    let (input, output) = pool.sizes();
    assert_eq!(gradient.len(), pool.planes * output, "length of the gradient");
    let make = |_: &mut (), plane: usize, out: &mut [T]| {
        let gradient = &gradient[plane * output..][..output];
        gradient.iter().enumerate().for_each(|(place, &g)| add(plane, place, g, out));
    };
    made(pool.planes * input, input, || (), make)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool() -> impl Strategy<Value = Pool2d> {
        ((0usize..4), (3usize..8, 3usize..8), 1usize..4, 1usize..4, 0usize..2).prop_map(
            |(planes, input, kernel, stride, padding)| {
                let window = Window::square(kernel, stride, padding.min(kernel / 2));
                Pool2d { planes, input, output: window.places(input).unwrap(), window }
            },
        )
    }

    /// The windows of the definition as padded rows and columns.
    fn naive_windows(pool: &Pool2d) -> Vec<Vec<usize>> {
        let w = pool.window;
        (0..pool.output.0 * pool.output.1)
            .map(|place| {
                let (top, left) = (place / pool.output.1 * w.stride.0, place % pool.output.1 * w.stride.1);
                let mut inside = Vec::new();
                for y in top..top + w.kernel.0 {
                    for x in left..left + w.kernel.1 {
                        let (y, x) = (y as i64 - w.padding.0 as i64, x as i64 - w.padding.1 as i64);
                        if (0..pool.input.0 as i64).contains(&y) && (0..pool.input.1 as i64).contains(&x) {
                            inside.push(y as usize * pool.input.1 + x as usize);
                        }
                    }
                }
                inside
            })
            .collect()
    }

    proptest! {
        #[test]
        fn max_pool_takes_the_first_of_the_largest(pool in pool(), levels in 1u32..5) {
            let (input, output) = pool.sizes();
            let x: Vec<f64> = (0..pool.planes * input).map(|i| f64::from((i as u32).wrapping_mul(2654435761) >> 16 & 0xff) * f64::from(levels) / 256.0).map(f64::floor).collect();
            let (values, indices) = max_pool2d(&pool, &x);
            let windows = naive_windows(&pool);
            for (k, (&value, &index)) in values.iter().zip(&indices).enumerate() {
                let plane = &x[k / output * input..][..input];
                let expected = windows[k % output].iter().copied().fold(None, |best: Option<usize>, i| match best {
                    Some(b) if plane[b] >= plane[i] => Some(b),
                    _ => Some(i),
                }).unwrap();
                prop_assert_eq!((index as usize, value), (expected, plane[expected]));
            }
            let ones = vec![1.0; values.len()];
            let gradient = max_pool2d_gradient(&pool, &ones, &indices);
            prop_assert_eq!(gradient.iter().sum::<f64>(), values.len() as f64);
        }

        #[test]
        fn max_pool_takes_what_the_definition_takes_among_ties_infinities_and_nans(pool in pool(), kinds in proptest::collection::vec(0usize..5, 200), past in 0usize..2) {
            let (w, (oh, ow)) = (pool.window, pool.output);
            let starts_inside = |size: usize, places: usize| places * w.stride.0 < size + w.padding.0;
            let more = usize::from(past == 1 && starts_inside(pool.input.0, oh) && starts_inside(pool.input.1, ow));
            let pool = Pool2d { output: (oh + more, ow + more), ..pool };
            let (input, output) = pool.sizes();
            let values = [f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::NAN];
            let x: Vec<f64> = (0..pool.planes * input).map(|i| values[kinds[i * 7 % kinds.len()]]).collect();
            let (largest, indices) = max_pool2d(&pool, &x);
            for k in 0..largest.len() {
                let plane = &x[k / output * input..][..input];
                let (value, index) = first_maximum(pool.inside(k % output).map(|i| (plane[i], i as u32)));
                prop_assert_eq!((largest[k].to_bits(), indices[k]), (value.to_bits(), index));
            }
        }

        #[test]
        fn average_pool_and_its_gradient_equal_their_definition(pool in pool()) {
            let (input, output) = pool.sizes();
            let area = pool.window.kernel.0 * pool.window.kernel.1;
            let divisor = |_: usize| area;
            let x: Vec<f64> = (0..pool.planes * input).map(|i| (i as f64 * 0.7).sin()).collect();
            let g: Vec<f64> = (0..pool.planes * output).map(|i| (i as f64 * 0.3).cos()).collect();
            let windows = naive_windows(&pool);
            let mut dx = vec![0.0; x.len()];
            for (k, &value) in avg_pool2d(&pool, &divisor, &x).iter().enumerate() {
                let (plane, window) = (k / output * input, &windows[k % output]);
                let expected = window.iter().map(|i| x[plane + i]).sum::<f64>() / area as f64;
                prop_assert!((value - expected).abs() < 1e-14);
                window.iter().for_each(|i| dx[plane + i] += g[k] / area as f64);
            }
            for (a, b) in avg_pool2d_gradient(&pool, &divisor, &g).iter().zip(&dx) {
                prop_assert!((a - b).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn a_nan_in_the_window_is_not_hidden() {
        let pool = Pool2d { planes: 1, input: (2, 2), output: (1, 1), window: Window::square(2, 2, 0) };
        assert!(max_pool2d(&pool, &[1.0, f32::NAN, 3.0, 2.0]).0[0].is_nan());
    }
}
