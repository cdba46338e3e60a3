//! Excitation Backpropagation: which inputs win when neurons excite each other.

use super::lrp::propagated;
use crate::rules::{Composite, ratio};
use crate::{Attribution, Convergence, Explain, Model, Query, Reading, Result, vjp};
use candle_core::Tensor;

/// A = P at the input, where P is 1 at the class, and every layer hands it back in proportion to what excites:
/// P_i = Σ_j x⁺_i w⁺_ij P_j / Σ_i x⁺_i w⁺_ij
/// ([Zhang et al. 2016](https://arxiv.org/abs/1608.00507)), without biases. It is the probability that a walk down from
/// the class ends there.
///
/// At the input only pixels above 0 excite; the paper reads the walk at a layer behind a rectifier:
/// [`at`](Self::at).
///
/// **When not to use it:** for the evidence against a class, and to tell classes apart: what excites one class mostly
/// excites the others.
///
/// # Shapes
/// The map has the input's shape, or that of the layer.
#[derive(Clone, Debug, Default)]
pub struct ExcitationBackprop {
    layer: Option<String>,
}

impl ExcitationBackprop {
    /// Read at the outputs of the layer of this name, in place of the input.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()) }
    }
}

impl Explain for ExcitationBackprop {
    fn name(&self) -> String {
        "excitation-backprop".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        // The walk starts with probability 1 at the class, where relevance would start with the score.
        let walked = |x: &Tensor| {
            let y = model.forward(x)?;
            vjp(&[&y], y.detach(), |y, g| Ok(vec![Some(ratio::signal(g, &y.detach())?)]))
        };
        let map = propagated(self.name(), &Composite::excitation(), &self.layer, (&walked, query))?;
        Ok(Attribution { convergence: Convergence::exact(), reading: Reading::Positive, ..map })
    }
}
