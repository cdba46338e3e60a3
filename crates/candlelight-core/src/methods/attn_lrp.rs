//! AttnLRP: Layer-wise Relevance Propagation for transformers.

use super::lrp::propagated;
use crate::rules::Composite;
use crate::{Attribution, Explain, Model, Query, Result};

/// [`Lrp`](super::Lrp) with the rules of [`Composite::attn_lrp`]
/// ([Achtibat et al. 2024](https://arxiv.org/abs/2402.05602)): R_i = Σ_j x_i w_ij R_j / z_j at layers with weights,
/// R_i = R_j at activations, half of the relevance for each factor of the two products of an attention, the gradient
/// times the input at its softmax, and norms whose deviation is held fixed.
///
/// Class token, positions and biases keep what relevance they get; the [`Ledger`](crate::Ledger) says how much.
///
/// **When not to use it:** for convolutional nets, where it is LRP-0, that is input times gradient for rectifiers, and
/// as noisy: [`Lrp`](super::Lrp) then. For what the attention itself looks at, there are the methods of attention.
///
/// # Shapes
/// The map has the input's shape, or that of the [layer](Self::at).
#[derive(Clone, Debug)]
pub struct AttnLrp {
    composite: Composite,
    layer: Option<String>,
}

impl Default for AttnLrp {
    fn default() -> Self {
        Self { composite: Composite::attn_lrp(), layer: None }
    }
}

impl AttnLrp {
    /// With the probabilities of the attention held fixed, as in conservative propagation
    /// ([Ali et al. 2022](https://arxiv.org/abs/2202.07304)).
    pub fn conservative() -> Self {
        Self { composite: Composite::cp_lrp(), layer: None }
    }

    /// The relevance of the outputs of the layer of this name, in place of the input's.
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }
}

impl Explain for AttnLrp {
    fn name(&self) -> String {
        "attn-lrp".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        propagated(self.name(), &self.composite, &self.layer, (model, query))
    }
}
