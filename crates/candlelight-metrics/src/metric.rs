//! What every metric is, and the list of all.

use crate::{Error, PointingGame, RelevanceMassAccuracy, Result};
use candle_core::Tensor;
use candlelight_core::Attribution;

/// A measure of a map against the place where the object is known to be.
pub trait Metric: Send + Sync {
    /// The name as in the registry.
    fn name(&self) -> &'static str;

    /// One number per row.
    ///
    /// # Shapes
    /// `masks` is `[N, H, W]`, one for each row of the attribution; inside is what is not zero. The map is summed
    /// over channels and brought to `H` x `W` first ([`Attribution::plane`]).
    ///
    /// # Errors
    /// [`Error::EmptyMask`] and [`Error::ConstantMap`] name the row; [`Error::Shape`] if the masks do not fit.
    fn score(&self, attribution: &Attribution, masks: &Tensor) -> Result<Vec<f64>>;
}

/// An entry of the registry.
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// The name in print.
    pub title: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Makes it, with its default setting.
    pub build: fn() -> Box<dyn Metric>,
}

/// Every metric.
pub static METRICS: &[Entry] = &[
    Entry {
        name: "pointing-game",
        title: "Pointing Game",
        paper: "https://arxiv.org/abs/1608.00507",
        build: || Box::new(PointingGame::default()),
    },
    Entry {
        name: "relevance-mass-accuracy",
        title: "Relevance Mass Accuracy",
        paper: "https://arxiv.org/abs/2003.07258",
        build: || Box::new(RelevanceMassAccuracy::default()),
    },
];

impl Entry {
    /// The entry of this name.
    ///
    /// # Errors
    /// [`Error::UnknownMetric`] with all names.
    pub fn named(name: &str) -> Result<&'static Self> {
        let unknown = || Error::UnknownMetric {
            name: name.to_owned(),
            known: METRICS.iter().map(|entry| entry.name).collect(),
        };
        METRICS.iter().find(|entry| entry.name == name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_builds_the_metric_of_its_name() {
        assert!(METRICS.iter().all(|entry| (entry.build)().name() == entry.name));
        assert!(Entry::named("pointing-game").is_ok());
        assert!(Entry::named("pointing").is_err());
    }
}
