//! Guided Backpropagation: the gradient, without what a rectifier would pass back as negative.

use super::rectified;
use crate::rules::Rule;
use crate::{Attribution, Explain, Model, Query, Result};

/// The gradient of the score, where every ReLU z ↦ max(z, 0) passes back max(g, 0) · \[z > 0\] in place of g · \[z > 0\]
/// ([Springenberg et al. 2014](https://arxiv.org/abs/1412.6806)).
///
/// It is defined at ReLUs: those of [`nn`](crate::nn) (and ReLU6) obey it, every other layer passes its gradient. A
/// model without one is refused; one that mixes them with candle's own `Tensor::relu` is not noticed.
///
/// **When not to use it:** to find out what the model bases its decision on. The sharp outlines are mostly the image's
/// own: they stay when the class changes or the upper layers are replaced by random ones
/// ([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292), [Nie et al. 2018](https://arxiv.org/abs/1805.07039)).
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuidedBackprop;

impl Explain for GuidedBackprop {
    fn name(&self) -> String {
        "guided-backprop".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        rectified(self.name(), Rule::Guided, model, query)
    }
}
