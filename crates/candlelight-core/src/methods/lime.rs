//! LIME: a linear model of the score around the row.

use super::{Draws, positive};
use crate::features::Players;
use crate::perturb::{Calls, Coalition};
use crate::sampled::{Penalty, Surrogate, check_players, sample};
use crate::{Attribution, Baseline, Convergence, Error, Explain, Features, Fit, Model, Query, Result};
use candle_core::Tensor;
use std::fmt;
use std::sync::Arc;

/// A closure from who is present to how much a sample counts.
type Kernel = dyn Fn(&[bool]) -> f64 + Send + Sync;

/// How much a sample counts: the nearer to the row, the more.
#[derive(Clone)]
#[non_exhaustive]
pub enum Proximity {
    /// exp(−d² / 2w²) of this width w with the cosine distance d = 1 − √(share of features present): LIME's for images, of
    /// width 0.25.
    Cosine(f64),
    /// exp(−d² / w²) of this width w with d the share of features absent.
    Absent(f64),
    /// Any function of who is present, finite and not negative.
    Any(Arc<Kernel>),
}

impl Proximity {
    fn of(&self, coalition: &Coalition) -> f64 {
        let share = coalition.size() as f64 / coalition.players() as f64;
        match self {
            Self::Cosine(width) => (-0.5 * ((1.0 - share.sqrt()) / width).powi(2)).exp(),
            Self::Absent(width) => (-((1.0 - share) / width).powi(2)).exp(),
            Self::Any(kernel) => {
                kernel(&coalition.members().into_iter().map(|member| member == 1).collect::<Vec<_>>())
            }
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Cosine(width) | Self::Absent(width) => positive("width of the kernel", *width),
            Self::Any(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Proximity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cosine(width) => write!(f, "Cosine({width})"),
            Self::Absent(width) => write!(f, "Absent({width})"),
            Self::Any(_) => f.write_str("Any(..)"),
        }
    }
}

/// What keeps the coefficients of [`Lime`] small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shrinkage {
    /// α Σ cᵢ² beside Σ w (f − c₀ − Σ cᵢ zᵢ)²: scikit-learn's `Ridge`.
    Ridge(f64),
    /// α Σ |cᵢ| beside Σ w (f − c₀ − Σ cᵢ zᵢ)² / 2 Σ w: scikit-learn's `Lasso`. Few features are left.
    Lasso(f64),
}

/// The coefficients c of the linear model f(z) ≈ c₀ + Σ cᵢ zᵢ that fits best around the row, zᵢ 1 where feature i is present and 0
/// where the baseline's values are in its place: "local interpretable model-agnostic explanations"
/// ([Ribeiro et al. 2016](https://arxiv.org/abs/1602.04938)). Samples have every feature with chance ½, and count by their
/// [`Proximity`]. The coefficients are copied to every element of a feature.
///
/// [`Convergence::fit`] tells how much of the samples' variance the model explains, and c₀. The standard error is that of a
/// delete-a-group jackknife over the samples; of a coefficient that the lasso now keeps and now drops it is too large
/// rather than too small.
///
/// **When not to use it:** where the fit explains little, read no coefficient. The width of the kernel decides what
/// "around" means, and there is no right one; Shapley values have none.
///
/// # Shapes
/// Map `[N, …]` with the shape of the [`Features`]: the input's, or with one channel.
///
/// # Example
/// ```
/// use candlelight_core::{Features, Lime, Segmentation, Shrinkage};
///
/// let method = Lime::default()
///     .features(Features::Superpixels(Segmentation::quickshift()))
///     .shrinkage(Shrinkage::Lasso(0.01));
/// ```
#[derive(Clone, Debug)]
pub struct Lime {
    features: Features,
    baseline: Baseline,
    proximity: Proximity,
    shrinkage: Shrinkage,
    samples: Draws,
    given: Option<Tensor>,
}

impl Default for Lime {
    /// 1 000 samples by the cosine kernel of width 0.25, a ridge with α = 1, absent features 0.
    fn default() -> Self {
        Self {
            features: Features::Auto,
            baseline: Baseline::Zero,
            proximity: Proximity::Cosine(0.25),
            shrinkage: Shrinkage::Ridge(1.0),
            samples: Draws::Fixed(1000),
            given: None,
        }
    }
}

impl Lime {
    /// What the linear model has coefficients for.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// What stands in the place of an absent feature; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// How much a sample counts.
    pub fn proximity(self, proximity: Proximity) -> Self {
        Self { proximity, ..self }
    }

    /// What keeps the coefficients small.
    pub fn shrinkage(self, shrinkage: Shrinkage) -> Self {
        Self { shrinkage, ..self }
    }

    /// How many samples are drawn for each row; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws until the standard error of the coefficients, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// Takes these samples, `[samples, features]` of 1 and 0, for every row: to repeat another tool's numbers.
    pub fn given(self, samples: Tensor) -> Self {
        Self { given: Some(samples), ..self }
    }

    fn penalty(&self) -> Result<Penalty> {
        let (Shrinkage::Ridge(alpha) | Shrinkage::Lasso(alpha)) = self.shrinkage;
        if !(alpha.is_finite() && alpha >= 0.0) {
            let (setting, expected) = ("shrinkage", "a number that is finite and not negative");
            return Err(Error::Setting { setting, value: alpha.to_string(), expected });
        }
        Ok(match self.shrinkage {
            Shrinkage::Ridge(alpha) => Penalty::Ridge(alpha),
            Shrinkage::Lasso(alpha) => Penalty::Lasso(alpha),
        })
    }

    /// The samples given, for `players` features.
    fn coalitions(&self, players: usize) -> Result<Vec<Coalition>> {
        let Some(given) = &self.given else { return Ok(Vec::new()) };
        let [count, width] = *given.dims() else { return Err(refused(given, players)) };
        if count == 0 || width != players {
            return Err(refused(given, players));
        }
        let rows = given.to_dtype(candle_core::DType::F64)?.to_vec2::<f64>()?;
        let of = |row: Vec<f64>| Coalition::of(players, (0..players).filter(|&player| row[player] > 0.5));
        Ok(rows.into_iter().map(of).collect())
    }
}

fn refused(given: &Tensor, players: usize) -> Error {
    let expected = format!("[samples, {players}], a column for each feature");
    Error::Shape { what: "the samples of LIME", found: given.dims().to_vec(), expected }
}

impl Explain for Lime {
    fn name(&self) -> String {
        "lime".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        self.samples.check()?;
        self.proximity.check()?;
        let (penalty, given) = (self.penalty()?, self.given.as_ref().map(|given| given.dims()[0]));
        let planned = |_: &Players| given.unwrap_or(self.samples.most());
        let mut calls = Calls::new((model, query), &self.features, &self.baseline, planned)?;
        check_players(&calls)?;
        let mut designs = Vec::with_capacity(calls.rows());
        for row in 0..calls.rows() {
            let (players, address) = (calls.players(row).count(), (query.seed_asked(), query.sample(row)));
            let weight = |coalition: &Coalition| self.proximity.of(coalition);
            designs.push(Surrogate::new(players, self.coalitions(players)?, weight, penalty, address));
        }
        let mut sampled = sample(&mut calls, &mut designs, self.samples)?;
        let lines: Option<Vec<_>> = designs.iter().map(Surrogate::line).collect();
        let fit = lines.map(|lines| {
            let (lines, explained): (Vec<_>, Vec<f64>) = lines.into_iter().unzip();
            Fit { explained, intercept: lines.into_iter().map(|line| line.intercept).collect() }
        });
        sampled.convergence = Convergence { fit, ..sampled.convergence };
        calls.sampled(self.name(), sampled)
    }
}
