//! Layer Gradient x Activation: the first-order term of the score at a layer.

use super::layer::{self, Seen};
use crate::schedule::Run;
use crate::{Attribution, Convergence, Explain, Model, Query, Result};

/// A = h · ∂f/∂h for the activation h of a layer
/// ([Ancona et al. 2018](https://arxiv.org/abs/1711.06104) compare it with its relatives at the input).
///
/// Nothing below the layer is differentiated.
///
/// **When not to use it:** where an activation of zero is not "absent", as behind a normalisation; and where a later
/// layer saturates, so that the gradient says nothing: [`LayerIntegratedGradients`](super::LayerIntegratedGradients)
/// then.
///
/// # Shapes
/// The map has the shape of the layer's output, `[N, …]`.
#[derive(Clone, Debug, Default)]
pub struct LayerGradientXActivation {
    layer: Option<String>,
}

impl LayerGradientXActivation {
    /// At the layer of this name; unless named, where [`GradCam`](super::GradCam) looks.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()) }
    }
}

impl Explain for LayerGradientXActivation {
    fn name(&self) -> String {
        "layer-gradient-x-activation".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let layer = layer::find(&self.layer, model, query.input())?;
        let (prediction, seen, gradient) = Seen::differentiated(&mut run, model, layer)?;
        let values = (&seen.activation * gradient)?;
        seen.attribution(self.name(), values, prediction, Convergence::exact(), run.cost())
    }
}
