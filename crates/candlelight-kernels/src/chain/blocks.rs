//! Blocks of a product, and elementwise work on one while it is in the cache.

use crate::Element;
use crate::simd::vectorized;
use std::ops::Range;

/// `rows` cut into blocks of about `block`, all of one size or one less: a few rows over would cost as much as many, for
/// each block brings its weights together again.
pub(super) fn even_blocks(rows: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let count = ((rows + block / 2) / block).clamp(1, rows.max(1));
    let start = move |k: usize| k * rows / count;
    (0..count).map(move |k| start(k)..start(k + 1)).filter(|block| !block.is_empty())
}

/// Adds `bias` to every row.
pub(super) fn add_to_rows<T: Element>(rows: &mut [T], bias: &[T]) {
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(x, &bias)| *x += bias);
            }
        },
    );
}

/// For each a mark whether it is positive.
pub(super) fn mark<T: Element>(x: &[T], marks: &mut Vec<u8>) {
    vectorized(
        #[inline(always)]
        || marks.extend(x.iter().map(|&x| u8::from(x > T::ZERO))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_hold_every_row_once_and_are_of_one_size(rows in 0usize..3000, block in 1usize..300) {
            let blocks: Vec<_> = even_blocks(rows, block).collect();
            prop_assert!(blocks.iter().flat_map(Clone::clone).eq(0..rows));
            let (least, most) = (blocks.iter().map(Range::len).min(), blocks.iter().map(Range::len).max());
            prop_assert!(most <= Some(least.unwrap_or(0) + 1) && most <= Some(block + block / 2 + 1));
        }
    }
}
