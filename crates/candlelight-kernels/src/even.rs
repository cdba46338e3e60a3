//! Work cut into even parts.

use std::ops::Range;

/// `rows` cut into blocks of about `block`, all of one size or one less: a few rows over would cost as much as many, for
/// each block brings its weights together again.
pub(crate) fn even_blocks(rows: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let count = ((rows + block / 2) / block).clamp(1, rows.max(1));
    let start = move |k: usize| k * rows / count;
    (0..count).map(move |k| start(k)..start(k + 1)).filter(|block| !block.is_empty())
}

/// `count` things in parts of `most` or fewer, all of one size or one less, so that all workers have as many turns.
pub fn even_shares(count: usize, workers: usize, most: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let parts = whole_turns(count, workers, most).min(count);
    (0..parts).map(move |k| k * count / parts..(k + 1) * count / parts)
}

/// How many of `count` a worker gets at a time: `most` or fewer, so that all workers have as many turns.
pub(crate) fn even_share(count: usize, workers: usize, most: usize) -> usize {
    count.div_ceil(whole_turns(count, workers, most)).max(1)
}

/// How many parts of `most` or fewer of `count` give every worker as many.
fn whole_turns(count: usize, workers: usize, most: usize) -> usize {
    count.div_ceil(workers * most).max(1) * workers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_worker_waits_for_another() {
        for (rows, workers, expected) in [(50, 2, 5), (12, 2, 3), (10, 2, 5), (3, 2, 2), (1, 2, 1), (0, 4, 1)]
        {
            assert_eq!(even_share(rows, workers, 5), expected, "{rows} rows, {workers} workers");
        }
    }

    proptest! {
        #[test]
        fn blocks_hold_every_row_once_and_are_of_one_size(rows in 0usize..3000, block in 1usize..300) {
            let blocks: Vec<_> = even_blocks(rows, block).collect();
            prop_assert!(blocks.iter().flat_map(Clone::clone).eq(0..rows));
            let (least, most) = (blocks.iter().map(Range::len).min(), blocks.iter().map(Range::len).max());
            prop_assert!(most <= Some(least.unwrap_or(0) + 1) && most <= Some(block + block / 2 + 1));
        }

        #[test]
        fn shares_hold_everything_once_and_leave_no_worker_waiting(count in 0usize..300, workers in 1usize..9, most in 1usize..9) {
            let shares: Vec<_> = even_shares(count, workers, most).collect();
            prop_assert!(shares.iter().flat_map(Clone::clone).eq(0..count));
            let (least, largest) = (shares.iter().map(Range::len).min(), shares.iter().map(Range::len).max());
            prop_assert!(largest <= Some(most) && largest <= Some(least.unwrap_or(0) + 1));
            prop_assert!(shares.len() == count || shares.len().is_multiple_of(workers));
        }
    }
}
