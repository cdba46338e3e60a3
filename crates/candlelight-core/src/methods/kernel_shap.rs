//! KernelSHAP: Shapley values by weighted least squares.

use super::Draws;
use crate::features::Players;
use crate::perturb::Calls;
use crate::sampled::{Kernel, check_players, efficiency, ends, sample};
use crate::{Attribution, Baseline, Convergence, Explain, Features, Model, Query, Result};

/// Coalitions for each feature with which a run begins that stops by itself.
const FIRST: usize = 8;

/// Shapley values φ as the weighted least squares of f(S) − f(∅) ≈ Σ φᵢ over coalitions S of features, with the weight
/// (n − 1) / (C(n, s) s (n − s)) of the Shapley kernel and Σ φᵢ = f(x) − f(∅)
/// ([Lundberg and Lee 2017](https://arxiv.org/abs/1705.07874)). f(S) is the score of the row with the baseline's values in
/// the place of the features outside of S. The values are copied to every element of a feature.
///
/// All coalitions of the sizes for which the samples suffice are asked, and of the others random ones, each with its
/// complement and the sizes in turns ([Covert and Lee 2021](https://arxiv.org/abs/2012.01536)). Where all 2ⁿ fit, the values are
/// exact. With fewer pairs than twice the features the matrix of the least squares is its expectation (unbiased
/// KernelSHAP, ibid.), and the error large. The standard error is that of a delete-a-group jackknife over the pairs.
///
/// **When not to use it:** where features of the baseline's values are inputs that the model has never seen: what is
/// shared out is then the model's answer to nonsense. Where 2 000 features or more are wanted; and where features stand
/// in for each other, the values share what they bring and say nothing of what one of them would do alone.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, KernelShap};
///
/// let method = KernelShap::default().features(Features::Grid { rows: 7, columns: 7 }).samples(2000);
/// ```
#[derive(Clone, Debug)]
pub struct KernelShap {
    features: Features,
    baseline: Baseline,
    samples: Draws,
}

impl Default for KernelShap {
    /// 1 000 coalitions, absent features 0.
    fn default() -> Self {
        Self { features: Features::Auto, baseline: Baseline::Zero, samples: Draws::Fixed(1000) }
    }
}

impl KernelShap {
    /// Who shares the score.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// How many coalitions are asked, beside those of nobody and of all; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Asks until the standard error of the values, norm over norm, is at most `standard_error`, or 10 000 coalitions
    /// are asked.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// For how many coalitions the sizes are chosen of which all are asked.
    fn planned(&self, players: usize) -> usize {
        match self.samples {
            Draws::Fixed(samples) => samples,
            Draws::Until { most, .. } => most.min(FIRST * players),
        }
    }
}

impl Explain for KernelShap {
    fn name(&self) -> String {
        "kernel-shap".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check()?;
        let planned = |_: &Players| self.samples.most() + 1;
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        check_players(&calls)?;
        let ends = ends(&mut calls)?;
        let design = |row: usize| {
            let players = calls.players(row).count();
            Kernel::new(players, ends[row], self.planned(players), (query.seed_asked(), query.sample(row)))
        };
        let mut designs: Vec<Kernel> = (0..calls.rows()).map(design).collect();
        let mut sampled = sample(&mut calls, &mut designs, self.samples)?;
        let completeness = efficiency(&sampled.estimates, &ends);
        sampled.convergence = Convergence { completeness, ..sampled.convergence };
        calls.sampled(self.name(), sampled)
    }
}
