//! Rules that replace the integral over a path by a weighted sum.

/// Where on [0, 1] the gradient is taken, and with what weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quadrature {
    /// Gauss-Legendre: exact for polynomials up to degree 2n − 1.
    #[default]
    GaussLegendre,
    /// The composite trapezoid over n points, both ends among them. Its weights sum to 1; Captum's
    /// `riemann_trapezoid` divides by n in place of n − 1, so that its maps are (n − 1)/n of these.
    Trapezoid,
    /// The left end of each of n equal steps, the baseline among them.
    Left,
    /// The right end of each of n equal steps, the input among them: what the paper writes.
    Right,
    /// The middle of each of n equal steps.
    Middle,
}

impl Quadrature {
    /// The `n` positions and weights of the rule; the weights sum to 1.
    ///
    /// # Example
    /// ```
    /// use candlelight_core::Quadrature;
    ///
    /// assert_eq!(Quadrature::Middle.nodes(2), [(0.25, 0.5), (0.75, 0.5)]);
    /// ```
    pub fn nodes(self, n: usize) -> Vec<(f64, f64)> {
        match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::Trapezoid if n == 1 => vec![(0.5, 1.0)],
            Self::Trapezoid => {
                let step = 1.0 / (n - 1) as f64;
                let end = |k: usize| k == 0 || k == n - 1;
                (0..n).map(|k| (k as f64 * step, if end(k) { step / 2.0 } else { step })).collect()
            }
            Self::Left => steps(n, 0.0),
            Self::Middle => steps(n, 0.5),
            Self::Right => steps(n, 1.0),
        }
    }
}

/// A node at `share` of each of `n` equal steps.
fn steps(n: usize, share: f64) -> Vec<(f64, f64)> {
    (0..n).map(|k| ((k as f64 + share) / n as f64, 1.0 / n as f64)).collect()
}

/// The roots of the Legendre polynomial by Newton's method, mapped to [0, 1], ascending.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let node = |k: usize| {
        let guess = (std::f64::consts::PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let root = (0..100).fold(guess, |x, _| {
            x - {
                let (p, slope) = legendre(n, x);
                p / slope
            }
        });
        let slope = legendre(n, root).1;
        ((1.0 - root) / 2.0, 1.0 / ((1.0 - root * root) * slope * slope))
    };
    (0..n).map(node).collect()
}

/// The Legendre polynomial of degree `n` and its derivative at `x`.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let step = |(before, p): (f64, f64), k: usize| {
        let k = k as f64;
        (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k)
    };
    let (before, p) = (2..=n).fold((1.0, x), step);
    (p, n as f64 * (x * p - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of sums over up to 300 nodes.
    const TOLERANCE: f64 = 1e-13;

    const ALL: [Quadrature; 5] = [
        Quadrature::GaussLegendre,
        Quadrature::Trapezoid,
        Quadrature::Left,
        Quadrature::Right,
        Quadrature::Middle,
    ];

    #[test]
    fn the_rules_of_equal_steps_are_captums() {
        let at = |rule: Quadrature| rule.nodes(4).into_iter().map(|node| node.0).collect::<Vec<_>>();
        assert_eq!(at(Quadrature::Left), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(at(Quadrature::Middle), [0.125, 0.375, 0.625, 0.875]);
        assert_eq!(at(Quadrature::Right), [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn weights_sum_to_one_and_nodes_ascend_inside_the_interval() {
        for rule in ALL {
            for n in [1, 2, 3, 10, 50, 300] {
                let nodes = rule.nodes(n);
                assert!(
                    (nodes.iter().map(|node| node.1).sum::<f64>() - 1.0).abs() < TOLERANCE,
                    "{rule:?} {n}"
                );
                assert!(nodes.windows(2).all(|pair| pair[0].0 < pair[1].0));
                assert!(nodes.iter().all(|node| (0.0..=1.0).contains(&node.0)));
            }
        }
    }

    #[test]
    fn gauss_legendre_is_exact_up_to_degree_2n_minus_1() {
        for n in 1..12 {
            let degree = 2 * n as i32 - 1;
            let integral: f64 = gauss_legendre(n).iter().map(|(x, w)| w * x.powi(degree)).sum();
            assert!((integral - 1.0 / f64::from(degree + 1)).abs() < TOLERANCE);
        }
    }
}
