//! Products in tiles: single precision on a unit that multiplies bfloat16 (Intel's AMX), where the processor has one.
//!
//! A number in single precision is exactly the sum of three in bfloat16: the nearest one, the one nearest to the rest, and
//! what is left then. Of the nine products of two such sums six are added up, in single precision; the three smallest are
//! below its rounding. What comes out is nearer to double precision than the same product in single precision, and comes
//! twice as fast, because the unit multiplies sixteen times as much in a cycle. (The idea is that of "bfloat16x9" and
//! "3xTF32" on cards: [Henry, Tang and Heinecke 2019](https://arxiv.org/abs/1904.06376).)
//!
//! An element of the product is added up in the same order whatever lies beside it. Infinities, and numbers that round to
//! one, come out as NaN; parts below 1e-38 count as 0.

mod block;
mod pack;
mod split;
#[cfg(test)]
mod tests;
mod turn;
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux", not(miri))), path = "absent.rs")]
mod unit;

use crate::Threads;
use crate::even::even_blocks;
use crate::gemm::{Matrix, Onto};
use crate::simd::vectorized;
use block::{Block, SIDE, Step};
use pack::{Lines, Packed, Side};
use rayon::prelude::*;
pub(crate) use split::Split;
use std::cell::Cell;
use std::ops::Range;
pub(crate) use unit::Unit;

/// Inner size from which on splitting the numbers pays.
const LEAST_INNER: usize = 256;
/// Inner elements of what is split at a time.
const INNER: usize = 768;
/// Rows and columns of what is split at a time: the rows stay in the cache of a processor.
const ROWS: usize = 160;
const COLUMNS: usize = 1536;

/// What multiplies blocks of split numbers.
trait Multiply {
    /// Writes the product of 32 rows and 32 columns. What lies at the start of `ahead` is needed soon.
    fn multiply(&self, place: Place, rows: [&[Step]; 2], columns: [&[Step]; 2], ahead: &[Step]);
}

/// Where a product is written: rows of `columns` elements, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
}

// SAFETY: threads that share a place cut it into parts that do not overlap, and use their own.
unsafe impl Sync for Place {}

impl Place {
    /// # Safety
    /// All these elements may be written, as long as the place is used and by nobody else, and were written before if they
    /// are added to.
    pub(crate) unsafe fn new((start, stride): (*mut f32, usize), (rows, columns): (usize, usize)) -> Self {
        assert!(columns <= stride, "rows do not overlap");
        Self { start, stride, rows, columns }
    }

    /// A block, which nobody else uses as long as this place is used.
    fn of(block: &mut Block) -> Self {
        Self { start: block.0.as_mut_ptr().cast(), stride: SIDE, rows: SIDE, columns: SIDE }
    }

    /// The part of these rows and columns.
    fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "a part of the place");
        let start = self.start.wrapping_add(rows.start * self.stride + columns.start);
        Self { start, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Whether a block fills it.
    fn is_whole(self) -> bool {
        (self.rows, self.columns) == (SIDE, SIDE)
    }

    /// Writes a block, or as much of it as there is place for.
    #[inline(always)]
    fn take(self, onto: Onto, block: &Block) {
        for (row, sums) in block.0[..self.rows].iter().enumerate() {
            let start = self.start.wrapping_add(row * self.stride);
            match onto {
                // SAFETY: a row of the place, which nobody else has, and another of the block.
                Onto::Nothing => unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), start, self.columns) },
                Onto::Sum => {
                    // SAFETY: a row of the place, which was written before, as was promised when it was made.
                    let out = unsafe { std::slice::from_raw_parts_mut(start, self.columns) };
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                }
            }
        }
    }
}

impl Unit {
    /// The processor's unit, if it has one and it pays for products of this inner size.
    pub(crate) fn for_inner(inner: usize) -> Option<Self> {
        if inner < LEAST_INNER { None } else { Self::here() }
    }

    /// a · b, written onto `place`.
    pub(crate) fn product(
        self,
        onto: Onto,
        place: Place,
        (a, b): (Matrix<f32>, impl Right),
        threads: Threads,
    ) {
        if threads == Threads::One {
            return add_up(&self.configured(), onto, place, a, b);
        }
        let (is_tall, lines) = (a.rows >= b.count(), a.rows.max(b.count()));
        let shares: Vec<_> = even(lines, lines.div_ceil(rayon::current_num_threads())).collect();
        shares.into_par_iter().for_each(|part| {
            let (rows, columns) = if is_tall { (part, 0..b.count()) } else { (0..a.rows, part) };
            let place = place.part(rows.clone(), columns.clone());
            add_up(&self.configured(), onto, place, a.part(rows, 0..a.columns), b.part(columns));
        });
    }
}

/// The right factor of a product.
pub(crate) trait Right: Copy + Sync {
    /// How many columns it has.
    fn count(&self) -> usize;
    /// Some columns.
    fn part(self, columns: Range<usize>) -> Self;
    /// Some columns of a block of inner elements, split; those that are not yet are split into `room`.
    fn lines<'a>(
        &'a self,
        block: (usize, Range<usize>),
        columns: Range<usize>,
        room: &'a mut Packed,
    ) -> Lines<'a>;
}

impl Right for Matrix<'_, f32> {
    fn count(&self) -> usize {
        self.columns
    }

    fn part(self, columns: Range<usize>) -> Self {
        Matrix::part(self, 0..self.rows, columns)
    }

    fn lines<'a>(
        &'a self,
        (_, inner): (usize, Range<usize>),
        columns: Range<usize>,
        room: &'a mut Packed,
    ) -> Lines<'a> {
        room.fill(Side::Right, Matrix::part(*self, inner, columns).transposed());
        room.lines()
    }
}

/// What a thread splits numbers into.
#[derive(Default)]
struct Room {
    rows: Packed,
    columns: Packed,
    block: Box<Block>,
}

thread_local! {
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

/// a · b, on this thread.
fn add_up(unit: &impl Multiply, onto: Onto, place: Place, a: Matrix<f32>, b: impl Right) {
    let mut room = ROOM.take().unwrap_or_default();
    let Room { rows: left, columns: right, block } = &mut room;
    for (index, inner) in even(a.columns, INNER).enumerate() {
        let onto = if index == 0 { onto } else { Onto::Sum };
        for columns in even(b.count(), COLUMNS) {
            let right = b.lines((index, inner.clone()), columns.clone(), right);
            for rows in even(a.rows, ROWS) {
                left.fill(Side::Left, a.part(rows.clone(), inner.clone()));
                let place = place.part(rows, columns.clone());
                multiply_blocks(unit, onto, place, (left.lines(), right), block);
            }
        }
    }
    ROOM.set(Some(room));
}

/// The product of the rows and columns that were split.
fn multiply_blocks(
    unit: &impl Multiply,
    onto: Onto,
    place: Place,
    (rows, columns): (Lines, Lines),
    block: &mut Block,
) {
    for (across, right) in even(place.columns, SIDE).zip(columns.pairs()) {
        for (down, left) in even(place.rows, SIDE).zip(rows.pairs()) {
            let ahead = columns.from(across.start / SIDE + 1, down.start / SIDE);
            let part = place.part(down, across.clone());
            if onto == Onto::Nothing && part.is_whole() {
                unit.multiply(part, left, right, ahead);
                continue;
            }
            // A sum that is large would round every step of what is added to it: it gets the finished product.
            unit.multiply(Place::of(block), left, right, ahead);
            vectorized(
                #[inline(always)]
                || part.take(onto, block),
            );
        }
    }
}

/// `0..len` in parts of about `size`, whole blocks but for the last: few rows over would cost as much as many.
fn even(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = even_blocks(len.div_ceil(SIDE), size.div_ceil(SIDE).max(1));
    blocks.map(move |blocks| blocks.start * SIDE..(blocks.end * SIDE).min(len))
}
