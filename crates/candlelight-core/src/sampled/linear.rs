//! Small dense linear systems: those of surrogate models with a coefficient for each feature. Own code, because crates of
//! linear algebra are a hundred times the size of what is needed here.

/// Pivots below this share of their diagonal are rounding: the system says nothing about that direction.
const PIVOT: f64 = 1e-11;
/// Sweeps of coordinate descent; it stops long before where features are masks.
const SWEEPS: usize = 10_000;
/// Coordinate descent ends when no coefficient moves by more than this share of the largest.
const SETTLED: f64 = 1e-12;

/// A symmetric positive definite matrix, factored as L Lᵀ.
pub(crate) struct Cholesky {
    lower: Vec<f64>,
    size: usize,
}

impl Cholesky {
    /// Factors the row-major square `matrix`; `None` if it is not positive definite.
    pub(crate) fn of(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = matrix.to_vec();
        for column in 0..size {
            for row in column..size {
                let dot: f64 = (0..column).map(|k| lower[row * size + k] * lower[column * size + k]).sum();
                let rest = matrix[row * size + column] - dot;
                lower[row * size + column] = match row == column {
                    true if rest > PIVOT * matrix[row * size + row] => rest.sqrt(),
                    true => return None,
                    false => rest / lower[column * size + column],
                };
            }
        }
        Some(Self { lower, size })
    }

    /// The solution of matrix · x = `right`.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let (l, n) = (&self.lower, self.size);
        let mut x = right.to_vec();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        x
    }
}

/// The x with the least ½ xᵀ A x − bᵀ x among those that sum to `total`: least squares with the efficiency constraint of
/// Shapley values. `None` if A does not determine it.
pub(crate) fn summing_to(a: &[f64], b: &[f64], total: f64) -> Option<Vec<f64>> {
    let factored = Cholesky::of(a, b.len())?;
    let (free, ones) = (factored.solve(b), factored.solve(&vec![1.0; b.len()]));
    let excess = (free.iter().sum::<f64>() - total) / ones.iter().sum::<f64>();
    Some(free.iter().zip(&ones).map(|(free, one)| free - excess * one).collect())
}

/// The x with the least ½ xᵀ A x − bᵀ x + ½ `penalty` · Σ x².
pub(crate) fn ridge(mut a: Vec<f64>, b: &[f64], penalty: f64) -> Option<Vec<f64>> {
    (0..b.len()).for_each(|i| a[i * b.len() + i] += penalty);
    Some(Cholesky::of(&a, b.len())?.solve(b))
}

/// The x with the least ½ xᵀ A x − bᵀ x + `penalty` · Σ |x|, by coordinate descent; coordinates of which A says nothing
/// stay 0.
pub(crate) fn lasso(a: &[f64], b: &[f64], penalty: f64) -> Vec<f64> {
    let n = b.len();
    let mut x = vec![0.0f64; n];
    for _ in 0..SWEEPS {
        let mut moved = 0.0f64;
        for i in (0..n).filter(|&i| a[i * n + i] > 0.0) {
            let rest: f64 = b[i] - (0..n).filter(|&k| k != i).map(|k| a[i * n + k] * x[k]).sum::<f64>();
            let new = rest.signum() * (rest.abs() - penalty).max(0.0) / a[i * n + i];
            moved = moved.max((new - x[i]).abs());
            x[i] = new;
        }
        if moved <= SETTLED * x.iter().fold(0.0, |most, x| x.abs().max(most)) {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of double precision through systems of this size.
    const EXACT: f64 = 1e-9;

    fn number(i: usize) -> f64 {
        (i * 7919 % 101) as f64 / 50.0 - 1.0
    }

    /// M Mᵀ + a little, and a right-hand side.
    fn system(n: usize) -> (Vec<f64>, Vec<f64>) {
        let m = |i: usize, k: usize| number(i * n + k + 3 * i * k);
        let entry = |at: usize| {
            let (i, j) = (at / n, at % n);
            (0..n).map(|k| m(i, k) * m(j, k)).sum::<f64>() + if i == j { 0.1 } else { 0.0 }
        };
        ((0..n * n).map(entry).collect(), (0..n).map(|i| number(i + 17)).collect())
    }

    /// The definition: Gaussian elimination with row exchanges.
    fn twin(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for column in 0..n {
            let best =
                (column..n).max_by(|&i, &j| a[i * n + column].abs().total_cmp(&a[j * n + column].abs()));
            let best = best.expect("rows are left");
            (0..n).for_each(|k| a.swap(column * n + k, best * n + k));
            b.swap(column, best);
            for row in (0..n).filter(|&row| row != column) {
                let factor = a[row * n + column] / a[column * n + column];
                (0..n).for_each(|k| a[row * n + k] -= factor * a[column * n + k]);
                b[row] -= factor * b[column];
            }
        }
        (0..n).map(|i| b[i] / a[i * n + i]).collect()
    }

    fn near(a: &[f64], b: &[f64]) {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < EXACT * (1.0 + b.abs()), "{a} {b}");
        }
    }

    #[test]
    fn factored_systems_are_solved_as_by_elimination() {
        for n in 1..9 {
            let (a, b) = system(n);
            near(&Cholesky::of(&a, n).expect("positive definite").solve(&b), &twin(a, b));
        }
    }

    #[test]
    fn a_ridge_is_the_system_with_a_larger_diagonal() {
        let (a, b) = system(5);
        let mut larger = a.clone();
        (0..5).for_each(|i| larger[i * 6] += 0.7);
        near(&ridge(a, &b, 0.7).expect("positive definite"), &twin(larger, b));
    }

    #[test]
    fn the_constraint_is_that_of_a_bordered_system() {
        for n in 1..7 {
            let (a, b) = system(n);
            let bordered = |at: usize| match (at / (n + 1), at % (n + 1)) {
                (i, j) if i < n && j < n => a[i * n + j],
                (i, j) if i == n && j == n => 0.0,
                _ => 1.0,
            };
            let bordered: Vec<f64> = (0..(n + 1) * (n + 1)).map(bordered).collect();
            let expected = twin(bordered, [b.clone(), vec![2.5]].concat());
            near(&summing_to(&a, &b, 2.5).expect("positive definite"), &expected[..n]);
        }
    }

    #[test]
    fn singular_systems_are_told() {
        assert!(Cholesky::of(&[1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Cholesky::of(&[0.0], 1).is_none());
    }

    #[test]
    fn the_lasso_meets_its_optimality_conditions() {
        // The gradient A x − b is ∓ the penalty where x is ±, and within it where x is 0.
        for (n, penalty) in [(1, 0.1), (4, 0.3), (7, 0.05), (7, 5.0)] {
            let (a, b) = system(n);
            let x = lasso(&a, &b, penalty);
            for i in 0..n {
                let slope: f64 = (0..n).map(|k| a[i * n + k] * x[k]).sum::<f64>() - b[i];
                let wrong = if x[i] == 0.0 {
                    (slope.abs() - penalty).max(0.0)
                } else {
                    slope + penalty * x[i].signum()
                };
                assert!(wrong.abs() < EXACT, "{n} {penalty}: {wrong}");
            }
        }
        assert!(lasso(&[1.0, 0.0, 0.0, 0.0], &[2.0, 1.0], 0.5) == [1.5, 0.0]);
    }
}
