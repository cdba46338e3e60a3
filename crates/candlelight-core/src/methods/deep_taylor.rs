//! Deep Taylor Decomposition: relevance by expansions around roots of every layer.

use super::lrp::propagated;
use crate::rules::Composite;
use crate::{Attribution, Bounds, Explain, Model, Query, Result};

/// [`Lrp`](super::Lrp) with the rules that follow from Taylor expansions at rectifiers
/// ([Montavon et al. 2017](https://arxiv.org/abs/1512.02479)): z⁺, R_i = Σ_j x_i w⁺_ij R_j / Σ_i x_i w⁺_ij, at hidden
/// layers; at the first layer w², R_i = Σ_j w²_ij R_j / Σ_i w²_ij, for inputs that may be anything, or z^B for inputs
/// [within bounds](Self::within). Positive biases absorb their share.
///
/// **When not to use it:** for the evidence against a class: where the score is positive, so is all relevance. As with
/// every z⁺ rule the map hardly depends on the class
/// ([Sixt et al. 2020](https://arxiv.org/abs/1912.09818)). It is derived for rectifiers; elsewhere it is a rule like
/// others.
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Debug, Default)]
pub struct DeepTaylor {
    bounds: Option<Bounds>,
}

impl DeepTaylor {
    /// For inputs between these bounds: of an image, black and white.
    pub fn within(bounds: Bounds) -> Self {
        Self { bounds: Some(bounds) }
    }
}

impl Explain for DeepTaylor {
    fn name(&self) -> String {
        "deep-taylor".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let composite = match &self.bounds {
            Some(bounds) => Composite::deep_taylor_within(bounds.clone()),
            None => Composite::deep_taylor(),
        };
        propagated(self.name(), &composite, &None, (model, query))
    }
}
