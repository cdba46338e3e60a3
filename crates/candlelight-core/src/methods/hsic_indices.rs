//! HSIC indices: how much the score depends on each feature.

use super::Draws;
use crate::features::Players;
use crate::perturb::Calls;
use crate::sampled::{Hsic, sample};
use crate::{Attribution, Baseline, Explain, Features, Model, Query, Reading, Result};

/// Hᵢ = E[½ s s′ k(f, f′)], the Hilbert-Schmidt independence criterion between the presence of feature i (s is ±1) and the score
/// f over random coalitions, k(f, f′) = exp(−(f − f′)² / 2σ²) with σ the median distance of scores
/// ([Novello et al. 2022](https://arxiv.org/abs/2206.06219)). 0 for a feature that the score does not depend on. One call a
/// draw for all features together. The indices are copied to every element of a feature.
///
/// The estimate is a mean over pairs of different draws, without bias: the index of a feature that plays no part comes
/// out a little above or below 0. The paper's counts every draw with itself, and is above 0 always. The standard error is that of
/// a delete-a-group jackknife. The work beside the model grows with the square of the draws.
///
/// **When not to use it:** to learn whether a feature speaks for or against a class: indices have no sign, and no unit.
/// For features that act only together and none alone: every index is then near 0.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, HsicIndices};
///
/// let method = HsicIndices::default().features(Features::Grid { rows: 7, columns: 7 }).samples(1500);
/// ```
#[derive(Clone, Debug)]
pub struct HsicIndices {
    features: Features,
    baseline: Baseline,
    samples: Draws,
}

impl Default for HsicIndices {
    /// 500 draws, absent features 0.
    fn default() -> Self {
        Self { features: Features::Auto, baseline: Baseline::Zero, samples: Draws::Fixed(500) }
    }
}

impl HsicIndices {
    /// What has an index.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// How many coalitions are drawn for each row, two at least; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws until the standard error of the indices, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }
}

impl Explain for HsicIndices {
    fn name(&self) -> String {
        "hsic-indices".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check_pairs()?;
        let planned = |_: &Players| self.samples.most();
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        let design =
            |row: usize| Hsic::new(calls.players(row).count(), (query.seed_asked(), query.sample(row)));
        let mut designs: Vec<Hsic> = (0..calls.rows()).map(design).collect();
        let sampled = sample(&mut calls, &mut designs, self.samples)?;
        Ok(Attribution { reading: Reading::Positive, ..calls.sampled(self.name(), sampled)? })
    }
}
