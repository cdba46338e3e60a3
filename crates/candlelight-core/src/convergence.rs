//! How far an explanation can be trusted to be what its formula says.

use crate::{Ledger, Progress};

/// The completeness of path methods: the attributions of a row should sum to a difference of scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Completeness {
    /// Per row the sum of its attributions.
    pub sum: Vec<f64>,
    /// Per row what it should be: f(x) − f(x′), or f(x) − E f(x′) for a distribution of baselines.
    pub difference: Vec<f64>,
}

impl Completeness {
    /// Per row |sum − difference|, in units of the score.
    pub fn residual(&self) -> Vec<f64> {
        self.sum.iter().zip(&self.difference).map(|(sum, difference)| (sum - difference).abs()).collect()
    }

    /// Per row |sum − difference| / |difference|; infinite where only the difference is 0.
    pub fn relative(&self) -> Vec<f64> {
        let relative = |(residual, difference): (f64, &f64)| {
            if residual == 0.0 { 0.0 } else { residual / difference.abs() }
        };
        self.residual().into_iter().zip(&self.difference).map(relative).collect()
    }
}

/// The error that sampling leaves. [`Attribution::interval`](crate::Attribution::interval) has it value by value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Per row how many samples were drawn.
    pub samples: Vec<usize>,
    /// Per row the standard error of the map: its L2 norm over that of the map.
    pub standard_error: Vec<f64>,
}

/// How well a linear model of the score, fitted around the row, fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Per row the share of the samples' weighted variance that the model explains, R²: 1 where the score is linear in the
    /// features; where it is near 0, the coefficients say nothing.
    pub explained: Vec<f64>,
    /// Per row what the model says where every feature is absent, in units of the score.
    pub intercept: Vec<f64>,
}

/// What an [`Attribution`](crate::Attribution) knows about its own convergence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Convergence {
    /// For methods that promise completeness.
    pub completeness: Option<Completeness>,
    /// For methods that sample.
    pub sampling: Option<Sampling>,
    /// Of a sampler that was cancelled: how far it was when it handed back what it had.
    pub partial: Option<Progress>,
    /// For linear models of the score: how well they fit.
    pub fit: Option<Fit>,
    /// For paths: per row how many gradients were taken along it, or along all of them.
    pub steps: Option<Vec<usize>>,
    /// For rules that share relevance out: what became of it at every layer.
    pub ledger: Option<Ledger>,
}

impl Convergence {
    /// The convergence of a closed formula: nothing was approximated, nothing is promised.
    pub fn exact() -> Self {
        Self::default()
    }

    /// That of a path of so many gradients for each of `rows`, of which no sum is promised.
    pub(crate) fn in_steps(steps: usize, rows: usize) -> Self {
        Self { steps: Some(vec![steps; rows]), ..Self::default() }
    }

    /// The largest relative residual or standard error of all rows; 0 for an exact method.
    pub fn worst(&self) -> f64 {
        let completeness = self.completeness.iter().flat_map(Completeness::relative);
        let sampling = self.sampling.iter().flat_map(|sampling| sampling.standard_error.iter().copied());
        completeness.chain(sampling).fold(0.0, f64::max)
    }
}

/// What an explanation cost, in rows that went through the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Forward passes.
    pub forwards: usize,
    /// Backward passes.
    pub backwards: usize,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.forwards += other.forwards;
        self.backwards += other.backwards;
    }
}

/// What evaluations saved that differ from a known one in a rectangle of the input, in multiply-adds of the
/// convolutions that they went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reuse {
    /// That were computed.
    pub done: u64,
    /// At the places that the changes can reach, which no exact run can leave out: rectangles of one size are computed
    /// together, so that more are done.
    pub reached: u64,
    /// Of all places, as without reuse.
    pub whole: u64,
}

impl Reuse {
    /// How many times the work that was done the whole is.
    pub fn saved(&self) -> f64 {
        self.whole as f64 / self.done as f64
    }
}

impl std::ops::AddAssign for Reuse {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.reached += other.reached;
        self.whole += other.whole;
    }
}
