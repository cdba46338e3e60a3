//! What every metric is, and the list of all.

use crate::{
    Completeness, Deletion, Error, InputInvariance, Insertion, MassCentreAblation, Measured, NonSensitivity,
    PointingGame, RelevanceMassAccuracy, Result, Road, Subject, TopKAblation,
};

/// A measure of maps: a plain struct with `Default` (the paper's setting) and consuming builders.
///
/// Every row gets its own number, which neither the batch nor its neighbours change.
pub trait Metric: Send + Sync {
    /// The name as in the registry.
    fn name(&self) -> &'static str;

    /// One number for each row of the subject.
    ///
    /// # Errors
    /// [`Error`] names what is wrong with the map, the masks or the settings; [`Error::Missing`] what the metric needs
    /// and the subject lacks; what the model returns.
    fn measure(&self, subject: &Subject) -> Result<Measured>;
}

/// Which numbers of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Large ones.
    Higher,
    /// Small ones.
    Lower,
}

/// What becomes of a metric's numbers when every value of the map is multiplied by one positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescaled {
    /// They stay: shares and orders count.
    Same,
    /// They are multiplied by it, too: they are in units of the map.
    InProportion,
    /// They change in another way: magnitudes are held against something that is not the map.
    Otherwise,
}

/// An entry of the registry.
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// The name in print.
    pub title: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Which of its numbers are better.
    pub better: Better,
    /// What the scale of a map does to them.
    pub rescaled: Rescaled,
    /// Makes it, with its default setting.
    pub build: fn() -> Box<dyn Metric>,
}

/// Every metric.
pub static METRICS: &[Entry] = &[
    Entry {
        name: "pointing-game",
        title: "Pointing Game",
        paper: "https://arxiv.org/abs/1608.00507",
        better: Better::Higher,
        rescaled: Rescaled::Same,
        build: || Box::new(PointingGame::default()),
    },
    Entry {
        name: "relevance-mass-accuracy",
        title: "Relevance Mass Accuracy",
        paper: "https://arxiv.org/abs/2003.07258",
        better: Better::Higher,
        rescaled: Rescaled::Same,
        build: || Box::new(RelevanceMassAccuracy::default()),
    },
    Entry {
        name: "non-sensitivity",
        title: "Non-Sensitivity",
        paper: "https://arxiv.org/abs/2007.07584",
        better: Better::Lower,
        rescaled: Rescaled::Otherwise,
        build: || Box::new(NonSensitivity::default()),
    },
    Entry {
        name: "completeness",
        title: "Completeness",
        paper: "https://arxiv.org/abs/1703.01365",
        better: Better::Lower,
        rescaled: Rescaled::Otherwise,
        build: || Box::new(Completeness::default()),
    },
    Entry {
        name: "input-invariance",
        title: "Input Invariance",
        paper: "https://arxiv.org/abs/1711.00867",
        better: Better::Lower,
        rescaled: Rescaled::InProportion,
        build: || Box::new(InputInvariance::default()),
    },
    Entry {
        name: "top-k-ablation",
        title: "Top-k Ablation",
        paper: "https://distill.pub/2020/attribution-baselines/",
        better: Better::Lower,
        rescaled: Rescaled::Same,
        build: || Box::new(TopKAblation::default()),
    },
    Entry {
        name: "mass-centre-ablation",
        title: "Mass-centre Ablation",
        paper: "https://distill.pub/2020/attribution-baselines/",
        better: Better::Lower,
        rescaled: Rescaled::Same,
        build: || Box::new(MassCentreAblation::default()),
    },
    Entry {
        name: "insertion",
        title: "Insertion",
        paper: "https://arxiv.org/abs/1806.07421",
        better: Better::Higher,
        rescaled: Rescaled::Same,
        build: || Box::new(Insertion::default()),
    },
    Entry {
        name: "deletion",
        title: "Deletion",
        paper: "https://arxiv.org/abs/1806.07421",
        better: Better::Lower,
        rescaled: Rescaled::Same,
        build: || Box::new(Deletion::default()),
    },
    Entry {
        name: "road",
        title: "ROAD",
        paper: "https://arxiv.org/abs/2202.00449",
        better: Better::Lower,
        rescaled: Rescaled::Same,
        build: || Box::new(Road::default()),
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
