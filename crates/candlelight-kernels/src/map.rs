use crate::room::made;
use crate::simd::vectorized;

/// Elements below which a second thread costs more than it brings.
const PARALLEL_FROM: usize = 1 << 14;
/// Elements that one task works on: a few pages, so that tasks are neither tiny nor few.
const CHUNK: usize = 1 << 13;

/// Applies `f` to every element, in parallel for large slices.
pub fn map<T: Copy + Sync, U: Copy + Default + Send>(x: &[T], f: impl Fn(T) -> U + Sync) -> Vec<U> {
    if x.len() < PARALLEL_FROM {
        return x.iter().map(|&v| f(v)).collect();
    }
    let make = |_: &mut (), chunk: usize, out: &mut [U]| {
        let x = &x[chunk * CHUNK..][..out.len()];
        vectorized(
            #[inline(always)]
            || {
                for (o, &v) in out.iter_mut().zip(x) {
                    *o = f(v);
                }
            },
        );
    };
    made(x.len(), CHUNK, || (), make)
}

/// Applies `f` to every pair of elements, in parallel for large slices.
///
/// # Panics
/// If the slices differ in length.
pub fn zip_map<T: Copy + Sync, U: Copy + Default + Send>(
    a: &[T],
    b: &[T],
    f: impl Fn(T, T) -> U + Sync,
) -> Vec<U> {
    assert_eq!(a.len(), b.len(), "both slices must have one length");
    if a.len() < PARALLEL_FROM {
        return a.iter().zip(b).map(|(&x, &y)| f(x, y)).collect();
    }
    let make = |_: &mut (), chunk: usize, out: &mut [U]| {
        let (a, b) = (&a[chunk * CHUNK..][..out.len()], &b[chunk * CHUNK..][..out.len()]);
        vectorized(
            #[inline(always)]
            || {
                for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
                    *o = f(x, y);
                }
            },
        );
    };
    made(a.len(), CHUNK, || (), make)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_slices_give_what_small_ones_give() {
        let x: Vec<f32> = (0..PARALLEL_FROM + 7).map(|i| i as f32).collect();
        assert!(map(&x, |v| v * 2.0).iter().zip(&x).all(|(y, x)| *y == x * 2.0));
        assert!(zip_map(&x, &x, |a, b| a - b).iter().all(|&d| d == 0.0));
    }
}
