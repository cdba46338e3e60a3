//! Intervals by resampling.

use super::bca;
use super::samples::{LeftOut, numbers};
use crate::{Curve, Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Intervals for means over samples: the samples are drawn again with replacement, as many as there are, and the
/// interval holds the middle of the means that this gives, its ends corrected for bias and skew (BCa,
/// [Efron 1987](https://doi.org/10.1080/01621459.1987.10478410)).
///
/// Why corrected: numbers of metrics are skewed (log ratios, violations, shares near 0 or 1), and the plain percentile
/// interval then lies too far to one side. The correction costs no pass of the model.
///
/// **When not to use it:** for samples that belong together, such as several crops of one photograph: they are one sample.
/// With fewer than about 20 samples the interval is too short; with 10 of a long-tailed distribution it holds the truth in 85
/// of 100 cases where 95 were asked for. And it speaks of one comparison: among 20 methods without any
/// difference one is called better than a given other by chance at a level of 0.95.
///
/// # Example
/// ```
/// use candlelight_metrics::{Better, Bootstrap, Verdict};
///
/// let (ours, random) = ([0.9, 0.8, 0.7, 0.9, 0.6, 0.8], [0.1, 0.3, 0.2, 0.2, 0.1, 0.4]);
/// let bootstrap = Bootstrap::default();
/// let mean = bootstrap.mean(&ours)?;
/// assert!(mean.low < mean.value && mean.value < mean.high);
/// assert_eq!(bootstrap.compare(Better::Higher, &ours, &random)?.verdict, Verdict::Better);
/// # Ok::<(), candlelight_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    resamples: usize,
    level: f64,
    seed: u64,
}

/// A mean over samples, and between which values it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean, in the metric's unit.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// How many samples it is the mean of.
    pub samples: usize,
    /// How many more there were without a number.
    pub left_out: LeftOut,
    /// How often the samples were drawn again.
    pub resamples: usize,
}

/// The mean of curves, with an interval at every place.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The places, as in the [`Curve`]s.
    pub at: Vec<f64>,
    /// The mean there. The intervals are those of the places, not of the curve as a whole.
    pub estimates: Vec<Estimate>,
}

impl Default for Bootstrap {
    /// 95 % intervals from 2000 resamples.
    fn default() -> Self {
        Self { resamples: 2000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// How often the samples are drawn again.
    pub fn resamples(self, resamples: usize) -> Self {
        Self { resamples, ..self }
    }

    /// In how many cases the interval holds the truth, between 0 and 1.
    pub fn level(self, level: f64) -> Self {
        Self { level, ..self }
    }

    /// The seed of the draws: the same seed, the same interval.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The mean of `values`, numbers or numbers that may be missing.
    ///
    /// # Errors
    /// [`Error::TooFewSamples`] for fewer than two numbers: one sample says nothing of others; [`Error::Setting`].
    pub fn mean<V: Into<Option<f64>> + Copy>(&self, values: &[V]) -> Result<Estimate> {
        let (values, left_out) = numbers(values.iter().map(|&value| value.into()));
        self.of(&values, left_out)
    }

    /// The mean of curves over the same places.
    ///
    /// # Errors
    /// As [`mean`](Self::mean) at every place; [`Error::Setting`] for curves over different places.
    pub fn band(&self, curves: &[Curve]) -> Result<Band> {
        let at = curves.first().map(|curve| curve.at.clone()).unwrap_or_default();
        if let Some(other) = curves.iter().find(|curve| curve.at != at || curve.values.len() != at.len()) {
            let (setting, value) = ("curve", format!("one over {:?}", other.at));
            return Err(Error::Setting { setting, value, expected: "the same places in every curve" });
        }
        let column = |place: usize| curves.iter().map(|curve| curve.values[place]).collect::<Vec<_>>();
        let estimates = (0..at.len()).map(|place| self.mean(&column(place))).collect::<Result<_>>()?;
        Ok(Band { at, estimates })
    }

    pub(super) fn of(&self, values: &[f64], left_out: LeftOut) -> Result<Estimate> {
        self.check()?;
        if values.len() < 2 {
            return Err(Error::TooFewSamples { samples: values.len(), left_out: left_out.total() });
        }
        let value = mean(values);
        let means = self.resampled(values);
        let shares = bca::shares(values, value, &means, self.level);
        let [low, high] =
            shares.map(|share| means[((share * means.len() as f64) as usize).min(means.len() - 1)]);
        let (samples, resamples) = (values.len(), self.resamples);
        Ok(Estimate { value, low: low.min(value), high: high.max(value), samples, left_out, resamples })
    }

    /// The level asked for.
    pub(super) fn level_asked(&self) -> f64 {
        self.level
    }

    /// The means of resamples, rising.
    fn resampled(&self, values: &[f64]) -> Vec<f64> {
        let mut stream = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = Vec::with_capacity(values.len());
        let mut resample = || {
            drawn.clear();
            drawn.extend((0..values.len()).map(|_| values[stream.random_range(0..values.len())]));
            mean(&drawn)
        };
        let mut means: Vec<f64> = (0..self.resamples).map(|_| resample()).collect();
        means.sort_by(f64::total_cmp);
        means
    }

    fn check(&self) -> Result<()> {
        if !(self.level > 0.0 && self.level < 1.0) {
            let expected = "a share between 0 and 1, such as 0.95";
            return Err(Error::Setting { setting: "level", value: self.level.to_string(), expected });
        }
        // So many that both ends have resamples beyond them.
        let least = (10.0 / (1.0 - self.level)).ceil();
        match self.resamples as f64 >= least {
            true => Ok(()),
            false => Err(Error::Setting {
                setting: "number of resamples",
                value: self.resamples.to_string(),
                expected: "at least 10 / (1 - level), such as 2000",
            }),
        }
    }
}

/// The mean; of equal values that value to the last bit.
fn mean(values: &[f64]) -> f64 {
    let first = values[0];
    first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64
}
