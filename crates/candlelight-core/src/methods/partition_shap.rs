//! Partition SHAP: what blocks within blocks of the image bring.

use super::Draws;
use crate::features::Players;
use crate::perturb::{Calls, Coalition};
use crate::sampled::{Design, Law, Orders, Owen, Tree, Turn, efficiency, ends, sample};
use crate::{Attribution, Baseline, Convergence, Explain, Features, Model, Query, Result};

/// Owen values: Shapley values of features that form blocks within blocks, φᵢ the mean of f(S ∪ i) − f(S) over all S made of
/// some of the blocks beside the way from the whole to feature i, each present with chance ½
/// ([Owen 1977](https://doi.org/10.1007/978-3-642-45494-3_7); as `PartitionExplainer` of
/// [Lundberg and Lee 2017](https://arxiv.org/abs/1705.07874)). The hierarchy halves the features by where they lie, across the
/// longer side. f(S) is the score of the row with the baseline's values in the place of the features outside of S. The values
/// are copied to every element of a feature, and sum, feature by feature, to f(x) − f(∅).
///
/// They need the square of the number of features in coalitions instead of 2ⁿ. Where the samples are fewer, features
/// join in random orders that keep every block together, each with its reverse; the standard error is that of the mean over
/// such pairs.
///
/// **When not to use it:** where parts far from each other act together, as eye and tail: the hierarchy knows only
/// neighbours, and another one gives other values.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, PartitionShap};
///
/// let exact = PartitionShap::default().features(Features::Grid { rows: 4, columns: 4 }).samples(usize::MAX);
/// ```
#[derive(Clone, Debug)]
pub struct PartitionShap {
    features: Features,
    baseline: Baseline,
    samples: Draws,
}

impl Default for PartitionShap {
    /// 10 orders and their reverses, absent features 0.
    fn default() -> Self {
        Self { features: Features::Auto, baseline: Baseline::Zero, samples: Draws::Fixed(10) }
    }
}

impl PartitionShap {
    /// Who shares the score.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// How many pairs of an order and its reverse are drawn for each row; at most so many after [`until`](Self::until).
    /// Where they would ask for as many coalitions as there are, those are asked, and the values exact.
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws until the standard error of the values, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// Coalitions that the draws ask for, beside those of nobody and of all.
    fn asked(&self, players: usize) -> usize {
        self.samples.most().saturating_mul(2 * (players - 1))
    }

    /// All coalitions of the hierarchy if they are few enough, or else random orders.
    fn design(
        &self,
        tree: Tree,
        ends: (f64, f64),
        address: (u64, u64),
    ) -> Box<dyn Design<Point = Coalition>> {
        let (all, players) = (Owen::new(&tree), tree.count());
        match all.coalitions() {
            Some(count) if count <= self.asked(players) => Box::new(all),
            _ => Box::new(Orders::new(players, ends, (Law::Blocks(tree), Turn::Both), address)),
        }
    }
}

impl Explain for PartitionShap {
    fn name(&self) -> String {
        "partition-shap".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check()?;
        let planned = |players: &Players| {
            let count = players.count();
            self.asked(count).min(count.saturating_mul(count)).saturating_add(1)
        };
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        let ends = ends(&mut calls)?;
        let mut designs = Vec::with_capacity(calls.rows());
        for (row, ends) in ends.iter().enumerate() {
            let tree = Tree::halving(&calls.players(row).centres()?);
            designs.push(self.design(tree, *ends, (query.seed_asked(), query.sample(row))));
        }
        let mut sampled = sample(&mut calls, &mut designs, self.samples)?;
        let completeness = efficiency(&sampled.estimates, &ends);
        sampled.convergence = Convergence { completeness, ..sampled.convergence };
        calls.sampled(self.name(), sampled)
    }
}
