//! The Pointing Game.

use crate::located::Located;
use crate::{Measured, Metric, Result, Subject};
use candle_core::Tensor;
use candlelight_core::Attribution;

/// 1 if the map's maximum lies in the mask, else 0 ([Zhang et al. 2016](https://arxiv.org/abs/1608.00507)).
///
/// Where several pixels share the maximum, one of them in the mask is enough. The share of hits over many images is
/// the paper's accuracy.
///
/// Multiplying a map by a positive number changes nothing; turning its sign changes everything. A mask of the whole image is
/// always hit, an empty one and a constant map are errors.
///
/// **When not to use it:** alone. It sees one pixel, and a large object is hit by chance: compare with the share of
/// the image that the masks cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointingGame {
    tolerance: usize,
}

impl PointingGame {
    /// Counts maxima up to `pixels` away from the mask as hits; the paper allows 15 on photographs of about 500
    /// pixels a side. None unless set.
    pub fn tolerance(self, pixels: usize) -> Self {
        Self { tolerance: pixels }
    }

    fn hits(&self, located: &Located) -> bool {
        let peak = located.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let maxima = located.values.iter().enumerate().filter(|(_, value)| **value == peak);
        maxima.map(|(at, _)| at).any(|at| self.near(located, at))
    }

    /// Whether the mask has a pixel within the tolerance of `at`.
    fn near(&self, located: &Located, at: usize) -> bool {
        let apart = |a: usize, b: usize| a.abs_diff(b).pow(2);
        let distance = |inside: usize| {
            let width = located.width;
            apart(inside / width, at / width) + apart(inside % width, at % width)
        };
        let inside = located.inside.iter().enumerate().filter(|(_, inside)| **inside);
        inside.map(|(pixel, _)| distance(pixel)).any(|squared| squared <= self.tolerance.pow(2))
    }
}

impl PointingGame {
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
        let rows = Located::rows(attribution, masks)?;
        Ok(rows.iter().map(|located| f64::from(self.hits(located))).collect())
    }
}

impl Metric for PointingGame {
    fn name(&self) -> &'static str {
        "pointing-game"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        Ok(Measured::free(self.score(subject.attribution, subject.masks_for(self.name())?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::located::tests::{cpu, map};

    #[test]
    fn the_maximum_counts_and_not_the_largest_magnitude() {
        let maps = map(&cpu(&[[[[1.0f64, -5.0], [2.0, 0.0]]]]));
        let game = PointingGame::default();
        assert_eq!(game.score(&maps, &cpu(&[[[0u8, 0], [1, 0]]])).unwrap(), [1.0]);
        assert_eq!(game.score(&maps, &cpu(&[[[0u8, 1], [0, 0]]])).unwrap(), [0.0]);
    }

    #[test]
    fn one_of_several_maxima_is_enough() {
        let maps = map(&cpu(&[[[[2.0f64, 0.0, 2.0]]]]));
        assert_eq!(PointingGame::default().score(&maps, &cpu(&[[[0u8, 0, 1]]])).unwrap(), [1.0]);
    }

    #[test]
    fn the_tolerance_is_a_distance_in_pixels() {
        let maps = map(&cpu(&[[[[9.0f64, 0.0, 0.0], [0.0, 0.0, 0.0]]]]));
        let mask = cpu(&[[[0u8, 0, 0], [0, 1, 0]]]);
        assert_eq!(PointingGame::default().tolerance(1).score(&maps, &mask).unwrap(), [0.0]);
        assert_eq!(PointingGame::default().tolerance(2).score(&maps, &mask).unwrap(), [1.0]);
    }

    #[test]
    fn neighbours_in_the_batch_change_nothing() {
        let both = map(&cpu(&[[[[1.0f64, 2.0]]], [[[70.0, 3.0]]]]));
        let masks = cpu(&[[[0u8, 1]], [[0, 1]]]);
        assert_eq!(PointingGame::default().score(&both, &masks).unwrap(), [1.0, 0.0]);
    }
}
