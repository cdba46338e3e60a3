//! Attention Rollout: attention multiplied through the layers.

use super::{Attentions, HeadWeight, ReadsAttention, pass};
use crate::methods::at_least_one;
use crate::{Attribution, Error, Explain, Model, Query, Result};
use candle_core::{D, DType, Tensor};

/// How the heads of a layer become one matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadFusion {
    /// Their mean: the paper's.
    #[default]
    Mean,
    /// Their largest value.
    Max,
    /// Their smallest value.
    Min,
}

/// R = Ãₗ · … · Ã₁ with à = (1 − r)·A + r·I, rows normalised; the map is the class token's row
/// ([Abnar & Zuidema 2020](https://arxiv.org/abs/2005.00928)).
///
/// With [`HeadWeight::Gradient`] max(0, A ⊙ ∂f/∂A) takes the place of A
/// ([Chefer et al. 2020](https://arxiv.org/abs/2012.09838), with attention for relevance).
///
/// **When not to use it:** to ask why *this* class: the map is the same for every class, unless gradients weigh it;
/// these are small beside the identity where the score is small, so that the map fades with the depth. Attention is also
/// not importance; values and the layers between are left out.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRollout {
    fusion: HeadFusion,
    residual: f64,
    discard: f64,
    start: usize,
    weight: HeadWeight,
}

impl Default for AttentionRollout {
    /// The mean of the heads, half of the residual stream, nothing discarded, from the first layer.
    fn default() -> Self {
        let weight = HeadWeight::Probability;
        Self { fusion: HeadFusion::Mean, residual: 0.5, discard: 0.0, start: 0, weight }
    }
}

impl AttentionRollout {
    /// How heads are fused.
    pub fn fusion(self, fusion: HeadFusion) -> Self {
        Self { fusion, ..self }
    }

    /// The share r of the identity, for the residual stream; between 0 and 1.
    pub fn residual(self, residual: f64) -> Self {
        Self { residual, ..self }
    }

    /// The share of the smallest attentions of each layer that is set to 0, the class token's to itself excepted.
    pub fn discard(self, discard: f64) -> Self {
        Self { discard, ..self }
    }

    /// The first layer that counts.
    pub fn start(self, start: usize) -> Self {
        Self { start, ..self }
    }

    /// What of every head counts.
    pub fn weight(self, weight: HeadWeight) -> Self {
        Self { weight, ..self }
    }

    fn check(&self) -> Result<()> {
        for (setting, value) in [("residual weight", self.residual), ("discard ratio", self.discard)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Setting {
                    setting,
                    value: value.to_string(),
                    expected: "between 0 and 1",
                });
            }
        }
        Ok(())
    }

    /// The layers' matrices Ã from the first that counts to the last, each `[N, T, T]`.
    pub(super) fn matrices(&self, attentions: &Attentions) -> Result<Vec<Tensor>> {
        self.check()?;
        let heads = attentions.heads(self.weight)?;
        at_least_one("number of layers to roll out", heads.len().saturating_sub(self.start))?;
        heads[self.start..].iter().map(|heads| self.layer(heads)).collect()
    }

    /// R, `[N, T, T]`: row i is where token i of the last layer looks.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no layer from [`start`](Self::start) on, or a share is none.
    pub fn matrix(&self, attentions: &Attentions) -> Result<Tensor> {
        let layers = self.matrices(attentions)?;
        layers[1..].iter().try_fold(layers[0].clone(), |below, layer| Ok(layer.matmul(&below)?))
    }

    /// One layer's matrix, ready to be multiplied: `[N, heads, T, T]` to `[N, T, T]`.
    fn layer(&self, attention: &Tensor) -> Result<Tensor> {
        let fused = match self.fusion {
            HeadFusion::Mean => attention.mean(1)?,
            HeadFusion::Max => attention.max(1)?,
            HeadFusion::Min => attention.min(1)?,
        };
        let fused = if self.discard > 0.0 { self.without_smallest(&fused)? } else { fused };
        let tokens = fused.dim(D::Minus1)?;
        let identity = Tensor::eye(tokens, fused.dtype(), fused.device())?;
        let mixed = (fused * (1.0 - self.residual))?.broadcast_add(&(identity * self.residual)?)?;
        Ok(mixed.broadcast_div(&mixed.sum_keepdim(D::Minus1)?)?)
    }

    /// Sets the smallest entries of every row's matrix to 0; the first entry stays, ties go by position.
    fn without_smallest(&self, fused: &Tensor) -> Result<Tensor> {
        let (n, tokens, _) = fused.dims3()?;
        let mut matrices = fused.reshape((n, tokens * tokens))?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for matrix in &mut matrices {
            let mut order: Vec<usize> = (0..matrix.len()).collect();
            order.sort_by(|&a, &b| matrix[a].total_cmp(&matrix[b]));
            let smallest = (matrix.len() as f64 * self.discard) as usize;
            order.into_iter().take(smallest).filter(|&i| i != 0).for_each(|i| matrix[i] = 0.0);
        }
        let kept = Tensor::new(matrices, fused.device())?.to_dtype(fused.dtype())?;
        Ok(kept.reshape((n, tokens, tokens))?)
    }
}

impl ReadsAttention for AttentionRollout {
    fn reads(&self) -> HeadWeight {
        self.weight
    }

    fn tokens(&self, attentions: &Attentions) -> Result<Tensor> {
        attentions.of_score(&self.matrix(attentions)?)
    }
}

impl Explain for AttentionRollout {
    fn name(&self) -> String {
        match self.weight {
            HeadWeight::Probability => "attention-rollout".into(),
            HeadWeight::Gradient => "gradient-attention-rollout".into(),
        }
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        pass::explain(self, model, query)
    }
}
