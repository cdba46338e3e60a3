use super::split::{parts, whole};
use super::*;
use proptest::prelude::*;

/// Rounding of a product, relative to the sizes of row and column: both factors, both scales and sums.
const ROUNDING: f64 = 6e-7;

/// What products are added to.
const LARGE: f64 = 1000.0;

/// The eight products of digits by their definition: what the unit does, and what a processor without one can check the
/// layout with.
struct Plain;

impl Multiply for Plain {
    fn multiply(&self, rows: &[Step], columns: &[Step], sums: &mut Sums, _: &[Step]) {
        *sums = Sums::default();
        for (row, column) in rows.iter().zip(columns) {
            let pairs = (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).filter(|pair| *pair != (2, 2));
            for (a, b) in pairs {
                for (i, j) in (0..LINES).flat_map(|i| (0..LINES).map(move |j| (i, j))) {
                    let of_row = row.0[a][i];
                    let of_column = |k: usize| column.0[b][k / 4][4 * j + k % 4];
                    let terms = (0..64).map(|k| i32::from(of_row[k] as i8) * i32::from(of_column(k) as i8));
                    sums.0[a + b][i][j] += terms.sum::<i32>();
                }
            }
        }
    }
}

fn numbers(count: usize, step: f64) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * step).sin() * 10f64.powi(i as i32 % 5 - 2)) as f32).collect()
}

/// The product by its definition, and the sizes of row and column multiplied, in double precision.
fn naive(a: Matrix<f32>, b: Matrix<f32>) -> Vec<(f64, f64)> {
    let at = |m: &Matrix<f32>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.column_stride]);
    let places = (0..a.rows).flat_map(|i| (0..b.columns).map(move |j| (i, j)));
    let terms = |i, j| (0..a.columns).map(move |k| (at(&a, i, k), at(&b, k, j)));
    let of = |i, j| {
        let squares = terms(i, j).fold((0.0, 0.0), |(row, column), (a, b)| (row + a * a, column + b * b));
        (terms(i, j).map(|(a, b)| a * b).sum(), f64::sqrt(squares.0 * squares.1))
    };
    places.map(|(i, j)| of(i, j)).collect()
}

/// Both ways in which a matrix can lie.
fn views(data: &[f32], rows: usize, columns: usize) -> [Matrix<'_, f32>; 2] {
    [Matrix::new(data, rows, columns), Matrix::new(data, columns, rows).transposed()]
}

fn place(out: &mut [f32], rows: usize, columns: usize) -> Place {
    assert_eq!(out.len(), rows * columns);
    // SAFETY: `out` is borrowed mutably, was written, and its borrower waits until the product is there.
    unsafe { Place::new((out.as_mut_ptr(), columns), (rows, columns)) }
}

fn agrees(unit: &impl Multiply, (rows, inner, columns): (usize, usize, usize)) -> Result<(), TestCaseError> {
    let (a, b) = (numbers(rows * inner, 0.7), numbers(inner * columns, 0.3));
    for (a, b) in views(&a, rows, inner).into_iter().zip(views(&b, inner, columns)) {
        for (onto, before) in [(Onto::Nothing, 0.0), (Onto::Sum, LARGE)] {
            let mut out = vec![LARGE as f32; rows * columns];
            add_up(unit, onto, place(&mut out, rows, columns), a, (&parts(b), 0..columns));
            for (&found, (expected, size)) in out.iter().zip(naive(a, b)) {
                let error = (f64::from(found) - before - expected).abs();
                prop_assert!(
                    error <= ROUNDING * (size + before),
                    "{found} for {}, {error} of {size}",
                    before + expected
                );
            }
        }
    }
    Ok(())
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        (0usize..60, 1usize..100, 0usize..60),
        (0usize..3, 760usize..1600, 0usize..20),
        (230usize..260, 1usize..20, 0usize..3),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn blocks_of_digits_make_up_the_product(sizes in sizes()) {
        agrees(&Plain, sizes)?;
    }

    #[test]
    fn the_processors_unit_multiplies_as_its_definition_does(sizes in sizes()) {
        let Some(unit) = Unit::here() else { return Ok(()) };
        agrees(&unit.configured(), sizes)?;
    }

    #[test]
    fn threads_that_share_a_product_change_no_bit_of_it(rows in 0usize..200, columns in 0usize..200) {
        let (a, b) = (numbers(rows * 300, 0.7), numbers(300 * columns, 0.3));
        let Some(split) = Split::new(Matrix::new(&b, 300, columns)) else { return Ok(()) };
        let product = |threads| {
            let mut out = vec![0.0; rows * columns];
            split.product(Onto::Nothing, place(&mut out, rows, columns), Matrix::new(&a, rows, 300), threads);
            out
        };
        prop_assert_eq!(product(Threads::One), product(Threads::All));
    }

    #[test]
    fn what_is_split_makes_up_the_matrix_again(rows in 0usize..900, columns in 0usize..40) {
        let data = numbers(rows * columns, 0.3);
        for matrix in views(&data, rows, columns) {
            let at = |i: usize, j: usize| matrix.data[i * matrix.row_stride + j * matrix.column_stride];
            for (k, found) in whole((rows, columns), &parts(matrix)).into_iter().enumerate() {
                let expected = at(k / columns, k % columns);
                prop_assert!((found - expected).abs() <= 128.0 * 1.8e-7, "{found} for {expected}");
            }
        }
    }
}

/// The product of a row and a column.
fn times(unit: &impl Multiply, row: &[f32], column: &[f32]) -> f32 {
    let mut out = [0.0];
    let (a, b) = (Matrix::new(row, 1, row.len()), Matrix::new(column, column.len(), 1));
    add_up(unit, Onto::Nothing, place(&mut out, 1, 1), a, (&parts(b), 0..1));
    out[0]
}

#[test]
fn numbers_of_any_size_are_kept_and_what_is_none_stays_so() {
    for x in [0.0, -0.0, 1.0, 1.0 + f32::EPSILON, -1.234_567_9e-20, 3.3e38, -16_777_215.0] {
        for product in [times(&Plain, &[x], &[1.0]), times(&Plain, &[1.0], &[x])] {
            assert!((product - x).abs() <= x.abs() * 3e-7, "{product} for {x}");
        }
    }
    for x in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(times(&Plain, &[x, 1.0], &[0.0, 1.0]).is_nan(), "{x} is no number, or makes one with 0");
        assert!(times(&Plain, &[0.0, 1.0], &[x, 1.0]).is_nan(), "{x} is no number, or makes one with 0");
    }
    let Some(unit) = Unit::here() else { return };
    for x in [1.0, -1.234_567_9e-20, 3.3e38, f32::NAN, f32::INFINITY] {
        let [found, expected] = [times(&unit.configured(), &[x], &[0.7]), times(&Plain, &[x], &[0.7])];
        assert!(found == expected || found.is_nan() && expected.is_nan(), "{found} for {x}");
    }
}

/// The largest numbers everywhere: the largest sums.
#[test]
fn sums_of_the_largest_numbers_do_not_wrap() {
    for inner in [384, 512, 1024] {
        let found = times(&Plain, &vec![-1.0; inner], &vec![1.0; inner]);
        assert!((found + inner as f32).abs() < inner as f32 * 3e-7, "{found} of {inner}");
    }
}

/// Weights of features whose units are far apart: what is large on the left is small on the right.
#[test]
fn a_feature_in_large_units_hides_no_other() {
    let (rows, inner, columns) = (3, 300, 70);
    let unit = |k: usize| if k.is_multiple_of(50) { 200.0 } else { 1.0 };
    let a: Vec<f32> = (0..rows * inner).map(|i| (i as f32 * 0.7).sin() * unit(i % inner)).collect();
    let b: Vec<f32> = (0..inner * columns).map(|i| (i as f32 * 0.3).sin() / unit(i / columns)).collect();
    let (a, b) = (Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns));
    let mut out = vec![0.0; rows * columns];
    add_up(&Plain, Onto::Nothing, place(&mut out, rows, columns), a, (&parts(b), 0..columns));
    let error =
        out.iter().zip(naive(a, b)).map(|(&found, (expected, _))| (f64::from(found) - expected).abs());
    assert!(error.fold(0.0, f64::max) < 4e-6, "of sums of 300 numbers of about one half");
}

/// The error of a product is that of the sizes of its row and column, however they are spread: with one number 30 times as
/// large as the others, and with numbers over twenty powers of ten.
#[test]
fn uneven_lines_are_multiplied_as_in_single_precision() {
    let inner = 768;
    let even = |i: usize, step: f64| (i as f64 * step).sin();
    let spread = |i: usize, step: f64| even(i, step) * 10f64.powf(10.0 * even(i, 7.7 * step));
    let one_large = |i: usize, step: f64| even(i, step) * if i == 7 { 30.0 } else { 1.0 };
    let lines: [&dyn Fn(usize, f64) -> f64; 3] = [&even, &spread, &one_large];
    for (row, column) in lines.iter().flat_map(|row| lines.iter().map(move |column| (row, column))) {
        let line =
            |f: &dyn Fn(usize, f64) -> f64, step| (0..inner).map(|i| f(i, step) as f32).collect::<Vec<_>>();
        let (row, column) = (line(row, 0.71), line(column, 0.37));
        let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let expected: f64 = row.iter().zip(&column).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        let error = (f64::from(times(&Plain, &row, &column)) - expected).abs();
        assert!(error < 1e-6 * norm(&row) * norm(&column), "{error}");
    }
}
