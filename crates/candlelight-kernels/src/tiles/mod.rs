//! Products in tiles: single precision on a unit that multiplies whole numbers of eight bits (Intel's AMX), where the
//! processor has one.
//!
//! The numbers of a row of the left factor, or of a column of the right one, are rounded to multiples of 2⁻²³ of the largest
//! of them: whole numbers of three digits in base 256. Of the nine products of two such numbers' digits eight are added up,
//! without any rounding; the ninth is below that of the numbers. (The idea is Ozaki's:
//! [Ootomo, Ozaki and Yokota 2024](https://arxiv.org/abs/2306.11975).) This is done for 384 inner elements at a time, and
//! sizes are [balanced](balance) between the factors first.
//!
//! What comes out is as near to double precision as the same product in single precision, relative to the sizes of row and
//! column, and comes twice as fast. A number much smaller than others of its row that counts as much as them is rounded
//! coarser than it would be alone.
//!
//! An element of the product is the same whatever lies beside it. Where a row or a column has an infinity or what is no
//! number, the product is no number.

mod balance;
mod block;
mod digits;
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
use block::{LINES, Step, Sums};
use digits::sum_of_fractions;
use pack::{Packed, Side};
use rayon::prelude::*;
use split::Part;
pub use split::Split;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use unit::Unit;

/// Inner size from which on digits pay.
const LEAST_INNER: usize = 256;
/// Inner elements that products of digits are added up for in whole numbers, about: as many of sixteen rows and sixteen columns
/// fit into a processor's first cache. The sums of 512, the most that one part may have, stay below 2³¹.
const INNER_TOGETHER: usize = 384;
/// So many of them, and so many rows, are made digits at a time: they fit into the second cache.
const PARTS: usize = 2;
const ROWS: usize = 160;

/// What multiplies digits.
trait Multiply {
    /// The sums of the products of sixteen rows and sixteen columns. What lies at the start of `ahead` is needed soon.
    fn multiply(&self, rows: &[Step], columns: &[Step], sums: &mut Sums, ahead: &[Step]);
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

    /// The part of these rows and columns.
    fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "a part of the place");
        let start = self.start.wrapping_add(rows.start * self.stride + columns.start);
        Self { start, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Writes what sums are for rows and columns of these scales, as much of it as there is place for.
    #[inline(always)]
    fn take(self, onto: Onto, Sums(sums): &Sums, (rows, columns): (&[f32; LINES], &[f32; LINES])) {
        let [first, second, third, fourth] = sums;
        for (row, scale) in rows.iter().enumerate().take(self.rows) {
            let number = |k: usize| {
                let sums = [first[row][k], second[row][k], third[row][k], fourth[row][k]];
                sum_of_fractions(sums) * scale * columns[k]
            };
            let start = self.start.wrapping_add(row * self.stride);
            match onto {
                Onto::Nothing => {
                    // SAFETY: a row of the place, which nobody else has.
                    let out = unsafe { std::slice::from_raw_parts_mut(start.cast(), self.columns) };
                    for_each(out, |k, out: &mut MaybeUninit<f32>| _ = out.write(number(k)));
                }
                Onto::Sum => {
                    // SAFETY: the same, which was written before, as was promised when the place was made.
                    let out = unsafe { std::slice::from_raw_parts_mut(start, self.columns) };
                    for_each(out, |k, out| *out += number(k));
                }
            }
        }
    }
}

/// Calls `f` with every index and element: of a whole row of a tile in one loop of known length.
#[inline(always)]
fn for_each<T>(out: &mut [T], f: impl Fn(usize, &mut T)) {
    match <&mut [T; LINES]>::try_from(&mut *out) {
        Ok(out) => out.iter_mut().enumerate().for_each(|(k, out)| f(k, out)),
        Err(_) => out.iter_mut().enumerate().for_each(|(k, out)| f(k, out)),
    }
}

impl Unit {
    /// The processor's unit, if it has one and it pays for products of this inner size.
    fn for_inner(inner: usize) -> Option<Self> {
        if inner < LEAST_INNER { None } else { Self::here() }
    }
}

impl Split {
    /// `a` times it, written onto `place`.
    pub(crate) fn product(&self, onto: Onto, place: Place, a: Matrix<f32>, threads: Threads) {
        let multiply =
            |place, a, columns| add_up(&self.unit().configured(), onto, place, a, (self.parts(), columns));
        let columns = self.size().1;
        if threads == Threads::One {
            return multiply(place, a, 0..columns);
        }
        let (is_tall, lines) = (a.rows >= columns, a.rows.max(columns));
        let shares: Vec<_> = even(lines, lines.div_ceil(rayon::current_num_threads()), LINES).collect();
        shares.into_par_iter().for_each(|part| {
            let (rows, columns) = if is_tall { (part, 0..columns) } else { (0..a.rows, part) };
            multiply(place.part(rows.clone(), columns.clone()), a.part(rows, 0..a.columns), columns);
        });
    }
}

/// What a thread makes digits in, and adds up their products.
#[derive(Default)]
struct Room {
    rows: [Packed; PARTS],
    sums: Box<Sums>,
}

thread_local! {
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

/// a · b, of which `place` has these columns, on this thread.
fn add_up(
    unit: &impl Multiply,
    onto: Onto,
    place: Place,
    a: Matrix<f32>,
    (b, columns): (&[Part], Range<usize>),
) {
    let mut room = ROOM.take().unwrap_or_default();
    for rows in even(a.rows, ROWS, LINES) {
        let place = place.part(rows.clone(), 0..place.columns);
        for (index, parts) in b.chunks(PARTS).enumerate() {
            for (packed, Part { inner, balance, .. }) in room.rows.iter_mut().zip(parts) {
                packed.fill(Side::Left, a.part(rows.clone(), inner.clone()), balance.left());
            }
            let onto = if index == 0 { onto } else { Onto::Sum };
            multiply_blocks(unit, onto, place, (parts, columns.clone()), &mut room);
        }
    }
    ROOM.set(Some(room));
}

/// The product of rows that are digits and parts of columns.
fn multiply_blocks(
    unit: &impl Multiply,
    onto: Onto,
    place: Place,
    (parts, columns): (&[Part], Range<usize>),
    Room { rows, sums }: &mut Room,
) {
    for (sixteen, across) in sixteens(columns.len()).enumerate() {
        for (index, (rows, part)) in rows.iter().zip(parts).enumerate() {
            let onto = if index == 0 { onto } else { Onto::Sum };
            let right = part.packed.sixteen(columns.start / LINES + sixteen);
            for (turn, (down, left)) in sixteens(place.rows).zip(rows.sixteens()).enumerate() {
                let ahead = right.behind.get(turn..).unwrap_or_default();
                unit.multiply(left.steps, right.steps, sums, ahead);
                let place = place.part(down, across.clone());
                vectorized(
                    #[inline(always)]
                    || place.take(onto, sums, (left.scales, right.scales)),
                );
            }
        }
    }
}

/// `0..len` in sixteens.
fn sixteens(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(LINES).map(move |start| start..(start + LINES).min(len))
}

/// `0..len` in parts of about `size`, whole units but for the last: few lines over would cost as much as many.
fn even(len: usize, size: usize, unit: usize) -> impl Iterator<Item = Range<usize>> {
    let units = even_blocks(len.div_ceil(unit), size.div_ceil(unit).max(1));
    units.map(move |units| units.start * unit..(units.end * unit).min(len))
}
