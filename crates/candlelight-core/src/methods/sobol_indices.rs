//! Sobol' indices: which share of the score's variance each feature has.

use super::Draws;
use crate::features::Players;
use crate::perturb::Calls;
use crate::sampled::{Jansen, VarianceShare, sample};
use crate::{Attribution, Baseline, Explain, Features, Model, Query, Reading, Result};

/// Sᵢ = E[Var(f | all strengths but the i-th)] / Var f, where every feature is present with a strength in [0, 1], mixed with the
/// baseline: the variance that goes with feature i, alone and together with others
/// ([Fel et al. 2021](https://arxiv.org/abs/2111.04138)). Jansen's estimator over scrambled Sobol' sequences: n + 2 calls a draw.
/// The indices are copied to every element of a feature. [`VarianceShare::First`] tells the share of feature i alone.
///
/// The standard error is that of a delete-a-group jackknife that takes draws as independent; they are spread more evenly, so
/// that it is too large rather than too small.
///
/// **When not to use it:** to learn whether a feature speaks for or against a class: indices have no sign. For many
/// features: the calls grow with their number.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, SobolIndices};
///
/// let method = SobolIndices::default().features(Features::Grid { rows: 7, columns: 7 }).samples(64);
/// ```
#[derive(Clone, Debug)]
pub struct SobolIndices {
    features: Features,
    baseline: Baseline,
    share: VarianceShare,
    samples: Draws,
}

impl Default for SobolIndices {
    /// 32 draws, total indices, what is absent 0.
    fn default() -> Self {
        let (features, baseline) = (Features::Auto, Baseline::Zero);
        Self { features, baseline, share: VarianceShare::Total, samples: Draws::Fixed(32) }
    }
}

impl SobolIndices {
    /// What has an index.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What a feature is mixed with; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Which share is told.
    pub fn share(self, share: VarianceShare) -> Self {
        Self { share, ..self }
    }

    /// How many draws are made for each row, of two calls and one for each feature; at most so many after
    /// [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws until the standard error of the indices, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }
}

impl Explain for SobolIndices {
    fn name(&self) -> String {
        "sobol-indices".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check()?;
        let planned = |players: &Players| self.samples.most() * (players.count() + 2);
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        let design = |row: usize| {
            Jansen::new(calls.players(row).count(), self.share, (query.seed_asked(), query.sample(row)))
        };
        let mut designs: Vec<Jansen> = (0..calls.rows()).map(design).collect();
        let sampled = sample(&mut calls, &mut designs, self.samples)?;
        Ok(Attribution { reading: Reading::Positive, ..calls.sampled(self.name(), sampled)? })
    }
}
