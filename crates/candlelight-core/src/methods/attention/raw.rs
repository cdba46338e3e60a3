//! One layer's attention as it is.

use super::{Attentions, HeadWeight, ReadsAttention, pass};
use crate::{Attribution, Error, Explain, Model, Query, Result};
use candle_core::{D, Tensor};

/// Where the class token looks in one layer, A\[class, ·\], averaged over the heads or of one of them
/// ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)).
///
/// With [`HeadWeight::Gradient`] max(0, A ⊙ ∂f/∂A) takes the place of A, what
/// [Chefer et al. 2021](https://arxiv.org/abs/2103.15679) call Ā.
///
/// **When not to use it:** as an explanation. One layer's attention looks at tokens that have long mixed with others,
/// and in deep models much of it goes to tokens that hold nothing of their own patch. It is there to be looked at.
#[derive(Clone, Debug, Default)]
pub struct RawAttention {
    layer: Option<String>,
    head: Option<usize>,
    weight: HeadWeight,
}

impl RawAttention {
    /// The attention of this name, as [`layers`](crate::layers) lists it; the last unless told.
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }

    /// One head, counted from 0; the mean of all unless told.
    pub fn head(self, head: usize) -> Self {
        Self { head: Some(head), ..self }
    }

    /// What of the head counts.
    pub fn weight(self, weight: HeadWeight) -> Self {
        Self { weight, ..self }
    }
}

impl ReadsAttention for RawAttention {
    fn reads(&self) -> HeadWeight {
        self.weight
    }

    fn tokens(&self, attentions: &Attentions) -> Result<Tensor> {
        let layer = attentions.place(self.layer.as_deref())?;
        let heads = attentions.of_score(&attentions.heads(self.weight)?[layer])?;
        match self.head {
            None => Ok(heads.mean(D::Minus2)?),
            Some(head) if head < heads.dims()[1] => Ok(heads.narrow(1, head, 1)?.squeeze(1)?),
            Some(head) => Err(Error::Setting {
                setting: "attention head",
                value: head.to_string(),
                expected: "heads are counted from 0 and end before their number in the layer",
            }),
        }
    }
}

impl Explain for RawAttention {
    fn name(&self) -> String {
        match self.weight {
            HeadWeight::Probability => "raw-attention".into(),
            HeadWeight::Gradient => "gradient-attention".into(),
        }
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        pass::explain(self, model, query)
    }
}
