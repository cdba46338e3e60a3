//! Work cut into even parts.

use std::ops::Range;

/// `rows` cut into blocks of about `block`, all of one size or one less: a few rows over would cost as much as many, for
/// each block brings its weights together again.
pub(crate) fn even_blocks(rows: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let count = ((rows + block / 2) / block).clamp(1, rows.max(1));
    let start = move |k: usize| k * rows / count;
    (0..count).map(move |k| start(k)..start(k + 1)).filter(|block| !block.is_empty())
}

/// How many of `count` a worker gets at a time: `most` or fewer, so that all workers have as many turns.
pub fn even_share(count: usize, workers: usize, most: usize) -> usize {
    let turns = count.div_ceil(workers * most).max(1);
    count.div_ceil(turns * workers).max(1)
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
