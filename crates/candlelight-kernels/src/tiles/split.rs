//! A right factor as digits, made once and multiplied by often: the weight of a layer.

use super::balance::Balance;
use super::block::INNER;
use super::pack::{Packed, Side};
use super::{INNER_TOGETHER, Unit, even};
use crate::Matrix;
use std::ops::Range;

/// A matrix that rows are multiplied by often, as digits for the processor's unit: three quarters of its size.
#[derive(Clone, Debug)]
pub struct Split {
    unit: Unit,
    size: (usize, usize),
    parts: Vec<Part>,
}

/// Some inner elements of all columns.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub inner: Range<usize>,
    pub balance: Balance,
    pub packed: Packed,
}

impl Split {
    /// The digits of a matrix, if the processor has a unit that multiplies them and that pays for its inner size.
    pub fn new(matrix: Matrix<f32>) -> Option<Self> {
        let unit = Unit::for_inner(matrix.rows)?;
        Some(Self { unit, size: matrix.size(), parts: parts(matrix) })
    }

    /// What multiplies it.
    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The matrix, row by row, as far as digits hold it.
    pub(crate) fn whole(&self) -> Vec<f32> {
        whole(self.size, &self.parts)
    }
}

/// The digits of a matrix.
pub(super) fn parts(matrix: Matrix<f32>) -> Vec<Part> {
    let part = |inner: Range<usize>| {
        let rows = matrix.part(inner.clone(), 0..matrix.columns);
        let (balance, mut packed) = (Balance::of(rows), Packed::default());
        packed.fill(Side::Right, rows.transposed(), &balance.right());
        Part { inner, balance, packed }
    };
    even(matrix.rows, INNER_TOGETHER, INNER).map(part).collect()
}

/// The matrix of this size that parts make up.
pub(super) fn whole((rows, columns): (usize, usize), parts: &[Part]) -> Vec<f32> {
    let mut out = vec![0.0; rows * columns];
    for Part { inner, balance, packed } in parts {
        packed.whole(columns, balance.left(), &mut out[inner.start * columns..inner.end * columns]);
    }
    out
}
