//! A right factor that is split once and multiplied by often: the weight of a layer.

use super::pack::{Lines, Packed, Side};
use super::{INNER, Right, Unit, even};
use crate::Matrix;
use std::ops::Range;

/// The factor, whose numbers take half as much memory again as they did.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    unit: Unit,
    size: (usize, usize),
    /// The columns of some inner elements, of the next, and so on.
    blocks: Vec<Packed>,
}

impl Split {
    /// Splits a matrix, if the processor has a unit that this pays for.
    pub fn new(matrix: Matrix<f32>) -> Option<Self> {
        let unit = Unit::for_inner(matrix.rows)?;
        let block = |inner: Range<usize>| {
            let mut packed = Packed::default();
            packed.fill(Side::Right, matrix.part(inner, 0..matrix.columns).transposed());
            packed
        };
        Some(Self { unit, size: matrix.size(), blocks: even(matrix.rows, INNER).map(block).collect() })
    }

    /// What multiplies it.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// All columns.
    pub fn columns(&self) -> Columns<'_> {
        Columns { split: self, start: 0, count: self.size.1 }
    }

    /// The matrix, row by row.
    pub fn whole(&self) -> Vec<f32> {
        let (rows, columns) = self.size;
        let mut out = vec![0.0; rows * columns];
        for (inner, packed) in even(rows, INNER).zip(&self.blocks) {
            packed.whole(columns, &mut out[inner.start * columns..inner.end * columns]);
        }
        out
    }
}

/// Some columns of the factor.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    split: &'a Split,
    start: usize,
    count: usize,
}

impl Right for Columns<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn part(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.count, "columns that are there");
        Self { start: self.start + columns.start, count: columns.len(), ..self }
    }

    fn lines<'a>(
        &'a self,
        (block, _): (usize, Range<usize>),
        columns: Range<usize>,
        _: &'a mut Packed,
    ) -> Lines<'a> {
        self.split.blocks[block].lines().part(self.start + columns.start..self.start + columns.end)
    }
}
