//! Shapley values by orders in which features join.

use super::Draws;
use crate::features::Players;
use crate::perturb::{Calls, Coalition};
use crate::sampled::{Design, Enumeration, Guided, Law, Orders, Turn, efficiency, ends, sample};
use crate::{Attribution, Baseline, Convergence, Error, Explain, Features, Model, Query, Result};

/// The most features of which all coalitions are asked: a million of them.
const ALL: usize = 20;

/// Which coalitions [`ShapleyValues`] asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Joining {
    /// All 2ⁿ: the values are exact. At most 20 features.
    Exact,
    /// Those on the way of random orders
    /// ([Castro et al. 2009](https://doi.org/10.1016/j.cor.2008.04.004)).
    Random,
    /// Those on the way of random orders and of their reverses
    /// ([Mitchell et al. 2022](https://arxiv.org/abs/2104.12199)): less error for as many calls.
    #[default]
    Antithetic,
    /// Everybody alone and everybody missing; features of which both effects agree within `tolerance` of the largest
    /// effect are taken as additive and done; the others join in antithetic orders, those present
    /// ([ablation-guided](https://github.com/pytorch/captum/issues/1894)). What interacts and happens to agree is taken
    /// wrongly: the completeness residual shows it.
    Guided {
        /// How far apart the two effects of a feature may be, as a share of the largest.
        tolerance: f64,
    },
}

/// φᵢ = Σ over S without i of s! (n − s − 1)! / n! · (f(S ∪ i) − f(S)): what feature i brings in the mean over all orders in which
/// n features join ([Shapley 1953](https://doi.org/10.1515/9781400881970-018),
/// [Strumbelj and Kononenko 2010](https://jmlr.org/papers/v11/strumbelj10a.html)). f(S) is the score of the row with the
/// baseline's values in the place of the features outside of S. The values are copied to every element of a feature, and
/// sum, feature by feature, to f(x) − f(∅).
///
/// Where all coalitions are no more than the orders would ask for, they are asked, and the values exact. A draw is one
/// order, or an order and its reverse; the standard error is that of the mean over draws.
///
/// **When not to use it:** with a baseline that looks like something, or leads off what the model knows: the game is then
/// another one. For hundreds of features, where KernelSHAP has less error for as many calls, or a hierarchy
/// (Partition SHAP) helps.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, Joining, ShapleyValues};
///
/// let exact = ShapleyValues::default().features(Features::Values).joining(Joining::Exact);
/// ```
#[derive(Clone, Debug)]
pub struct ShapleyValues {
    features: Features,
    baseline: Baseline,
    joining: Joining,
    samples: Draws,
}

impl Default for ShapleyValues {
    /// 13 orders and their reverses, absent features 0.
    fn default() -> Self {
        let (features, baseline) = (Features::Auto, Baseline::Zero);
        Self { features, baseline, joining: Joining::Antithetic, samples: Draws::Fixed(13) }
    }
}

impl ShapleyValues {
    /// Who shares the score.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Which coalitions are asked about.
    pub fn joining(self, joining: Joining) -> Self {
        Self { joining, ..self }
    }

    /// How many orders, or pairs of an order and its reverse, are drawn for each row; at most so many after
    /// [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws until the standard error of the values, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// Coalitions that the draws ask for, beside those of nobody and of all.
    fn asked(&self, players: usize) -> usize {
        let per_order = self.samples.most().saturating_mul(players - 1);
        match self.joining {
            Joining::Exact => Enumeration::coalitions(players).unwrap_or(usize::MAX),
            Joining::Random => per_order,
            Joining::Antithetic => per_order.saturating_mul(2),
            Joining::Guided { .. } => per_order.saturating_mul(2).saturating_add(2 * players),
        }
    }

    fn design(
        &self,
        players: usize,
        ends: (f64, f64),
        address: (u64, u64),
    ) -> Box<dyn Design<Point = Coalition>> {
        let orders = |turn| Box::new(Orders::new(players, ends, (Law::Uniform, turn), address));
        let all = Enumeration::coalitions(players).filter(|_| players <= ALL);
        match self.joining {
            _ if all.is_some_and(|all| all <= self.asked(players)) => {
                Box::new(Enumeration::new(players, ends))
            }
            Joining::Exact | Joining::Random => orders(Turn::Once),
            Joining::Antithetic => orders(Turn::Both),
            Joining::Guided { tolerance } => Box::new(Guided::new(players, ends, tolerance, address)),
        }
    }

    fn check(&self, calls: &Calls) -> Result<()> {
        let most = (0..calls.rows()).map(|row| calls.players(row).count()).max().unwrap_or(0);
        let (setting, value, expected) = match self.joining {
            Joining::Exact if most > ALL => {
                ("number of features for exact values", most.to_string(), "at most 20: take fewer, or sample")
            }
            Joining::Guided { tolerance } if !(tolerance.is_finite() && tolerance >= 0.0) => {
                ("tolerance", tolerance.to_string(), "a share that is finite and not negative, such as 0.01")
            }
            _ => return Ok(()),
        };
        Err(Error::Setting { setting, value, expected })
    }
}

impl Explain for ShapleyValues {
    fn name(&self) -> String {
        "shapley-values".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check()?;
        let planned = |players: &Players| {
            let all = Enumeration::coalitions(players.count()).filter(|_| players.count() <= ALL);
            1 + self.asked(players.count()).min(all.unwrap_or(usize::MAX / 2))
        };
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        self.check(&calls)?;
        let ends = ends(&mut calls)?;
        let design = |row: usize| {
            let address = (query.seed_asked(), query.sample(row));
            self.design(calls.players(row).count(), ends[row], address)
        };
        let mut designs: Vec<_> = (0..calls.rows()).map(design).collect();
        let mut sampled = sample(&mut calls, &mut designs, self.samples)?;
        let completeness = efficiency(&sampled.estimates, &ends);
        sampled.convergence = Convergence { completeness, ..sampled.convergence };
        calls.sampled(self.name(), sampled)
    }
}
