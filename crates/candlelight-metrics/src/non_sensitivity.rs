//! Non-Sensitivity.

use crate::{Error, Measured, Metric, Result, Subject};
use candle_core::{DType, Tensor};
use candlelight_core::{
    Attribution, Baseline, Bounds, Cost, Explain, FeatureAblation, Features, Grouping, Model, Output, Query,
};

/// Below what a magnitude counts as zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epsilon {
    /// In the units of what is looked at.
    Absolute(f64),
    /// As a share: of the largest magnitude in the row's map, or of |f(x)|.
    Relative(f64),
}

/// The number of features for which "no attribution" and "no effect" differ:
/// #{i : (|aᵢ| < ε_a) ≠ (E |f(x) − f(x with feature i alone replaced)| < ε_f)}, the expectation over the baselines
/// ([Nguyen and Martínez 2020](https://arxiv.org/abs/2007.07584)). Lower is better; a faithful map reaches 0.
///
/// Every feature is replaced alone, whatever goes through the model together: the number does not depend on the budget.
/// Features that already have the baseline's values have no effect, and cost no pass.
///
/// The scale of a map counts where ε_a is absolute: a map in small units has no attributions at all. [`Epsilon::Relative`]
/// takes that away.
///
/// **When not to use it:** to rank maps that are nowhere zero, such as gradients: where the model reacts to every
/// feature, as most do, all of them are perfect. And where the baseline looks like the image: black pixels replaced by
/// black have no effect in any model.
///
/// # Shapes
/// Input `[N, …]`; the map has its shape, or one channel that then holds for all. Maps of another size are an error.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{Explain, InputXGradient, Query};
/// use candlelight_metrics::{Metric, NonSensitivity, Subject};
///
/// let model = |x: &Tensor| x.narrow(1, 0, 1); // looks at the first of two features
/// let query = Query::from((&Tensor::new(&[[2.0f64, 1.0]], &Device::Cpu)?, 0));
/// let map = InputXGradient.explain(&model, &query)?;
/// let metric = NonSensitivity::default().output(candlelight_core::Output::Raw);
/// assert_eq!(metric.measure(&Subject::new(&model, &query, &map)?)?.values, [0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NonSensitivity {
    attribution: Epsilon,
    prediction: Epsilon,
    baselines: Vec<Baseline>,
    features: Features,
    output: Output,
    scaling: Scaling,
}

/// What maps are divided by before they are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    Nothing,
    LargestOfBatch,
}

impl Default for NonSensitivity {
    /// Every value by itself, the row's smallest value in its place, 10⁻⁵ for both magnitudes, probabilities.
    fn default() -> Self {
        Self {
            attribution: Epsilon::Absolute(1e-5),
            prediction: Epsilon::Absolute(1e-5),
            baselines: vec![Baseline::Lowest(Bounds::OfRow)],
            features: Features::Values,
            output: Output::Probability,
            scaling: Scaling::Nothing,
        }
    }
}

impl NonSensitivity {
    /// The number that Quantus 0.6 gives with its defaults and one feature in a step: maps are divided by the largest
    /// magnitude of the whole batch, so that it depends on the neighbours.
    pub fn quantus() -> Self {
        Self { scaling: Scaling::LargestOfBatch, ..Self::default() }
    }

    /// Below what an attribution counts as none.
    pub fn attribution_epsilon(self, epsilon: Epsilon) -> Self {
        Self { attribution: epsilon, ..self }
    }

    /// Below what an effect counts as none.
    pub fn prediction_epsilon(self, epsilon: Epsilon) -> Self {
        Self { prediction: epsilon, ..self }
    }

    /// What stands in the place of a feature; of several the effects' magnitudes are averaged.
    pub fn baselines(self, baselines: impl Into<Vec<Baseline>>) -> Self {
        Self { baselines: baselines.into(), ..self }
    }

    /// What one feature is. With features of several pixels this is another metric, and says so in its name: of a
    /// group the magnitudes of its attributions are summed, and its pixels are replaced together.
    pub fn features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// In which units the effect on the score is measured.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Both sets of every row, and where they differ.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Shape`], [`Error::NotFinite`]; those of the model.
    pub fn violations(&self, subject: &Subject) -> Result<Violations> {
        self.compare(&self.effects(subject.model, subject.query)?, subject.attribution)
    }

    /// What every feature does to the score, whatever a map says: all that needs the model, to be held against any number
    /// of maps with [`compare`](Self::compare).
    ///
    /// # Errors
    /// As [`violations`](Self::violations).
    pub fn effects(&self, model: &dyn Model, query: &Query) -> Result<Effects> {
        self.check()?;
        let query = query.clone().output(self.output);
        let mut effects = Effects {
            grouping: self.features.grouping(query.input())?,
            input: query.input().clone(),
            magnitudes: Vec::new(),
            scores: Vec::new(),
            cost: Cost::default(),
        };
        let mut sum: Option<Tensor> = None;
        for baseline in &self.baselines {
            let ablation = FeatureAblation::of(self.features.clone()).baseline(baseline.clone());
            let map = ablation.attribute(model, &query)?;
            let magnitudes = map.values().to_dtype(DType::F64)?.abs()?;
            sum = Some(match sum {
                Some(sum) => (sum + magnitudes)?,
                None => magnitudes,
            });
            effects.scores = map.scores().to_vec();
            effects.cost += map.cost();
        }
        let mean = (sum.ok_or_else(no_baselines)? / self.baselines.len() as f64)?;
        effects.magnitudes = effects.means(&mean)?;
        Ok(effects)
    }

    /// Where a map for the same rows and effects disagree.
    ///
    /// # Errors
    /// As [`violations`](Self::violations).
    pub fn compare(&self, effects: &Effects, attribution: &Attribution) -> Result<Violations> {
        self.check()?;
        let maps = fitting(attribution.maps(), &effects.input)?;
        let maps = (maps.abs()? / self.scaling.of(&maps)?)?;
        let attributions = effects.grouping.totals(&maps)?;
        let rows = attributions.into_iter().zip(&effects.magnitudes).zip(&effects.scores).enumerate();
        let rows = rows.map(|(row, ((attributions, effects), score))| {
            let largest = attributions.iter().copied().fold(0.0, f64::max);
            let epsilons = (self.attribution.of(largest), self.prediction.of(score.abs()));
            RowViolations::new(row, attributions, effects.clone(), epsilons)
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let signs: Vec<Vec<f64>> = rows.iter().map(RowViolations::signs).collect();
        let map = effects.grouping.spread(&signs, effects.input.dtype())?;
        Ok(Violations { map, rows, cost: effects.cost })
    }

    fn check(&self) -> Result<()> {
        for epsilon in [self.attribution, self.prediction] {
            let (Epsilon::Absolute(value) | Epsilon::Relative(value)) = epsilon;
            if !(value.is_finite() && value >= 0.0) {
                let expected = "a finite number that is not negative";
                return Err(Error::Setting { setting: "epsilon", value: value.to_string(), expected });
            }
        }
        match self.baselines.is_empty() {
            true => Err(no_baselines()),
            false => Ok(()),
        }
    }
}

impl Metric for NonSensitivity {
    fn name(&self) -> &'static str {
        match self.features {
            Features::Values | Features::Pixels => "non-sensitivity",
            _ => "group-non-sensitivity",
        }
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        let violations = self.violations(subject)?;
        let values = violations.rows.iter().map(|row| row.count() as f64).collect();
        Ok(Measured { values, cost: violations.cost, ..Measured::default() })
    }
}

/// What every feature does to the score when it is replaced alone.
pub struct Effects {
    grouping: Grouping,
    input: Tensor,
    magnitudes: Vec<Vec<f64>>,
    scores: Vec<f64>,
    cost: Cost,
}

impl Effects {
    /// For every row and feature the mean magnitude of the change, in units of the score.
    pub fn magnitudes(&self) -> &[Vec<f64>] {
        &self.magnitudes
    }

    /// For every row and feature the value that all of its elements have.
    fn means(&self, maps: &Tensor) -> Result<Vec<Vec<f64>>> {
        let (totals, sizes) = (self.grouping.totals(maps)?, self.grouping.totals(&maps.ones_like()?)?);
        let mean = |(totals, sizes): (Vec<f64>, Vec<f64>)| {
            totals.into_iter().zip(sizes).map(|(total, size)| total / size).collect()
        };
        Ok(totals.into_iter().zip(sizes).map(mean).collect())
    }
}

/// Where maps and effects disagree.
#[derive(Clone, Debug)]
pub struct Violations {
    /// One for each row.
    pub rows: Vec<RowViolations>,
    /// For every element −1 where its feature matters and has no attribution, 1 where it has one and does not matter,
    /// 0 where both agree; of the features' shape.
    pub map: Tensor,
    /// Passes of the model.
    pub cost: Cost,
}

/// The violations of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowViolations {
    /// For each feature its attribution's magnitude.
    pub attributions: Vec<f64>,
    /// For each feature its effect's mean magnitude.
    pub effects: Vec<f64>,
    /// Features without attribution that have an effect.
    pub missed: Vec<usize>,
    /// Features with attribution that have no effect.
    pub spurious: Vec<usize>,
    /// How many have neither: the overlap of both sets.
    pub neither: usize,
}

impl RowViolations {
    fn new(
        row: usize,
        attributions: Vec<f64>,
        effects: Vec<f64>,
        (least, weakest): (f64, f64),
    ) -> Result<Self> {
        if let Some(&value) = attributions.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite { row, value });
        }
        let silent = |feature: usize| attributions[feature] < least;
        let idle = |feature: usize| effects[feature] < weakest;
        let all = 0..attributions.len();
        Ok(Self {
            missed: all.clone().filter(|&feature| silent(feature) && !idle(feature)).collect(),
            spurious: all.clone().filter(|&feature| !silent(feature) && idle(feature)).collect(),
            neither: all.filter(|&feature| silent(feature) && idle(feature)).count(),
            attributions,
            effects,
        })
    }

    /// How many features violate the definition.
    pub fn count(&self) -> usize {
        self.missed.len() + self.spurious.len()
    }

    /// How many have no attribution.
    pub fn without_attribution(&self) -> usize {
        self.missed.len() + self.neither
    }

    /// How many have no effect.
    pub fn without_effect(&self) -> usize {
        self.spurious.len() + self.neither
    }

    fn signs(&self) -> Vec<f64> {
        let mut signs = vec![0.0; self.attributions.len()];
        self.missed.iter().for_each(|&feature| signs[feature] = -1.0);
        self.spurious.iter().for_each(|&feature| signs[feature] = 1.0);
        signs
    }
}

impl Epsilon {
    fn of(self, largest: f64) -> f64 {
        match self {
            Self::Absolute(value) => value,
            Self::Relative(share) => share * largest,
        }
    }
}

impl Scaling {
    fn of(self, maps: &Tensor) -> Result<f64> {
        if self == Self::Nothing {
            return Ok(1.0);
        }
        let largest = maps.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
        Ok(if largest > 0.0 { largest } else { 1.0 })
    }
}

/// `maps` in double precision, if it has the places of `input`: those of all channels, or one for all of them.
fn fitting(maps: &Tensor, input: &Tensor) -> Result<Tensor> {
    let (found, wanted) = (maps.dims(), input.dims());
    let fits = found.len() == wanted.len()
        && found.iter().zip(wanted).enumerate().all(|(axis, (a, b))| a == b || (axis == 1 && *a == 1));
    match fits {
        true => Ok(maps.to_dtype(DType::F64)?.broadcast_as(input.shape())?.contiguous()?),
        false => Err(Error::Shape {
            what: "the map",
            found: found.to_vec(),
            expected: format!("{wanted:?}, or the same with one channel: bring it to the input first"),
        }),
    }
}

fn no_baselines() -> Error {
    Error::Setting { setting: "baselines", value: "[]".into(), expected: "at least one" }
}
