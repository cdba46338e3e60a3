//! Tiles: what the unit loads and stores.

/// Rows or columns of a tile.
pub(super) const LINES: usize = 16;
/// Inner elements of a tile.
pub(super) const INNER: usize = 32;
/// Pairs of inner elements: the unit reads two at a time.
pub(super) const PAIRS: usize = INNER / 2;
/// Rows and columns of a block.
pub(super) const SIDE: usize = 2 * LINES;

/// Sixteen rows or columns of 32 inner elements, each element split into three: the largest part, the next, the rest. Of
/// each, pairs of elements lie side by side; those of one row, or one pair of every column.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Step(pub [[u32; LINES * PAIRS]; 3]);

impl Step {
    pub const ZERO: Self = Self([[0; LINES * PAIRS]; 3]);
}

/// A product of 32 rows and 32 columns: the quarters top left, top right, bottom left, bottom right.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Block(pub [[[f32; LINES]; LINES]; 4]);

impl Default for Block {
    fn default() -> Self {
        Self([[[0.0; LINES]; LINES]; 4])
    }
}

impl Block {
    /// Both halves of a row.
    pub fn row(&self, row: usize) -> [&[f32; LINES]; 2] {
        let quarter = 2 * (row / LINES);
        [&self.0[quarter][row % LINES], &self.0[quarter + 1][row % LINES]]
    }
}
