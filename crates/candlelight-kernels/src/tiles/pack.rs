//! Numbers as digits, laid out as tiles.

use super::block::{FOUR, INNER, LINES, Step};
use super::digits::{Scale, fraction, size};
use super::turn::turned;
use crate::gemm::Matrix;
use crate::simd::vectorized;
use pulp::cast;
use std::ops::Range;

/// Which factor of a product lines are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Rows of the left one.
    Left,
    /// Columns of the right one.
    Right,
}

/// Lines, sixteen by sixteen: the steps along the inner axis of the first sixteen, then of the next. What is missing is
/// zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    steps: Vec<Step>,
    /// What the digits of each line are multiplied by.
    scales: Vec<[f32; LINES]>,
    /// Steps of sixteen lines.
    each: usize,
}

impl Packed {
    /// The rows of `lines`, whose columns are multiplied by `factors`, a whole step of them at a time.
    pub fn fill(&mut self, side: Side, lines: Matrix<f32>, factors: &[f32]) {
        self.each = lines.columns.div_ceil(INNER);
        let sixteens = lines.rows.div_ceil(LINES);
        self.scales.resize(sixteens, [0.0; LINES]);
        if self.steps.len() < self.each * sixteens {
            self.steps.resize(self.each * sixteens, Step::ZERO);
        }
        let steps = self.steps.chunks_exact_mut(self.each.max(1));
        vectorized(
            #[inline(always)]
            || {
                for (index, (steps, scales)) in steps.zip(&mut self.scales).enumerate() {
                    let rows = within(index * LINES..(index + 1) * LINES, lines.rows);
                    *scales = arrange(side, lines.part(rows, 0..lines.columns), factors, steps);
                }
            },
        );
    }

    /// Every sixteen lines.
    pub fn sixteens(&self) -> impl Iterator<Item = Sixteen<'_>> {
        (0..self.scales.len()).map(|index| self.sixteen(index))
    }

    /// Sixteen lines.
    pub fn sixteen(&self, index: usize) -> Sixteen<'_> {
        let (steps, behind) = self.steps[index * self.each..].split_at(self.each);
        Sixteen { steps, behind, scales: &self.scales[index] }
    }

    /// Writes the numbers of `count` right lines, multiplied by `factors`: the first elements of all, the second, and so on.
    pub fn whole(&self, count: usize, factors: &[f32], out: &mut [f32]) {
        for (inner, (row, factor)) in out.chunks_exact_mut(count.max(1)).zip(factors).enumerate() {
            let (step, four, place) = (inner / INNER, inner % INNER / FOUR, inner % FOUR);
            for (index, out) in row.chunks_mut(LINES).enumerate() {
                let Step(tiles) = &self.steps[index * self.each + step];
                for (line, (out, scale)) in out.iter_mut().zip(&self.scales[index]).enumerate() {
                    let digits = tiles.each_ref().map(|tile| tile[four][FOUR * line + place]);
                    *out = fraction(digits) * scale * factor;
                }
            }
        }
    }
}

/// Sixteen lines as digits.
#[derive(Clone, Copy)]
pub(super) struct Sixteen<'a> {
    pub steps: &'a [Step],
    /// The steps of those behind.
    pub behind: &'a [Step],
    /// What the digits of each line are multiplied by.
    pub scales: &'a [f32; LINES],
}

/// As much of a range as is below `len`.
fn within(range: Range<usize>, len: usize) -> Range<usize> {
    range.start.min(len)..range.end.min(len)
}

/// At most sixteen lines as the unit reads them. Gives what their digits are multiplied by.
#[inline(always)]
fn arrange(side: Side, lines: Matrix<f32>, factors: &[f32], steps: &mut [Step]) -> [f32; LINES] {
    let mut sizes = [0; LINES];
    largest(lines, factors, &mut sizes[..lines.rows]);
    let scales = sizes.map(Scale::of);
    for (index, (step, factors)) in steps.iter_mut().zip(factors.as_chunks().0).enumerate() {
        let columns = within(index * INNER..(index + 1) * INNER, lines.columns);
        let part = lines.part(0..lines.rows, columns);
        let is_by_line = lines.column_stride == 1;
        if is_by_line {
            by_line(part, factors, &scales, step)
        } else {
            by_four(part, factors, &scales, step)
        }
        if is_by_line != (side == Side::Left) {
            step.0.iter_mut().for_each(|tile| *tile = turned(*tile));
        }
    }
    scales.map(Scale::back)
}

/// The largest size in each row, whose columns are multiplied by `factors`.
#[inline(always)]
fn largest(matrix: Matrix<f32>, factors: &[f32], out: &mut [u32]) {
    let Matrix { data, rows, columns, row_stride, column_stride } = matrix;
    if column_stride == 1 {
        for (row, out) in out.iter_mut().enumerate() {
            let row = data[row * row_stride..][..columns].iter().zip(factors);
            *out = row.fold(0, |most, (x, factor)| most.max(size(x * factor)));
        }
    } else {
        for (column, factor) in factors[..columns].iter().enumerate() {
            let column = &data[column * column_stride..][..rows];
            out.iter_mut().zip(column).for_each(|(most, x)| *most = (*most).max(size(x * factor)));
        }
    }
}

/// Lines that lie side by side, in a row of the tiles each.
#[inline(always)]
fn by_line(lines: Matrix<f32>, factors: &[f32; INNER], scales: &[Scale; LINES], Step(tiles): &mut Step) {
    let [large, middle, small] = tiles;
    for (line, scale) in scales.iter().enumerate() {
        let values: [f32; INNER] = row_of(lines, line);
        for inner in 0..INNER {
            let digits = scale.digits(values[inner] * factors[inner]);
            large[line][inner] = (digits >> 16) as u8;
            middle[line][inner] = (digits >> 8) as u8;
            small[line][inner] = digits as u8;
        }
    }
}

/// Lines whose first elements lie side by side, with four elements of each in a row of the tiles.
#[inline(always)]
fn by_four(lines: Matrix<f32>, factors: &[f32; INNER], scales: &[Scale; LINES], Step(tiles): &mut Step) {
    for four in 0..LINES {
        let digits: [[u32; LINES]; FOUR] = std::array::from_fn(|place| {
            let inner = FOUR * four + place;
            let values: [f32; LINES] = row_of(lines.transposed(), inner);
            std::array::from_fn(|line| scales[line].digits(values[line] * factors[inner]))
        });
        for (tile, shift) in tiles.iter_mut().zip([16, 8, 0]) {
            let joined: [u32; LINES] = std::array::from_fn(|line| {
                let digit = |place: usize| (digits[place][line] >> shift & 0xff) << (8 * place);
                digit(0) | digit(1) | digit(2) | digit(3)
            });
            tile[four] = cast(joined);
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
