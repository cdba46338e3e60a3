//! Tiles: what the unit loads and stores.

/// Rows or columns of a tile.
pub(super) const LINES: usize = 16;
/// Inner elements of a tile.
pub(super) const INNER: usize = 64;
/// Inner elements that lie side by side in tiles of the right factor: the unit reads four at a time.
pub(super) const FOUR: usize = 4;

/// Sixteen rows or columns of 64 inner elements, each element as three digits: the largest, the middle ones, the smallest.
/// A row of a tile has the elements of a line, or four elements of every line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Step(pub [Tile; 3]);

/// Digits as the unit reads them.
pub(super) type Tile = [[u8; INNER]; LINES];

impl Step {
    pub const ZERO: Self = Self([[[0; INNER]; LINES]; 3]);
}

/// What products of the digits of sixteen rows and sixteen columns add up to: of both largest ones, of those 256 times
/// smaller, and so on.
#[repr(C, align(64))]
pub(super) struct Sums(pub [[[i32; LINES]; LINES]; 4]);

impl Default for Sums {
    fn default() -> Self {
        Self([[[0; LINES]; LINES]; 4])
    }
}
