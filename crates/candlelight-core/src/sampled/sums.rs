//! What least squares need to know of samples, in memory that does not grow with them.

use crate::perturb::Coalition;

/// Weighted sums over (coalition z, value y): all that a linear model of y in z depends on.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(crate) count: usize,
    pub(crate) weight: f64,
    /// Σ w z zᵀ, row by row.
    pub(crate) zz: Vec<f64>,
    pub(crate) z: Vec<f64>,
    pub(crate) zy: Vec<f64>,
    pub(crate) y: f64,
    pub(crate) yy: f64,
}

/// A linear model: one coefficient for each player, and an intercept.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) intercept: f64,
}

impl Sums {
    pub(crate) fn new(players: usize) -> Self {
        let zeros = vec![0.0; players];
        let zz = vec![0.0; players * players];
        Self { count: 0, weight: 0.0, zz, z: zeros.clone(), zy: zeros, y: 0.0, yy: 0.0 }
    }

    pub(crate) fn players(&self) -> usize {
        self.z.len()
    }

    pub(crate) fn add(&mut self, coalition: &Coalition, value: f64, weight: f64) {
        let players = self.players();
        let present: Vec<usize> = (0..players).filter(|&player| coalition.has(player)).collect();
        for &i in &present {
            self.z[i] += weight;
            self.zy[i] += weight * value;
            present.iter().for_each(|&j| self.zz[i * players + j] += weight);
        }
        self.count += 1;
        self.weight += weight;
        self.y += weight * value;
        self.yy += weight * value * value;
    }

    /// These sums and `factor` times those of `other`.
    pub(crate) fn plus(mut self, other: &Self, factor: f64) -> Self {
        let add = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += factor * b);
        add(&mut self.zz, &other.zz);
        add(&mut self.z, &other.z);
        add(&mut self.zy, &other.zy);
        self.weight += factor * other.weight;
        self.y += factor * other.y;
        self.yy += factor * other.yy;
        self
    }

    /// Covariances of the players, and of players and value, both times the weight: what a model with a free intercept
    /// is fitted to.
    pub(crate) fn centred(&self) -> (Vec<f64>, Vec<f64>) {
        let players = self.players();
        let mean = |i: usize| self.z[i] / self.weight;
        let zz = (0..players * players).map(|at| self.zz[at] - self.z[at / players] * mean(at % players));
        (zz.collect(), (0..players).map(|i| self.zy[i] - mean(i) * self.y).collect())
    }

    /// The model with these coefficients and the intercept that fits best.
    pub(crate) fn line(&self, coefficients: Vec<f64>) -> Line {
        let explained: f64 = coefficients.iter().zip(&self.z).map(|(c, z)| c * z).sum();
        Line { intercept: (self.y - explained) / self.weight, coefficients }
    }

    /// The share of the values' variance that `line` explains.
    pub(crate) fn explained(&self, line: &Line) -> f64 {
        let (zz, zy) = self.centred();
        let (players, c) = (self.players(), &line.coefficients);
        let total = self.yy - self.y * self.y / self.weight;
        let quadratic: f64 =
            (0..players * players).map(|at| c[at / players] * zz[at] * c[at % players]).sum();
        let linear: f64 = c.iter().zip(&zy).map(|(c, zy)| c * zy).sum();
        if total > 0.0 { (2.0 * linear - quadratic) / total } else { 1.0 }
    }
}
