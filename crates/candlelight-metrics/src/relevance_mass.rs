//! Relevance Mass Accuracy.

use crate::located::Located;
use crate::{Error, Measured, Metric, Result, Subject};
use candle_core::Tensor;
use candlelight_core::Attribution;

/// What counts as relevance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relevance {
    /// What speaks for the class: values below zero count as zero (the paper's `sum,pos`).
    #[default]
    Positive,
    /// What matters at all: the magnitude (the paper's `sum,abs`).
    Magnitude,
    /// The values as they are. Where signs cancel, the share may lie below 0 or above 1.
    Signed,
}

/// The share of the relevance that lies in the mask: R_in / R_total
/// ([Arras et al. 2020](https://arxiv.org/abs/2003.07258)).
///
/// Methods whose maps are read as positive are clipped at zero whatever is counted.
///
/// Multiplying a map by a positive number changes nothing. With a mask of the whole image it is 1; an empty one, a constant
/// map and one without relevance are errors.
///
/// **When not to use it:** across objects of different size without a look at the mask's share of the image, which
/// is what a map without any structure scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelevanceMassAccuracy {
    relevance: Relevance,
}

impl RelevanceMassAccuracy {
    /// Sets what counts.
    pub fn relevance(self, relevance: Relevance) -> Self {
        Self { relevance }
    }

    fn share(&self, located: &Located) -> Result<f64> {
        let weight = |value: f64| match self.relevance {
            Relevance::Positive => value.max(0.0),
            Relevance::Magnitude => value.abs(),
            Relevance::Signed => value,
        };
        let pixels = located.values.iter().map(|&value| weight(value)).zip(&located.inside);
        let (sum, within) = pixels.fold((0.0, 0.0), |(sum, within), (value, &inside)| {
            (sum + value, if inside { within + value } else { within })
        });
        match sum == 0.0 {
            true => Err(Error::NoRelevance { row: located.row, sum }),
            false => Ok(within / sum),
        }
    }
}

impl RelevanceMassAccuracy {
    /// One number per row: what [`measure`](Metric::measure) does, where there is a map and a mask and no model.
    ///
    /// # Shapes
    /// `masks` is `[N, H, W]`, one for each row of the attribution; inside is what is not zero. The map is summed
    /// over channels and brought to `H` x `W` first ([`Attribution::plane`]).
    ///
    /// # Errors
    /// [`Error::EmptyMask`](crate::Error::EmptyMask) and [`Error::ConstantMap`](crate::Error::ConstantMap) name the row;
    /// [`Error::Shape`](crate::Error::Shape) if the masks do not fit.
    pub fn score(&self, attribution: &Attribution, masks: &Tensor) -> Result<Vec<f64>> {
        Located::rows(attribution, masks)?.iter().map(|located| self.share(located)).collect()
    }
}

impl Metric for RelevanceMassAccuracy {
    fn name(&self) -> &'static str {
        "relevance-mass-accuracy"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        Ok(Measured::free(self.score(subject.attribution, subject.masks_for(self.name())?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::located::tests::{cpu, map};

    const MAP: [[[[f64; 2]; 2]; 1]; 1] = [[[[3.0, -2.0], [1.0, 4.0]]]];
    const MASK: [[[u8; 2]; 2]; 1] = [[[1, 1], [0, 0]]];

    fn share(relevance: Relevance) -> f64 {
        let metric = RelevanceMassAccuracy::default().relevance(relevance);
        metric.score(&map(&cpu(&MAP)), &cpu(&MASK)).unwrap()[0]
    }

    #[test]
    fn every_way_of_counting_gives_the_share_worked_out_by_hand() {
        assert_eq!(share(Relevance::Positive), 3.0 / 8.0);
        assert_eq!(share(Relevance::Magnitude), 5.0 / 10.0);
        assert_eq!(share(Relevance::Signed), 1.0 / 6.0);
    }

    #[test]
    fn a_map_without_positive_relevance_has_no_share() {
        let maps = map(&cpu(&[[[[-1.0f64, -2.0]]]]));
        let score = RelevanceMassAccuracy::default().score(&maps, &cpu(&[[[1u8, 0]]]));
        assert!(matches!(score, Err(Error::NoRelevance { row: 0, .. })));
    }

    #[test]
    fn neighbours_in_the_batch_change_nothing() {
        let both = map(&cpu(&[[[[1.0f64, 3.0]]], [[[70.0, 30.0]]]]));
        let masks = cpu(&[[[0u8, 1]], [[0, 1]]]);
        assert_eq!(RelevanceMassAccuracy::default().score(&both, &masks).unwrap(), [0.75, 0.3]);
    }
}
