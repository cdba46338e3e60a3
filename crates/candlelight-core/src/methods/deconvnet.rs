//! Deconvnet: the signal flows back through the rectifiers of the way back alone.

use super::rectified;
use crate::rules::Rule;
use crate::{Attribution, Explain, Model, Query, Result};

/// The gradient of the score, where every ReLU z ↦ max(z, 0) passes back max(g, 0) in place of g · \[z > 0\]
/// ([Zeiler and Fergus 2013](https://arxiv.org/abs/1311.2901)).
///
/// It is defined at ReLUs: those of [`nn`](crate::nn) (and ReLU6) obey it, every other layer passes its gradient. A
/// model without one is refused; one that mixes them with candle's own `Tensor::relu` is not noticed.
///
/// **When not to use it:** as [`GuidedBackprop`](super::GuidedBackprop); and in models without max pools, whose switches
/// are all that ties the map to the image ([Springenberg et al. 2014](https://arxiv.org/abs/1412.6806)).
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deconvnet;

impl Explain for Deconvnet {
    fn name(&self) -> String {
        "deconvnet".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        rectified(self.name(), Rule::Deconvnet, model, query)
    }
}
