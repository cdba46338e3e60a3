//! One pass of a model, read by any number of methods.

use super::{Attentions, HeadWeight, ReadsAttention};
use crate::schedule::{Prediction, Run};
use crate::scope::{Kind, Selector, Watch, watch};
use crate::{Attribution, Convergence, Cost, Model, Query, Reading, Result};
use candle_core::Tensor;

/// The attention of all layers with its gradients, recorded once for every method that [reads it](ReadsAttention).
///
/// It holds `2 · heads · T²` values for each layer and row: 45 MB for a row of ViT-B/16.
/// [`Explain::attribute`](crate::Explain::attribute) holds no more of that at a time than the query's budget allows.
///
/// # Example
/// ```
/// use candle_core::{D, DType, Device, Tensor};
/// use candlelight_core::{AttentionPass, AttentionRollout, TokenGrid, TransformerRelevance, nn, token_grid};
///
/// let vit = |x: &Tensor| {
///     token_grid(TokenGrid { prefix: 1, rows: 2, columns: 2 });
///     let tokens = x.flatten_from(2)?.transpose(1, 2)?;
///     let tokens = Tensor::cat(&[&tokens.mean_keepdim(1)?, &tokens], 1)?;
///     let q = tokens.unsqueeze(1)?;
///     nn::attention(&q, &q, &q, 1.0, "attention")?.narrow(2, 0, 1)?.flatten_from(1)
/// };
/// let x = Tensor::arange(0.0f32, 12.0, &Device::Cpu)?.sin()?.reshape((1, 3, 2, 2))?;
/// let pass = AttentionPass::record(&vit, (&x, 2))?;
/// let why = pass.explain(&TransformerRelevance)?;
/// let anyway = pass.explain(&AttentionRollout::default())?;
/// assert_eq!(why.values().dims(), anyway.values().dims());
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub struct AttentionPass {
    attentions: Attentions,
    prediction: Prediction,
    cost: Cost,
}

impl AttentionPass {
    /// Runs `model` on the query's rows, forward and back.
    ///
    /// # Errors
    /// [`Error::MissingLayer`](crate::Error::MissingLayer) if the model shows no attention;
    /// [`Error::Shape`](crate::Error::Shape) if it is not one between all tokens;
    /// [`Error::TokenGrid`](crate::Error::TokenGrid) if nothing tells how they lie on the image; whatever the model
    /// returns.
    pub fn record(model: &dyn Model, query: impl Into<Query>) -> Result<Self> {
        let (prediction, parts, cost) = passes(HeadWeight::Gradient, model, &query.into(), Ok)?;
        Ok(Self { attentions: Attentions::join(parts)?, prediction, cost })
    }

    /// What was recorded.
    pub fn attentions(&self) -> &Attentions {
        &self.attentions
    }

    /// The map of a method. Its cost is that of the pass, which it shares with the others.
    ///
    /// # Errors
    /// Those of the method.
    pub fn explain(&self, method: &dyn ReadsAttention) -> Result<Attribution> {
        let values = self.attentions.map(&method.tokens(&self.attentions)?)?;
        Ok(attribution(method, values, self.prediction.clone(), self.cost))
    }
}

/// `method` on `query`, part by part as the budget allows.
pub(super) fn explain(method: &dyn ReadsAttention, model: &dyn Model, query: &Query) -> Result<Attribution> {
    let map = |attentions: Attentions| attentions.map(&method.tokens(&attentions)?);
    let (prediction, maps, cost) = passes(method.reads(), model, query, map)?;
    Ok(attribution(method, Tensor::cat(&maps, 0)?, prediction, cost))
}

/// What `visit` makes of the attention of each part of the query.
fn passes<R>(
    reads: HeadWeight,
    model: &dyn Model,
    query: &Query,
    visit: impl Fn(Attentions) -> Result<R>,
) -> Result<(Prediction, Vec<R>, Cost)> {
    let mut run = Run::new(model, query, query.input().dims()[0])?;
    let mark = match reads {
        HeadWeight::Probability => Watch::Observe,
        HeadWeight::Gradient => Watch::Through,
    };
    let attention = [(Selector::Kind(Kind::AttentionWeights), mark)];
    let record = |x: &Tensor| watch(model, x, attention.to_vec());
    let (prediction, results) = run.tapes(record, |tape, scores| {
        let rows = scores.dims()[0];
        let backwards = if reads == HeadWeight::Gradient { rows } else { 0 };
        Ok((visit(Attentions::of(tape, scores, reads)?)?, Cost { forwards: rows, backwards }))
    })?;
    Ok((prediction, results, run.cost()))
}

fn attribution(
    method: &dyn ReadsAttention,
    values: Tensor,
    prediction: Prediction,
    cost: Cost,
) -> Attribution {
    let attribution = Attribution::new(method.name(), values, prediction, Convergence::exact(), cost);
    Attribution { reading: Reading::Positive, ..attribution }
}
