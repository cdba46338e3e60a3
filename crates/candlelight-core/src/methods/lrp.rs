//! Layer-wise Relevance Propagation: the score is handed back from layer to layer, each by its rule.

use super::integrated_gradients::row_sums;
use super::layer::Seen;
use crate::rules::{Composite, ratio};
use crate::schedule::{Prediction, Run};
use crate::scope::Rules;
use crate::{Attribution, Convergence, Error, Explain, Model, Query, Result};
use candle_core::{DType, Tensor};

/// A = R at the input, where the score is the relevance of the output and every layer shares out that of its outputs
/// z_j among its inputs x_i: for LRP-ε R_i = Σ_j x_i w_ij R_j / (z_j + ε sign z_j)
/// ([Bach et al. 2015](https://doi.org/10.1371/journal.pone.0130140)). Which layer has which rule is said by a
/// [`Composite`]; the default, [`Composite::epsilon_plus`], has LRP-ε at linear layers and z⁺ at convolutions.
///
/// Rules sit on the operations: layers that are used twice, residual adds and functional activations of
/// [`nn`](crate::nn) obey them. Batch norms are merged with the layer behind which, or before which, they run. What
/// biases and stabilisers absorb is not handed on, so that the map sums to less than the score.
///
/// **When not to use it:** to ask what another value of a pixel would do: relevance says how the score came about, and
/// its size depends on the rules. With z⁺ and αβ rules the map hardly depends on the class and on the upper layers
/// ([Sixt et al. 2020](https://arxiv.org/abs/1912.09818)). A model whose layers are candle's own passes gradients
/// there, and is not noticed.
///
/// # Shapes
/// The map has the input's shape, or that of the [layer](Self::at).
///
/// # Example
/// ```
/// use candlelight_core::{Bounds, Composite, Kind, Lrp, Rule, Selector};
///
/// let composite = Composite::epsilon_plus().with(Selector::Position(0), Rule::ZBox(Bounds::OfRow));
/// let method = Lrp::new(composite);
/// ```
#[derive(Clone, Debug)]
pub struct Lrp {
    composite: Composite,
    layer: Option<String>,
}

impl Default for Lrp {
    fn default() -> Self {
        Self::new(Composite::epsilon_plus())
    }
}

impl Lrp {
    /// By the rules of `composite`.
    pub fn new(composite: Composite) -> Self {
        Self { composite, layer: None }
    }

    /// The relevance of the outputs of the layer of this name, in place of the input's.
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }
}

impl Explain for Lrp {
    fn name(&self) -> String {
        "lrp".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        propagated(self.name(), &self.composite, &self.layer, (model, query))
    }
}

/// The relevance at the input, or at a layer, by the rules of `composite`.
pub(super) fn propagated(
    name: String,
    composite: &Composite,
    layer: &Option<String>,
    (model, query): (&dyn Model, &Query),
) -> Result<Attribution> {
    if query.input().dtype() == DType::F16 {
        // It cannot hold the signal on a dead unit, nor a stabiliser.
        return Err(Error::DType { what: "the input of a method of rules", found: DType::F16 });
    }
    composite.check(query.input())?;
    let rules = Rules::new(composite).kept();
    let mut run = Run::under(rules.clone(), model, query, query.input().dims()[0])?;
    let Some(layer) = layer else {
        let (prediction, signal) = run.gradients_of_input()?;
        let values = ratio::relevance(query.input(), &signal)?;
        let convergence = balanced(&rules, &prediction, &values)?;
        return Ok(Attribution::new(name, values, prediction, convergence, run.cost()));
    };
    let (prediction, seen, signal) = Seen::under(&rules, &mut run, model, layer.clone())?;
    let values = ratio::relevance(&seen.activation, &signal)?;
    let convergence = balanced(&rules, &prediction, &values)?;
    seen.attribution(name, values, prediction, convergence, run.cost())
}

fn balanced(rules: &Rules, prediction: &Prediction, arrived: &Tensor) -> Result<Convergence> {
    let ledger = rules.ledger(prediction.scores.clone(), row_sums(arrived)?);
    Ok(Convergence { ledger: Some(ledger), ..Convergence::exact() })
}
