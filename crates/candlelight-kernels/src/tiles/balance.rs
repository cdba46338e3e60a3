//! Powers of two that move size from one factor of a product to the other.

use super::block::{INNER, LINES};
use crate::gemm::Matrix;
use crate::simd::vectorized;

/// Columns from which on their mean size is that of most.
const LEAST_COLUMNS: usize = 64;
/// How many powers of two apart inner elements may be balanced: what a column that is unlike the others loses at most.
const MOST: u32 = 8;
/// Bits of a single's fraction, and its exponent for 1.
const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;
const BIAS: u32 = 127;

/// For each inner element of a product a power of two: numbers of the left factor are multiplied by it, those of the right
/// one divided. Then the numbers of the right one are about as large in all of them, and a number of the left one sets the
/// scale of its row by as much as it adds to the product: a large feature with small weights does not hide others.
#[derive(Clone, Debug)]
pub(super) struct Balance {
    left: Vec<f32>,
}

impl Balance {
    /// For these rows of the right factor.
    pub fn of(rows: Matrix<f32>) -> Self {
        let mut sums = vec![0.0; rows.rows.next_multiple_of(INNER)];
        if rows.columns >= LEAST_COLUMNS {
            vectorized(
                #[inline(always)]
                || add_sizes(rows, &mut sums),
            );
        }
        let exponent = |sum: f32| (sum > 0.0 && sum.is_finite()).then_some(sum.to_bits() >> FRACTION);
        let most = sums.iter().filter_map(|&sum| exponent(sum)).max().unwrap_or(0);
        let power = |sum| exponent(sum).map_or(0, |exponent| (most - exponent).min(MOST));
        Self { left: sums.into_iter().map(|sum| f32::from_bits((BIAS - power(sum)) << FRACTION)).collect() }
    }

    /// What the left factor is multiplied by, for whole steps.
    pub fn left(&self) -> &[f32] {
        &self.left
    }

    /// What the right factor is multiplied by.
    pub fn right(&self) -> Vec<f32> {
        self.left.iter().map(|power| power.recip()).collect()
    }
}

/// Adds the absolute values in each row.
#[inline(always)]
fn add_sizes(matrix: Matrix<f32>, sums: &mut [f32]) {
    let Matrix { data, rows, columns, row_stride, column_stride } = matrix;
    if column_stride == 1 {
        for (row, sum) in sums[..rows].iter_mut().enumerate() {
            let mut parts = [0.0; LINES];
            for some in data[row * row_stride..][..columns].chunks(LINES) {
                parts.iter_mut().zip(some).for_each(|(part, x)| *part += x.abs());
            }
            *sum = parts.iter().sum();
        }
    } else {
        for column in 0..columns {
            let column = &data[column * column_stride..][..rows];
            sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += x.abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of these sizes.
    fn powers(columns: usize, sizes: &[f32]) -> Vec<f32> {
        let row =
            |size: &f32| (0..columns).map(|k| size * (1.0 + (k as f32).sin() / 4.0)).collect::<Vec<_>>();
        let data: Vec<f32> = sizes.iter().flat_map(row).collect();
        let matrix = Matrix::new(&data, sizes.len(), columns);
        let turned: Vec<f32> =
            (0..data.len()).map(|k| data[k % sizes.len() * columns + k / sizes.len()]).collect();
        let [left, other] = [matrix, Matrix::new(&turned, columns, sizes.len()).transposed()]
            .map(|matrix| Balance::of(matrix).left()[..sizes.len()].to_vec());
        assert_eq!(left, other, "however the matrix lies");
        left
    }

    #[test]
    fn small_rows_are_met_by_small_numbers_on_the_left() {
        assert_eq!(powers(80, &[1.0, 0.25, 0.0, 1e-9, f32::NAN]), [1.0, 0.25, 1.0, 1.0 / 256.0, 1.0]);
        assert_eq!(powers(8, &[1.0, 0.25]), [1.0, 1.0], "a mean of few");
    }
}
