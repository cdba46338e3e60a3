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
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Step(pub [[u32; LINES * PAIRS]; 3]);

impl Step {
    pub const ZERO: Self = Self([[0; LINES * PAIRS]; 3]);
}

/// A product of 32 rows and 32 columns.
#[repr(C, align(64))]
pub(super) struct Block(pub [[f32; SIDE]; SIDE]);

impl Default for Block {
    fn default() -> Self {
        Self([[0.0; SIDE]; SIDE])
    }
}
