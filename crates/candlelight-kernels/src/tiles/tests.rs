use super::block::{LINES, PAIRS};
use super::*;
use proptest::prelude::*;

/// Rounding of a product in single precision, relative to the product of the absolute values.
const ROUNDING: f64 = 4e-7;

/// What products are added to: were every step of one rounded in it, the error would be too large.
const LARGE: f64 = 1000.0;

/// The six products of three parts by three by their definition: what the unit does, and what a processor without one can
/// check the layout with.
struct Plain;

impl Multiply for Plain {
    fn multiply(&self, place: Place, rows: [&[Step]; 2], columns: [&[Step]; 2], _: &[Step]) {
        let mut block = Block::default();
        for (i, j) in (0..SIDE).flat_map(|i| (0..SIDE).map(move |j| (i, j))) {
            let steps = rows[i / LINES].iter().zip(columns[j / LINES]);
            block.0[i][j] = steps.map(|(row, column)| scalar(row, column, i % LINES, j % LINES)).sum();
        }
        place.take(Onto::Nothing, &block);
    }
}

/// What a step adds to element (i, j).
fn scalar(row: &Step, column: &Step, i: usize, j: usize) -> f32 {
    let parts = |Step(parts): &Step, at: usize| {
        parts.map(|part| [part[at] << 16, part[at] & 0xffff_0000].map(f32::from_bits))
    };
    let pairs = (0..PAIRS).map(|pair| (parts(row, i * PAIRS + pair), parts(column, pair * LINES + j)));
    let terms = pairs.map(|(a, b)| {
        (0..2).map(|k| six([a[0][k], a[1][k], a[2][k]], [b[0][k], b[1][k], b[2][k]])).sum::<f32>()
    });
    terms.sum()
}

fn six(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[2] * b[0] + a[1] * b[0] + a[1] * b[1] + a[0] * b[1] + a[0] * b[2] + a[0] * b[0]
}

fn numbers(count: usize, step: f64) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * step).sin() * 10f64.powi(i as i32 % 5 - 2)) as f32).collect()
}

/// The product by its definition, and that of the absolute values, in double precision.
fn naive(a: Matrix<f32>, b: Matrix<f32>) -> Vec<(f64, f64)> {
    let at = |m: &Matrix<f32>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.column_stride]);
    let places = (0..a.rows).flat_map(|i| (0..b.columns).map(move |j| (i, j)));
    let terms = |i, j| (0..a.columns).map(move |k| at(&a, i, k) * at(&b, k, j));
    places.map(|(i, j)| (terms(i, j).sum(), terms(i, j).map(f64::abs).sum())).collect()
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
            add_up(unit, onto, place(&mut out, rows, columns), a, b);
            for (&found, (expected, size)) in out.iter().zip(naive(a, b)) {
                let error = (f64::from(found) - before - expected).abs();
                prop_assert!(error <= ROUNDING * (size + before), "{found} for {}", before + expected);
            }
        }
    }
    Ok(())
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        (0usize..100, 1usize..100, 0usize..100),
        (0usize..3, 760usize..1600, 0usize..40),
        (190usize..400, 1usize..40, 0usize..3),
        (0usize..3, 1usize..3, 1530usize..1600),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn blocks_of_split_numbers_make_up_the_product(sizes in sizes()) {
        agrees(&Plain, sizes)?;
    }

    #[test]
    fn the_processors_unit_multiplies_as_its_definition_does(sizes in sizes()) {
        let Some(unit) = Unit::here() else { return Ok(()) };
        agrees(&unit.configured(), sizes)?;
    }

    #[test]
    fn threads_that_share_a_product_change_no_bit_of_it(rows in 0usize..200, columns in 0usize..200) {
        let Some(unit) = Unit::here() else { return Ok(()) };
        let (a, b) = (numbers(rows * 40, 0.7), numbers(40 * columns, 0.3));
        let product = |threads| {
            let mut out = vec![0.0; rows * columns];
            let factors = (Matrix::new(&a, rows, 40), Matrix::new(&b, 40, columns));
            unit.product(Onto::Nothing, place(&mut out, rows, columns), factors, threads);
            out
        };
        prop_assert_eq!(product(Threads::One), product(Threads::All));
    }
}

proptest! {
    #[test]
    fn what_is_split_makes_up_the_matrix_again(rows in 0usize..100, columns in 0usize..100) {
        let data = numbers(rows * columns, 0.3);
        for matrix in views(&data, rows, columns) {
            let mut packed = Packed::default();
            packed.fill(Side::Right, matrix.transposed());
            let at = |i: usize, j: usize| matrix.data[i * matrix.row_stride + j * matrix.column_stride];
            let expected: Vec<_> = (0..rows * columns).map(|k| at(k / columns, k % columns)).collect();
            let mut found = vec![0.0; rows * columns];
            packed.whole(columns, &mut found);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_factor_that_was_split_before_gives_the_same_bits(
        rows in 0usize..200, inner in prop_oneof![256usize..300, 1000usize..1600], columns in 0usize..100, all in any::<bool>(),
    ) {
        let (a, b) = (numbers(rows * inner, 0.7), numbers(inner * columns, 0.3));
        for b in views(&b, inner, columns) {
            let Some(split) = Split::new(b) else { return Ok(()) };
            let (a, threads) = (Matrix::new(&a, rows, inner), if all { Threads::All } else { Threads::One });
            let [mut expected, mut found] = [(); 2].map(|()| vec![0.0; rows * columns]);
            split.unit().product(Onto::Nothing, place(&mut expected, rows, columns), (a, b), threads);
            split.unit().product(Onto::Nothing, place(&mut found, rows, columns), (a, split.columns()), threads);
            prop_assert_eq!(found, expected);
        }
    }
}

/// A matrix of one number, multiplied by one.
fn times_one(unit: &impl Multiply, x: f32) -> f32 {
    let mut out = [0.0];
    add_up(unit, Onto::Nothing, place(&mut out, 1, 1), Matrix::new(&[x], 1, 1), Matrix::new(&[1.0], 1, 1));
    out[0]
}

#[test]
fn numbers_of_any_size_are_kept_and_what_is_none_stays_so() {
    for x in [0.0, -0.0, 1.0, f32::EPSILON, 1.0 + f32::EPSILON, -1.234_567_9e-20, 3.3e38, -16_777_215.0] {
        assert_eq!(times_one(&Plain, x), x);
    }
    for x in [f32::NAN, -f32::NAN, f32::from_bits(0x7fff_ffff), f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        assert!(times_one(&Plain, x).is_nan(), "{x} is no number, or rounds to none");
    }
    let Some(unit) = Unit::here() else { return };
    for x in [1.0, -1.234_567_9e-20, 3.3e38, f32::NAN, f32::from_bits(0x7fff_ffff), f32::INFINITY, f32::MAX] {
        let (found, expected) = (times_one(&unit.configured(), x), times_one(&Plain, x));
        assert!(found == expected || found.is_nan() && expected.is_nan(), "{found} for {x}");
    }
}
