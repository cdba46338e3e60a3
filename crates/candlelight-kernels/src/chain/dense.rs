//! A fully connected layer with frozen weights.

use super::maps::transpose_each;
use crate::gemm::{Onto, gemm_onto};
use crate::linear::add_to_rows;
use crate::{Element, Matrix, Threads};
use std::sync::OnceLock;

/// A fully connected layer, x·Wᵀ + b. The weight lies so that a product with it packs whole lines: that takes one layout
/// for the way forward and another, made when it is first asked for, for the way back.
#[derive(Clone, Debug)]
pub struct Dense<T> {
    /// `[in, out]`.
    forth: Vec<T>,
    /// `[out, in]`.
    back: OnceLock<Vec<T>>,
    bias: Vec<T>,
}

impl<T: Element> Dense<T> {
    /// A layer with `weight` `[out, in]`, row by row, and `bias` `[out]`.
    ///
    /// # Panics
    /// If the weight does not have whole rows for every output.
    pub fn new(weight: &[T], bias: Vec<T>) -> Self {
        let inputs = weight.len() / bias.len().max(1);
        assert_eq!(weight.len(), inputs * bias.len(), "a row of the weight for every output");
        Self { forth: transposed(weight, inputs), back: OnceLock::new(), bias }
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
        self.forth.len() / self.bias.len().max(1)
    }

    /// x·Wᵀ + b, written onto `out`.
    pub(super) fn forward(&self, (onto, threads): (Onto, Threads), x: &[T], out: &mut [T]) {
        self.product((onto, threads), x, out);
        add_to_rows(out, &self.bias);
    }

    /// x·Wᵀ.
    pub(super) fn product(&self, (onto, threads): (Onto, Threads), x: &[T], out: &mut [T]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let x = Matrix::new(x, x.len() / inputs, inputs);
        gemm_onto(onto, out, x, Matrix::new(&self.forth, inputs, outputs).in_tiles(), threads);
    }

    /// g·W.
    pub(super) fn input_gradient(&self, g: &[T], dx: &mut [T], threads: Threads) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let back = self.back.get_or_init(|| transposed(&self.forth, outputs));
        let g = Matrix::new(g, g.len() / outputs, outputs);
        gemm_onto(Onto::Nothing, dx, g, Matrix::new(back, outputs, inputs).in_tiles(), threads);
    }
}

/// The transpose of a matrix with so many columns.
fn transposed<T: Element>(matrix: &[T], columns: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; matrix.len()];
    transpose_each(matrix, &mut out, matrix.len() / columns.max(1), columns);
    out
}
