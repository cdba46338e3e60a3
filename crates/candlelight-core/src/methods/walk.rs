//! The straight walk from a baseline that layers and neurons are looked at along.

use super::{Quadrature, at_least_one};
use crate::{Baseline, Result};

/// How many gradients are taken along the way, where, and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) steps: usize,
    pub(super) quadrature: Quadrature,
    pub(super) baseline: Baseline,
}

impl Default for Walk {
    /// 50 Gauss-Legendre steps from zero.
    fn default() -> Self {
        Self { steps: 50, quadrature: Quadrature::default(), baseline: Baseline::default() }
    }
}

impl Walk {
    /// The positions on the way, each with its weight.
    pub(super) fn nodes(&self) -> Result<Vec<(f64, f64)>> {
        Ok(self.quadrature.nodes(at_least_one("number of steps", self.steps)?))
    }
}

/// The builders of a method that has a `walk`; `$start` says what its baseline is.
macro_rules! walk_builders {
    ($start:literal) => {
        /// How many gradients are taken along the path.
        pub fn steps(self, steps: usize) -> Self {
            Self { walk: Walk { steps, ..self.walk }, ..self }
        }

        /// Where on the path they are taken.
        pub fn quadrature(self, quadrature: Quadrature) -> Self {
            Self { walk: Walk { quadrature, ..self.walk }, ..self }
        }

        #[doc = $start]
        pub fn baseline(self, baseline: Baseline) -> Self {
            Self { walk: Walk { baseline, ..self.walk }, ..self }
        }
    };
}
pub(super) use walk_builders;
