use crate::Element;
use crate::gemm::{Matrix, Threads, product, product_split, workers};
use crate::room::written;
use crate::simd::vectorized;
use crate::tiles::Split;

/// Rows from which on a thread multiplies its own: fewer, and bringing the matrix together for each of them costs more
/// than sharing one product.
const ROWS_PER_THREAD: usize = 64;

/// What rows are multiplied by.
#[derive(Clone, Copy, Debug)]
pub enum Factor<'a, T> {
    /// A matrix.
    Matrix(Matrix<'a, T>),
    /// One in single precision that was split before.
    Split(&'a Split),
}

impl<T: Element> Factor<'_, T> {
    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Matrix(matrix) => matrix.size(),
            Self::Split(split) => split.size(),
        }
    }
}

/// Rows `x` times `factor`, plus `bias`, which has a number for each of its columns.
///
/// # Panics
/// If `x` does not hold whole rows, the bias has another length, or what was split has another type.
pub fn linear<T: Element>(x: &[T], factor: Factor<T>, bias: Option<&[T]>) -> Vec<T> {
    let (inputs, outputs) = factor.size();
    let rows = x.len() / inputs.max(1);
    assert_eq!(x.len(), rows * inputs, "whole rows");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "a bias for every output");
    let each = rows.div_ceil(workers());
    let (together, threads) =
        if each < ROWS_PER_THREAD { (rows, Threads::All) } else { (each, Threads::One) };
    written(
        rows * outputs,
        together * outputs,
        || (),
        |(), part, room| {
            let rows = room.len() / outputs;
            let x = Matrix::new(&x[part * together * inputs..][..rows * inputs], rows, inputs);
            let out = match factor {
                Factor::Matrix(matrix) => product(room, x, matrix, threads),
                Factor::Split(split) => product_split(room, x, split, threads),
            };
            if let Some(bias) = bias {
                add_to_rows(out, bias);
            }
            out
        },
    )
}

/// Adds `bias` to every row.
pub(crate) fn add_to_rows<T: Element>(rows: &mut [T], bias: &[T]) {
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(x, &bias)| *x += bias);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_multiplied_by_their_definition(rows in 0usize..300, inputs in 1usize..7, outputs in 0usize..6, with_bias in any::<bool>()) {
            let x: Vec<f64> = (0..rows * inputs).map(|i| (i as f64 * 0.7).sin()).collect();
            let weight: Vec<f64> = (0..inputs * outputs).map(|i| (i as f64 * 0.3).cos()).collect();
            let bias: Vec<f64> = (0..outputs).map(|i| i as f64).collect();
            let matrix = Matrix::new(&weight, outputs, inputs).transposed();
            let y = linear(&x, Factor::Matrix(matrix), with_bias.then_some(&bias[..]));
            prop_assert_eq!(y.len(), rows * outputs);
            for (i, y) in y.iter().enumerate() {
                let (row, o) = (i / outputs, i % outputs);
                let sum: f64 = (0..inputs).map(|k| x[row * inputs + k] * weight[o * inputs + k]).sum();
                let expected = if with_bias { sum + bias[o] } else { sum };
                prop_assert!((y - expected).abs() < 1e-12);
            }
        }
    }
}
