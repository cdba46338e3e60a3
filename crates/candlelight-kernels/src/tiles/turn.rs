//! Sixteen rows of sixteen times four bytes, with rows as columns.

use super::block::{FOUR, LINES, Tile};

/// The rows as columns.
#[inline(always)]
pub(super) fn turned(tile: Tile) -> Tile {
    #[cfg(target_arch = "x86_64")]
    if let Some(vectors) = pulp::x86::V4::try_new() {
        return by_vectors::turned(vectors, tile);
    }
    std::array::from_fn(|i| std::array::from_fn(|k| tile[k / FOUR][FOUR * i + k % FOUR]))
}

/// Compilers turn a square number by number.
#[cfg(target_arch = "x86_64")]
mod by_vectors {
    use super::{LINES, Tile};
    use pulp::cast;
    use pulp::x86::V4;
    use std::arch::x86_64::__m512i;

    #[inline(always)]
    pub fn turned(vectors: V4, tile: Tile) -> Tile {
        let mut rows = tile.map(cast);
        swap_quarters::<8>(vectors, &mut rows);
        swap_quarters::<4>(vectors, &mut rows);
        swap_quarters::<2>(vectors, &mut rows);
        swap_quarters::<1>(vectors, &mut rows);
        rows.map(cast)
    }

    /// Swaps the upper right quarter and the lower left one of every square of twice `HALF` rows.
    #[inline(always)]
    fn swap_quarters<const HALF: usize>(vectors: V4, rows: &mut [__m512i; LINES]) {
        // The places that an upper and a lower row are taken from: of the upper one those below 16, then of the lower one.
        let is_left = |j: usize| j & HALF == 0;
        let upper: [i32; LINES] =
            std::array::from_fn(|j| if is_left(j) { j } else { LINES + j - HALF } as i32);
        let lower: [i32; LINES] =
            std::array::from_fn(|j| if is_left(j) { j + HALF } else { LINES + j } as i32);
        for row in (0..LINES).filter(|row| row & HALF == 0) {
            let (a, b) = (rows[row], rows[row + HALF]);
            let pick = |places| vectors.avx512f._mm512_permutex2var_epi32(a, cast(places), b);
            (rows[row], rows[row + HALF]) = (pick(upper), pick(lower));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_goes_where_its_row_and_column_say() {
        let tile: Tile = std::array::from_fn(|i| std::array::from_fn(|k| (16 * i + k) as u8));
        let columns = turned(tile);
        for (i, j) in (0..LINES).flat_map(|i| (0..LINES).map(move |j| (i, j))) {
            assert_eq!(columns[j][FOUR * i..][..FOUR], tile[i][FOUR * j..][..FOUR]);
        }
    }
}
