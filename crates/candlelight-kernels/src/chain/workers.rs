//! Who works on a few images: one thread, or all of them.

use crate::even::even_blocks;
use crate::room::Scratch;
use crate::{Element, Threads};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a product below which threads share it rather than have their own.
const LEAST_ROWS: usize = 64;

/// Those who work, and the room of the one who works alone.
pub(super) struct Workers<'a, T> {
    pub threads: Threads,
    pub room: &'a mut Vec<T>,
}

impl<T: Element> Workers<'_, T> {
    /// Does `work` with every item, in a thread's own room.
    pub fn for_each<I: Send>(
        self,
        items: impl Iterator<Item = I>,
        work: impl Fn(&mut Vec<T>, I) + Send + Sync,
    ) {
        match self.threads {
            Threads::One => items.for_each(|item| work(self.room, item)),
            Threads::All => {
                let items: Vec<I> = items.collect();
                items.into_par_iter().for_each_init(Scratch::take, |room, item| work(room, item));
            }
        }
    }
}

/// `rows` cut into blocks of about `block`, or fewer where there are threads for them, and who works on one: all, if it is
/// the only one.
pub(super) fn blocks(
    threads: Threads,
    rows: usize,
    block: usize,
) -> (impl Iterator<Item = Range<usize>>, Threads) {
    let block = match threads {
        Threads::One => block,
        Threads::All => block.min(rows.div_ceil(rayon::current_num_threads()).max(LEAST_ROWS)),
    };
    let blocks: Vec<_> = even_blocks(rows, block).collect();
    let inside = if blocks.len() == 1 { threads } else { Threads::One };
    (blocks.into_iter(), inside)
}

/// What is written beside the numbers of a product, block by block; what nobody asks for is empty.
pub(super) struct Beside<'a, T> {
    /// Whether a sum is positive.
    pub marks: &'a mut [u8],
    /// What a convolution gives before something is added to it.
    pub own: &'a mut [T],
    /// What comes of it before it is rectified.
    pub sum: &'a mut [T],
}

impl<T> Default for Beside<'_, T> {
    fn default() -> Self {
        Self { marks: &mut [], own: &mut [], sum: &mut [] }
    }
}

impl<'a, T> Beside<'a, T> {
    /// The next so many of each.
    pub fn split_off(&mut self, len: usize) -> Beside<'a, T> {
        Beside {
            marks: split_off(&mut self.marks, len),
            own: split_off(&mut self.own, len),
            sum: split_off(&mut self.sum, len),
        }
    }
}

/// The next `len` of `rest`, or what there is.
pub(super) fn split_off<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(rest.len());
    rest.split_off_mut(..len).unwrap_or_default()
}
