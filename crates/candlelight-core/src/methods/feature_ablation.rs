//! Feature Ablation: what the score loses without each feature.

use crate::perturb::Calls;
use crate::{Attribution, Baseline, Convergence, Explain, Features, Model, Query, Result, Reuse};
use candlelight_kernels::chain::Together;

/// A = f(x) − f(x without the feature), copied to every element of the feature: one feature at a time is replaced by the
/// baseline's values (leave-one-out; the name and the semantics are
/// [Captum's](https://captum.ai/api/feature_ablation.html), the idea is that of
/// [Zeiler and Fergus 2013](https://arxiv.org/abs/1311.2901)). Any model, no gradient.
///
/// **When not to use it:** where features stand in for each other: of two that say the same, neither is missed.
/// Shapley values share out what several of them do together. And where the baseline looks like something: what is
/// measured is a replacement, not an absence.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Baseline, FeatureAblation, Features};
///
/// let patches = Features::Patches { height: 16, width: 16 };
/// let method = FeatureAblation::of(patches).baseline(Baseline::Mean);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FeatureAblation {
    features: Features,
    baseline: Baseline,
}

impl FeatureAblation {
    /// Takes these features away, one at a time.
    pub fn of(features: Features) -> Self {
        Self { features, ..Self::default() }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }
}

impl Explain for FeatureAblation {
    fn name(&self) -> String {
        "feature-ablation".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let planned = |players: &crate::features::Players| players.count();
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        let (mut values, mut reuse) = (Vec::with_capacity(calls.rows()), None::<Reuse>);
        for row in 0..calls.rows() {
            let (original, regions) = (calls.original(row, Together::Alike)?, calls.boxes(row)?);
            let alone: Vec<_> = (0..calls.players(row).count()).map(|player| vec![player]).collect();
            values.push(calls.losses(row, &original, &alone, regions.as_deref())?);
            original.reuse().into_iter().for_each(|saved| *reuse.get_or_insert_default() += saved);
        }
        let attribution = calls.attribution(self.name(), &values, Convergence::exact())?;
        Ok(Attribution { reuse, ..attribution })
    }
}
