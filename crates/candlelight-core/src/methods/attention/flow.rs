//! Attention Flow: how much can flow from the class token down to every patch.

use super::max_flow::Network;
use super::{AttentionRollout, Attentions, HeadWeight, ReadsAttention, pass};
use crate::schedule::to_f64;
use crate::{Attribution, Error, Explain, Model, Query, Result};
use candle_core::Tensor;

/// The largest flow from the class token of the last layer to each token of the input, one token at a time, through
/// edges that hold Ã of [`AttentionRollout`] ([Abnar & Zuidema 2020](https://arxiv.org/abs/2005.00928)).
///
/// Where rollout multiplies shares along every way and adds them up, a way here holds as much as its narrowest edge. The
/// flows are found one by one, and do not sum to 1.
///
/// **When not to use it:** to ask why *this* class, as with rollout; and where patches hardly differ: the identity alone
/// holds a share of ½ at every patch, and much of the picture is filled to what its last edges hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionFlow {
    edges: AttentionRollout,
}

impl AttentionFlow {
    /// A flow whose edges are what this rollout multiplies: its fusion, residual share, discard ratio, first layer and
    /// weight.
    pub fn through(edges: AttentionRollout) -> Self {
        Self { edges }
    }

    /// The flow to every token, `[N, T]`.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`AttentionRollout::matrix`]; [`Error::MissingLayer`] if there is no class token, from
    /// which a flow could start.
    pub fn flows(&self, attentions: &Attentions) -> Result<Tensor> {
        if attentions.token_grid().prefix == 0 {
            return Err(Error::MissingLayer {
                what: "class token",
                hint: "attention flow starts from one; attention rollout takes the mean of all tokens",
            });
        }
        let layers = self.edges.matrices(attentions)?;
        let (n, tokens, _) = layers[0].dims3()?;
        let flows = (0..n).map(|row| {
            let matrix = |layer: &Tensor| to_f64(&layer.get(row)?);
            let down = layers.iter().rev().map(matrix).collect::<Result<Vec<_>>>()?;
            Ok(Network::new(tokens, &down).flows_from(0))
        });
        let flows = flows.collect::<Result<Vec<_>>>()?.concat();
        Ok(Tensor::from_vec(flows, (n, tokens), layers[0].device())?.to_dtype(layers[0].dtype())?)
    }
}

impl ReadsAttention for AttentionFlow {
    fn reads(&self) -> HeadWeight {
        self.edges.reads()
    }

    fn tokens(&self, attentions: &Attentions) -> Result<Tensor> {
        self.flows(attentions)
    }
}

impl Explain for AttentionFlow {
    fn name(&self) -> String {
        "attention-flow".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        pass::explain(self, model, query)
    }
}
