//! Elementwise work on a block of a product while it is in the cache.

use crate::Element;
use crate::simd::vectorized;

/// For each a mark whether it is positive, as far as there is room for marks.
pub(super) fn mark<T: Element>(x: &[T], marks: &mut [u8]) {
    vectorized(
        #[inline(always)]
        || marks.iter_mut().zip(x).for_each(|(mark, &x)| *mark = u8::from(x > T::ZERO)),
    );
}

/// max(x, 0).
pub(super) fn rectify<T: Element>(x: &mut [T]) {
    vectorized(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = if *x <= T::ZERO { T::ZERO } else { *x }),
    );
}

/// Zero where there is no mark.
pub(super) fn keep_marked<T: Element>(g: &mut [T], marks: &[u8]) {
    vectorized(
        #[inline(always)]
        || {
            for (g, &mark) in g.iter_mut().zip(marks) {
                *g = if mark == 0 { T::ZERO } else { *g };
            }
        },
    );
}

/// sum + part, in place.
pub(super) fn add<T: Element>(sum: &mut [T], part: &[T]) {
    vectorized(
        #[inline(always)]
        || sum.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part),
    );
}
