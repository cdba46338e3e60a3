//! A fully connected layer with frozen weights.

use super::Multiply;
use super::maps::transpose_each;
use crate::gemm::{Onto, gemm_onto, gemm_split};
use crate::linear::add_to_rows;
use crate::tiles::Split;
use crate::{Element, Matrix, Threads};
use std::borrow::Cow;
use std::sync::OnceLock;

/// A fully connected layer, x·Wᵀ + b. The weight lies as it is multiplied by: that takes one layout for the way forward and
/// another, made when it is first asked for, for the way back.
#[derive(Clone, Debug)]
pub struct Dense<T> {
    inputs: usize,
    /// `[in, out]`.
    forth: Factor<T>,
    /// `[out, in]`.
    back: OnceLock<Factor<T>>,
    bias: Vec<T>,
    multiply: Multiply,
}

/// A right factor of products.
#[derive(Clone, Debug)]
enum Factor<T> {
    /// Row by row, so that a product packs whole lines.
    Rows(Vec<T>),
    /// For the processor's unit: of few rows on the left, splitting the right takes as long as the product.
    Split(Split),
}

impl<T: Element> Dense<T> {
    /// A layer with `weight` `[out, in]`, row by row, and `bias` `[out]`.
    ///
    /// # Panics
    /// If the weight does not have whole rows for every output.
    pub fn new(weight: &[T], bias: Vec<T>, multiply: Multiply) -> Self {
        let inputs = weight.len() / bias.len().max(1);
        assert_eq!(weight.len(), inputs * bias.len(), "a row of the weight for every output");
        Self {
            inputs,
            forth: Factor::transposed(weight, inputs, multiply),
            back: OnceLock::new(),
            bias,
            multiply,
        }
    }

    /// What is added to the product, `[out]`.
    pub fn bias(&self) -> &[T] {
        &self.bias
    }

    /// Features that come out.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Features that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// x·Wᵀ + b, written onto `out`.
    pub(super) fn forward(&self, (onto, threads): (Onto, Threads), x: &[T], out: &mut [T]) {
        self.product((onto, threads), x, out);
        add_to_rows(out, &self.bias);
    }

    /// x·Wᵀ.
    pub(super) fn product(&self, (onto, threads): (Onto, Threads), x: &[T], out: &mut [T]) {
        self.forth.multiply((onto, threads), (x, self.inputs), out);
    }

    /// g·W.
    pub(super) fn input_gradient(&self, g: &[T], dx: &mut [T], threads: Threads) {
        let back =
            self.back.get_or_init(|| Factor::transposed(&self.forth.rows(), self.outputs(), self.multiply));
        back.multiply((Onto::Nothing, threads), (g, self.outputs()), dx);
    }
}

impl<T: Element> Factor<T> {
    /// The transpose of a matrix with so many columns.
    fn transposed(matrix: &[T], columns: usize, multiply: Multiply) -> Self {
        let view = Matrix::new(matrix, matrix.len() / columns.max(1), columns).transposed();
        let split = T::single(view).filter(|_| multiply == Multiply::Fast).and_then(Split::new);
        split.map_or_else(|| Self::Rows(transposed(matrix, columns)), Self::Split)
    }

    /// The matrix, row by row.
    fn rows(&self) -> Cow<'_, [T]> {
        match self {
            Self::Rows(rows) => Cow::Borrowed(rows),
            Self::Split(split) => Cow::Owned(T::of_single(split.whole())),
        }
    }

    /// Rows `x` of so many numbers, times the matrix.
    fn multiply(&self, (onto, threads): (Onto, Threads), (x, inner): (&[T], usize), out: &mut [T]) {
        let x = Matrix::new(x, x.len() / inner, inner);
        match self {
            Self::Rows(rows) => {
                gemm_onto(onto, out, x, Matrix::new(rows, inner, rows.len() / inner), threads);
            }
            Self::Split(split) => gemm_split(onto, out, x, split, threads),
        }
    }
}

/// The transpose of a matrix with so many columns.
fn transposed<T: Element>(matrix: &[T], columns: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; matrix.len()];
    transpose_each(matrix, &mut out, matrix.len() / columns.max(1), columns);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: Element>(count: usize, step: f64) -> Vec<T> {
        (0..count).map(|i| T::from_f64((i as f64 * step).sin())).collect()
    }

    /// What comes out, added to ones, and what comes back for it.
    fn both_ways<T: Element>((rows, inputs, outputs): (usize, usize, usize)) -> [Vec<T>; 2] {
        let dense = Dense::<T>::new(&numbers(outputs * inputs, 0.3), numbers(outputs, 0.9), Multiply::Fast);
        assert_eq!((dense.inputs(), dense.outputs()), (inputs, outputs));
        let (mut y, mut dx) = (vec![T::ONE; rows * outputs], vec![T::ONE; rows * inputs]);
        dense.forward((Onto::Sum, Threads::All), &numbers(rows * inputs, 0.7), &mut y);
        dense.input_gradient(&y, &mut dx, Threads::One);
        [y, dx]
    }

    #[test]
    fn a_weight_is_the_same_split_or_not_and_either_way() {
        for sizes in [(3, 300, 270), (1, 300, 20), (40, 20, 300), (2, 1000, 256)] {
            for (single, double) in both_ways::<f32>(sizes).into_iter().zip(both_ways::<f64>(sizes)) {
                let size = double.iter().fold(0.0f64, |size, x| size.max(x.abs()));
                let apart = single.iter().zip(&double).map(|(&s, d)| (f64::from(s) - d).abs());
                assert!(apart.fold(0.0, f64::max) < 2e-6 * size, "{sizes:?}");
            }
        }
    }

    #[test]
    fn sums_of_products_are_those_of_their_definition() {
        let (rows, inputs, outputs) = (3, 5, 4);
        let [y, dx] = both_ways::<f64>((rows, inputs, outputs));
        let (x, w, b) = (numbers::<f64>(15, 0.7), numbers::<f64>(20, 0.3), numbers::<f64>(4, 0.9));
        for (k, y) in y.iter().enumerate() {
            let (row, o) = (k / outputs, k % outputs);
            let sum: f64 = (0..inputs).map(|i| x[row * inputs + i] * w[o * inputs + i]).sum();
            assert!((y - (1.0 + sum + b[o])).abs() < 1e-12);
        }
        for (k, dx) in dx.iter().enumerate() {
            let (row, i) = (k / inputs, k % inputs);
            let sum: f64 = (0..outputs).map(|o| y[row * outputs + o] * w[o * inputs + i]).sum();
            assert!((dx - sum).abs() < 1e-12);
        }
    }
}
