//! Numbers split into three and laid out as tiles.

use super::block::{INNER, LINES, PAIRS, SIDE, Step};
use super::turn::turned;
use crate::gemm::Matrix;
use crate::simd::vectorized;
use std::ops::Range;

/// Which factor of a product lines are.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// Rows of the left one.
    Left,
    /// Columns of the right one.
    Right,
}

/// Lines, sixteen by sixteen: the steps along the inner axis of the first sixteen, then of the next. There is an even
/// number of sixteens, and what is missing is zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    steps: Vec<Step>,
    /// Steps of sixteen lines.
    each: usize,
    sixteens: usize,
}

impl Packed {
    /// Splits the rows of `lines`.
    pub fn fill(&mut self, side: Side, lines: Matrix<f32>) {
        self.each = lines.columns.div_ceil(INNER);
        self.sixteens = lines.rows.div_ceil(SIDE) * 2;
        let count = self.each * self.sixteens;
        if self.steps.len() < count {
            self.steps.resize(count, Step::ZERO);
        }
        let (each, sixteens, whole) = (self.each, self.sixteens, lines.column_stride == 1);
        vectorized(
            #[inline(always)]
            || {
                for k in 0..count {
                    let (sixteen, step) =
                        if whole { (k / each, k % each) } else { (k % sixteens, k / sixteens) };
                    let rows = sixteen * LINES..(sixteen + 1) * LINES;
                    let columns = step * INNER..(step + 1) * INNER;
                    arrange(
                        side,
                        lines.part(within(rows, lines.rows), within(columns, lines.columns)),
                        &mut self.steps[sixteen * each + step],
                    );
                }
            },
        );
    }

    /// The lines.
    pub fn lines(&self) -> Lines<'_> {
        Lines { steps: &self.steps[..self.each * self.sixteens], each: self.each }
    }

    /// Writes the numbers of `count` right lines: the first elements of all, the second, and so on.
    pub fn whole(&self, count: usize, out: &mut [f32]) {
        vectorized(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(count.max(1)).enumerate() {
                    let (step, pair) = (row / INNER, row % INNER / 2);
                    for (sixteen, out) in out.chunks_mut(LINES).enumerate() {
                        let Step(parts) = &self.steps[sixteen * self.each + step];
                        let parts = parts.each_ref().map(|part| &part.as_chunks().0[pair]);
                        out.copy_from_slice(&whole(parts, row % 2 == 1)[..out.len()]);
                    }
                }
            },
        );
    }
}

/// Lines that were split.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    steps: &'a [Step],
    each: usize,
}

impl<'a> Lines<'a> {
    /// Some of them, whole 32 but for the last.
    pub fn part(self, lines: Range<usize>) -> Self {
        let (start, end) = (lines.start / SIDE * 2, lines.end.div_ceil(SIDE) * 2);
        Self { steps: &self.steps[start * self.each..end * self.each], ..self }
    }

    /// The steps of the 32 lines at this index and of those behind, without so many quarters of theirs.
    pub fn from(self, pair: usize, quarters: usize) -> &'a [Step] {
        self.steps.get(pair * 2 * self.each + quarters * self.each / 2..).unwrap_or_default()
    }

    /// The steps of every 32 lines.
    pub fn pairs(self) -> impl Iterator<Item = [&'a [Step]; 2]> {
        self.steps.chunks_exact(2 * self.each).map(move |pair| pair.split_at(self.each).into())
    }
}

/// As much of a range as is below `len`.
fn within(range: Range<usize>, len: usize) -> Range<usize> {
    range.start.min(len)..range.end.min(len)
}

/// Splits at most sixteen rows of at most 32 columns, as the unit reads them.
#[inline(always)]
fn arrange(side: Side, lines: Matrix<f32>, step: &mut Step) {
    match (side, lines.column_stride == 1) {
        (Side::Left, true) => by_line(lines, step),
        (Side::Left, false) => by_pair(lines, step, |line, pair| line * PAIRS + pair),
        (Side::Right, true) => by_square(lines, step),
        (Side::Right, false) => by_pair(lines, step, |line, pair| pair * LINES + line),
    }
}

/// Lines that lie side by side, whose pairs lie side by side then.
#[inline(always)]
fn by_line(lines: Matrix<f32>, step: &mut Step) {
    for line in 0..LINES {
        let values: [f32; INNER] = row_of(lines, line);
        for pair in 0..PAIRS {
            split([values[2 * pair], values[2 * pair + 1]], step, line * PAIRS + pair);
        }
    }
}

/// Lines that lie side by side, of which each pair lies side by side for all of them then.
#[inline(always)]
fn by_square(lines: Matrix<f32>, step: &mut Step) {
    for half in 0..2 {
        let columns = within(half * LINES..(half + 1) * LINES, lines.columns);
        let square = lines.part(0..lines.rows, columns);
        let inner = turned(std::array::from_fn(|line| row_of(square, line)));
        for pair in 0..LINES / 2 {
            let (even, odd) = (inner[2 * pair], inner[2 * pair + 1]);
            for line in 0..LINES {
                split([even[line], odd[line]], step, (half * LINES / 2 + pair) * LINES + line);
            }
        }
    }
}

/// Lines whose first elements lie side by side.
#[inline(always)]
fn by_pair(lines: Matrix<f32>, step: &mut Step, at: impl Fn(usize, usize) -> usize) {
    let inner = lines.transposed();
    for pair in 0..PAIRS {
        let (even, odd): ([f32; LINES], [f32; LINES]) =
            (row_of(inner, 2 * pair), row_of(inner, 2 * pair + 1));
        for line in 0..LINES {
            split([even[line], odd[line]], step, at(line, pair));
        }
    }
}

/// A row whose elements lie side by side, and zeros.
#[inline(always)]
fn row_of<const N: usize>(matrix: Matrix<f32>, row: usize) -> [f32; N] {
    match row < matrix.rows {
        true => padded(&matrix.data[row * matrix.row_stride..], matrix.columns),
        false => [0.0; N],
    }
}

/// The first `len` values, at most `N`, and zeros.
#[inline(always)]
fn padded<const N: usize>(values: &[f32], len: usize) -> [f32; N] {
    match values.first_chunk() {
        Some(values) if len == N => *values,
        _ => {
            let mut out = [0.0; N];
            out[..len].copy_from_slice(&values[..len]);
            out
        }
    }
}

/// Each of two numbers as a sum of three in bfloat16.
#[inline(always)]
fn split(pair: [f32; 2], Step([large, middle, small]): &mut Step, at: usize) {
    let nearest = [rounded(pair[0]), rounded(pair[1])];
    let rest = [pair[0] - nearest[0], pair[1] - nearest[1]];
    let next = [rounded(rest[0]), rounded(rest[1])];
    large[at] = joined(nearest);
    middle[at] = joined(next);
    small[at] = joined([rest[0] - next[0], rest[1] - next[1]]);
}

/// The nearest number whose lower half is 0: one in bfloat16.
#[inline(always)]
fn rounded(x: f32) -> f32 {
    f32::from_bits(x.to_bits().wrapping_add(1 << 15) & 0xffff_0000)
}

/// The upper halves of two numbers, the first in the lower half.
#[inline(always)]
fn joined([first, second]: [f32; 2]) -> u32 {
    first.to_bits() >> 16 | second.to_bits() & 0xffff_0000
}

/// The sums of the parts of the first number of every pair, or of the second.
#[inline(always)]
fn whole(parts: [&[u32; LINES]; 3], is_second: bool) -> [f32; LINES] {
    let number = |pair: u32| f32::from_bits(if is_second { pair & 0xffff_0000 } else { pair << 16 });
    let [large, middle, small] = parts.map(|part| part.map(number));
    std::array::from_fn(|line| large[line] + (middle[line] + small[line]))
}
