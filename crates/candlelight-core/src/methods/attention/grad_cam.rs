//! Grad-CAM on attention: one layer's heads, weighted by the mean gradient of each.

use super::{Attentions, HeadWeight, ReadsAttention, pass};
use crate::{Attribution, Explain, Model, Query, Result};
use candle_core::{D, Tensor};

/// mean over heads h of wₕ·Aₕ\[class, ·\] with wₕ the mean over patches of ∂f/∂Aₕ\[class, ·\]: Grad-CAM with heads for
/// channels ([Chefer et al. 2020](https://arxiv.org/abs/2012.09838), their baseline "GradCAM").
///
/// The map keeps its sign; the paper's ReLU is a choice made when drawing. [`GradCam`](crate::GradCam) takes the tokens'
/// features for channels instead.
///
/// **When not to use it:** where the heads of the layer disagree with themselves: a head whose gradient is positive at
/// one patch and negative at another gets one weight for both.
#[derive(Clone, Debug, Default)]
pub struct AttentionGradCam {
    layer: Option<String>,
}

impl AttentionGradCam {
    /// At the attention of this name, as [`layers`](crate::layers) lists it; the last unless told.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()) }
    }
}

impl ReadsAttention for AttentionGradCam {
    fn reads(&self) -> HeadWeight {
        HeadWeight::Gradient
    }

    fn tokens(&self, attentions: &Attentions) -> Result<Tensor> {
        let layer = attentions.place(self.layer.as_deref())?;
        let gradients = attentions.of_score(&attentions.gradients()?[layer])?;
        let weights = attentions.patches(&gradients)?.mean_keepdim(D::Minus1)?;
        let heads = attentions.of_score(&attentions.probabilities()[layer])?;
        Ok(heads.broadcast_mul(&weights)?.mean(1)?)
    }
}

impl Explain for AttentionGradCam {
    fn name(&self) -> String {
        "attention-grad-cam".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        pass::explain(self, model, query)
    }
}
