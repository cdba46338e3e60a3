//! The relevance of Chefer, Gur and Wolf: gradient-weighted attention, added up through the layers.

use super::{Attentions, HeadWeight, ReadsAttention, pass};
use crate::{Attribution, Explain, Model, Query, Result};
use candle_core::{D, Tensor};

/// R ← R + Ā·R from R = I, layer after layer, with Ā = mean over heads of max(0, A ⊙ ∂f/∂A); the map is the class
/// token's row of R − I ([Chefer et al. 2021](https://arxiv.org/abs/2103.15679), self-attention).
///
/// Unlike their method of 2020 it needs no propagation rules, only attention and its gradients.
///
/// **When not to use it:** to see what speaks against a class, or how much: negative evidence is left out of every
/// layer, and the map sums to nothing in particular.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransformerRelevance;

impl TransformerRelevance {
    /// R, `[N, T, T]`.
    ///
    /// # Errors
    /// [`Error::MissingLayer`](crate::Error::MissingLayer) if the pass has no gradients.
    pub fn matrix(&self, attentions: &Attentions) -> Result<Tensor> {
        let layers = attentions.heads(HeadWeight::Gradient)?;
        let start = identity(&layers)?;
        layers.iter().try_fold(start, |below, heads| Ok((&below + heads.mean(1)?.matmul(&below)?)?))
    }
}

/// I for every row, `[N, T, T]`.
fn identity(layers: &[Tensor]) -> Result<Tensor> {
    let heads = layers.first().ok_or(super::NO_ATTENTION)?;
    let (n, _, tokens, _) = heads.dims4()?;
    Ok(Tensor::eye(tokens, heads.dtype(), heads.device())?.broadcast_as((n, tokens, tokens))?.contiguous()?)
}

impl ReadsAttention for TransformerRelevance {
    fn reads(&self) -> HeadWeight {
        HeadWeight::Gradient
    }

    fn tokens(&self, attentions: &Attentions) -> Result<Tensor> {
        let relevance = self.matrix(attentions)?;
        let identity = Tensor::eye(relevance.dim(D::Minus1)?, relevance.dtype(), relevance.device())?;
        attentions.of_score(&relevance.broadcast_sub(&identity)?)
    }
}

impl Explain for TransformerRelevance {
    fn name(&self) -> String {
        "transformer-relevance".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        pass::explain(self, model, query)
    }
}
