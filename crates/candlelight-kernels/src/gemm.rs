use crate::Element;
use crate::room::filled;
use crate::tiles::{Place, Split};
use ::gemm::Parallelism;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A strided view of a matrix in a slice: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * columns` elements.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows}x{columns} matrix needs that many elements");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Some rows and columns.
    pub(crate) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "a part of the matrix");
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        let data = self.data.get(start..).unwrap_or_default();
        Self { data, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The view of some columns of a row-major matrix.
    pub(crate) fn columns(self, range: Range<usize>) -> Self {
        assert!(
            self.column_stride == 1 && range.end <= self.columns,
            "columns that are there, in whole rows"
        );
        let rows = self.rows;
        self.part(0..rows, range)
    }

    /// The transposed view of the same data.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Results up to which `gemm` computes scalar products of rows instead, where the right matrix is transposed.
const SMALL: usize = 256;

/// How many threads one product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone: the caller is parallel already.
    One,
    /// All threads of the current rayon pool.
    All,
}

impl From<Threads> for Parallelism {
    fn from(threads: Threads) -> Self {
        match threads {
            Threads::One => Parallelism::None,
            Threads::All => Parallelism::Rayon(0),
        }
    }
}

/// The threads that work for the caller. One that is a worker has its own share of the threads' work.
pub(crate) fn workers() -> usize {
    if rayon::current_thread_index().is_some() { 1 } else { rayon::current_num_threads() }
}

/// What a product is written onto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Nothing: what was there is forgotten.
    Nothing,
    /// A sum that it is added to.
    Sum,
}

impl Onto {
    /// Makes `out` ready for sums to be added to it.
    pub(crate) fn begin<T: Element>(self, out: &mut [T]) {
        if self == Self::Nothing {
            out.fill(T::ZERO);
        }
    }
}

/// `out += a · b`, with `out` row-major.
///
/// # Panics
/// If the inner sizes differ or `out` does not hold `a.rows * b.columns` elements.
pub fn gemm<T: Element>(out: &mut [T], a: Matrix<T>, b: Matrix<T>, threads: Threads) {
    gemm_onto(Onto::Sum, out, a, b, threads);
}

/// [`gemm()`] onto a sum, or onto nothing.
///
/// # Panics
/// If the inner sizes differ or `out` does not hold `a.rows * b.columns` elements.
pub fn gemm_onto<T: Element>(onto: Onto, out: &mut [T], a: Matrix<T>, b: Matrix<T>, threads: Threads) {
    assert_eq!(a.columns, b.rows, "the inner sizes of the product must agree");
    assert_eq!(out.len(), a.rows * b.columns, "the product needs rows x columns elements");
    if a.columns == 0 && onto == Onto::Nothing {
        out.fill(T::ZERO);
    }
    if out.is_empty() || a.columns == 0 {
        return;
    }
    match is_special(a, b) {
        true => multiply_above_zeros(onto, out, a, b, threads),
        false => multiply(onto, out, a, b, threads),
    }
}

/// [`gemm_onto`] with a right factor that was split before.
///
/// # Panics
/// As of [`gemm_onto`]; if `a` is not in single precision.
pub(crate) fn gemm_split<T: Element>(onto: Onto, out: &mut [T], a: Matrix<T>, b: &Split, threads: Threads) {
    assert_eq!(out.len(), a.rows * b.size().1, "the product needs rows x columns elements");
    // SAFETY: `out` is borrowed mutably, has as many elements as the product, and was written.
    unsafe { split_at(onto, out.as_mut_ptr(), a, b, threads) };
}

/// [`product`] with a right factor that was split before.
///
/// # Panics
/// As of [`gemm_split`].
pub(crate) fn product_split<'a, T: Element>(
    out: &'a mut [MaybeUninit<T>],
    a: Matrix<T>,
    b: &Split,
    threads: Threads,
) -> &'a mut [T] {
    let (place, len) = (out.as_mut_ptr().cast::<T>(), out.len());
    assert_eq!(len, a.rows * b.size().1, "the product needs rows x columns elements");
    // SAFETY: `out` is borrowed mutably and has as many elements as the product, which is written onto nothing. That
    // writes every one of them, so that they are a slice of `T`, borrowed for as long as `out` was.
    unsafe {
        split_at(Onto::Nothing, place, a, b, threads);
        std::slice::from_raw_parts_mut(place, len)
    }
}

/// The product with a right factor that was split, written from `out` on.
///
/// # Safety
/// The elements of the product may be written there by nobody else, and if it is written onto a sum, were written before.
unsafe fn split_at<T: Element>(onto: Onto, out: *mut T, a: Matrix<T>, b: &Split, threads: Threads) {
    let (inner, columns) = b.size();
    assert_eq!(a.columns, inner, "the inner sizes of the product must agree");
    let single = T::single(a).expect("what is split is in single precision");
    // SAFETY: the caller answers for the elements, which are `f32` as those of `a` are.
    let place = unsafe { Place::new((out.cast(), columns), (a.rows, columns)) };
    b.product(onto, place, single, threads);
}

/// a · b in memory that nobody has written yet.
///
/// # Panics
/// As of [`gemm_onto`].
pub(crate) fn product<'a, T: Element>(
    out: &'a mut [MaybeUninit<T>],
    a: Matrix<T>,
    b: Matrix<T>,
    threads: Threads,
) -> &'a mut [T] {
    if out.is_empty() || a.columns == 0 || is_special(a, b) {
        let out = filled(out, T::ZERO);
        gemm_onto(Onto::Nothing, out, a, b, threads);
        return out;
    }
    assert_eq!((a.columns, out.len()), (b.rows, a.rows * b.columns), "the sizes of the product must agree");
    let (place, len) = (out.as_mut_ptr().cast::<T>(), out.len());
    // SAFETY: `out` is borrowed mutably and has as many elements as the product, which is written onto nothing. That
    // writes every one of them, so that they are a slice of `T`, borrowed for as long as `out` was.
    unsafe {
        multiply_at(Onto::Nothing, (place, b.columns), a, b, threads);
        std::slice::from_raw_parts_mut(place, len)
    }
}

/// `out[.., columns] += a · b`, with `out` row-major of `width` columns, and `b`, too.
///
/// # Panics
/// If the sizes differ.
pub(crate) fn gemm_columns<T: Element>(
    out: &mut [T],
    (width, columns): (usize, Range<usize>),
    a: Matrix<T>,
    b: Matrix<T>,
    threads: Threads,
) {
    assert_eq!((a.columns, b.column_stride), (b.rows, 1), "a row-major matrix of fitting size on the right");
    assert_eq!(
        (out.len(), columns.len()),
        (a.rows * width, b.columns),
        "the sizes of the product must agree"
    );
    assert!(columns.end <= width, "columns that are there");
    if columns.is_empty() || a.rows == 0 || a.columns == 0 {
        return;
    }
    // SAFETY: element (i, j) of the product lies at `i * width + columns.start + j`, for all i below `a.rows` and j below
    // `columns.len()` inside `out`, which is borrowed mutably.
    unsafe { multiply_at(Onto::Sum, (out.as_mut_ptr().add(columns.start), width), a, b, threads) };
}

/// One row, and few against a transposed matrix, would be added up in another order than many: what a row gives would
/// depend on how many are beside it, and so on the batch and on the number of threads.
fn is_special<T>(a: Matrix<T>, b: Matrix<T>) -> bool {
    a.rows == 1 || (b.column_stride != 1 && a.rows * b.columns <= SMALL)
}

/// [`multiply`] with so many rows of zeros below `a` that it is no special case.
fn multiply_above_zeros<T: Element>(onto: Onto, out: &mut [T], a: Matrix<T>, b: Matrix<T>, threads: Threads) {
    let rows = (SMALL / b.columns + 1).max(2);
    let mut above = vec![T::ZERO; rows * a.columns];
    for (i, row) in above.chunks_exact_mut(a.columns).take(a.rows).enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            *value = a.data[i * a.row_stride + j * a.column_stride];
        }
    }
    let mut results = vec![T::ZERO; rows * b.columns];
    results[..out.len()].copy_from_slice(out);
    multiply(onto, &mut results, Matrix::new(&above, rows, a.columns), b, threads);
    out.copy_from_slice(&results[..out.len()]);
}

/// The product of matrices whose sizes were checked.
fn multiply<T: Element>(onto: Onto, out: &mut [T], a: Matrix<T>, b: Matrix<T>, threads: Threads) {
    assert_eq!((a.columns, out.len()), (b.rows, a.rows * b.columns), "sizes that were checked");
    // SAFETY: `out` was checked and is borrowed mutably.
    unsafe { multiply_at(onto, (out.as_mut_ptr(), b.columns), a, b, threads) };
}

/// The product of matrices, written from `out` on with rows `stride` elements apart.
///
/// # Safety
/// The inner sizes agree and are not 0. Of every row of the product as many elements as `b` has columns may be written
/// there by nobody else, and if it is written onto a sum, were written before.
unsafe fn multiply_at<T: Element>(
    onto: Onto,
    (out, stride): (*mut T, usize),
    a: Matrix<T>,
    b: Matrix<T>,
    threads: Threads,
) {
    // SAFETY: `Matrix` can only be made over exactly rows * columns elements, row-major or transposed, or be a part of such
    // a one, and nobody changes its sizes, so that every (i, j) of `a` and `b` is in bounds; the caller answers for `out`,
    // which overlaps neither because nobody else has it; all strides are below isize::MAX because the slices exist.
    unsafe {
        ::gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            stride as isize,
            onto == Onto::Sum,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            threads.into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::written;
    use proptest::prelude::*;

    fn naive(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..inner).map(|k| a[i * inner + k] * b[k * columns + j]).sum();
        (0..rows * columns).map(|ij| at(ij / columns, ij % columns)).collect()
    }

    #[test]
    fn a_row_gives_the_same_bits_however_many_are_beside_it() {
        rows_give_the_same_bits::<f32>();
        rows_give_the_same_bits::<f64>();
    }

    fn rows_give_the_same_bits<T: Element + std::fmt::Debug>() {
        for (inner, columns) in [
            (84, 10),
            (512, 10),
            (64, 64),
            (32, 32),
            (32, 64),
            (24, 96),
            (256, 120),
            (512, 1000),
            (27, 16),
            (72, 8),
            (5, 1),
        ] {
            let a: Vec<T> = (0..40 * inner).map(|i| T::from_f64((f64::from(i) * 0.7).sin())).collect();
            let b: Vec<T> = (0..inner * columns).map(|i| T::from_f64((f64::from(i) * 0.37).cos())).collect();
            let (inner, columns) = (inner as usize, columns as usize);
            let views = [Matrix::new(&b, inner, columns), Matrix::new(&b, columns, inner).transposed()];
            for view in views {
                let sums = |rows: usize| (0..rows * columns).map(|i| T::from_f64((i as f64 * 0.11).cos()));
                let mut whole: Vec<T> = sums(40).collect();
                gemm(&mut whole, Matrix::new(&a, 40, inner), view, Threads::All);
                for rows in 1..40 {
                    let mut part: Vec<T> = sums(rows).collect();
                    gemm(&mut part, Matrix::new(&a[..rows * inner], rows, inner), view, Threads::One);
                    assert_eq!(part, whole[..rows * columns], "{rows} rows, {inner} to {columns}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_product_equals_its_definition(rows in 0usize..7, inner in 0usize..9, columns in 0usize..8, all in any::<bool>(), sum in any::<bool>()) {
            let a: Vec<f64> = (0..rows * inner).map(|i| (i as f64 * 0.7).sin()).collect();
            let b: Vec<f64> = (0..inner * columns).map(|i| (i as f64 * 0.3).cos()).collect();
            let transposed: Vec<f64> = (0..inner * columns).map(|i| b[(i % inner) * columns + i / inner]).collect();
            let threads = if all { Threads::All } else { Threads::One };
            let expected = naive(&a, &b, rows, inner, columns);
            for view in [Matrix::new(&b, inner, columns), Matrix::new(&transposed, columns, inner).transposed()] {
                let mut out = vec![1.0; rows * columns];
                let (onto, before) = if sum { (Onto::Sum, 1.0) } else { (Onto::Nothing, 0.0) };
                gemm_onto(onto, &mut out, Matrix::new(&a, rows, inner), view, threads);
                for (o, e) in out.iter().zip(&expected) {
                    prop_assert!((o - before - e).abs() < 1e-12);
                }
                let written = written(rows * columns, rows * columns, || (), |_, _, room| {
                    product(room, Matrix::new(&a, rows, inner), view, threads)
                });
                prop_assert!(written.iter().zip(&expected).all(|(o, e)| (o - e).abs() < 1e-12));
            }
        }

        #[test]
        fn some_columns_of_a_product_are_added_where_they_lie(
            rows in 0usize..7, inner in 0usize..9, width in 0usize..12, cut in any::<(prop::sample::Index, prop::sample::Index)>(), all in any::<bool>(),
        ) {
            let a: Vec<f64> = (0..rows * inner).map(|i| (i as f64 * 0.7).sin()).collect();
            let b: Vec<f64> = (0..inner * width).map(|i| (i as f64 * 0.3).cos()).collect();
            let ends = [cut.0.index(width + 1), cut.1.index(width + 1)];
            let range = ends[0].min(ends[1])..ends[0].max(ends[1]);
            let expected = naive(&a, &b, rows, inner, width);
            let mut out = vec![1.0; rows * width];
            let view = Matrix::new(&b, inner, width).columns(range.clone());
            let threads = if all { Threads::All } else { Threads::One };
            gemm_columns(&mut out, (width, range.clone()), Matrix::new(&a, rows, inner), view, threads);
            for (i, (o, e)) in out.iter().zip(&expected).enumerate() {
                let e = if range.contains(&(i % width)) { *e } else { 0.0 };
                prop_assert!((o - 1.0 - e).abs() < 1e-12);
            }
        }
    }
}
