//! Attention Rollout: attention multiplied through the layers.

use super::at_least_one;
use crate::schedule::Run;
use crate::scope::{Kind, Selector, Watch, watch};
use crate::{Attribution, Convergence, Cost, Error, Explain, Model, Query, Reading, Result};
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
/// **When not to use it:** to ask why *this* class: the map is the same for every class. Attention is also not
/// importance; values and the layers between are left out.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRollout {
    fusion: HeadFusion,
    residual: f64,
    discard: f64,
    start: usize,
}

impl Default for AttentionRollout {
    /// The mean of the heads, half of the residual stream, nothing discarded, from the first layer.
    fn default() -> Self {
        Self { fusion: HeadFusion::Mean, residual: 0.5, discard: 0.0, start: 0 }
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

/// Rolls the attention of consecutive layers out, each `[N, heads, T, T]`; gives `[N, T, T]`, row i being where
/// output token i looks.
///
/// # Errors
/// If there is no layer from `start` on, a setting is out of range, or the shapes differ.
pub fn rollout(method: &AttentionRollout, attentions: &[&Tensor]) -> Result<Tensor> {
    method.check()?;
    at_least_one("number of layers to roll out", attentions.len().saturating_sub(method.start))?;
    let mut layers = attentions[method.start..].iter().map(|attention| method.layer(attention));
    let first = layers
        .next()
        .transpose()?
        .ok_or(Error::MissingLayer { what: "attention layer", hint: "start at an earlier layer" })?;
    layers.try_fold(first, |below, layer| Ok(layer?.matmul(&below)?))
}

impl Explain for AttentionRollout {
    fn name(&self) -> String {
        "attention-rollout".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let record =
            |x: &Tensor| watch(model, x, vec![(Selector::Kind(Kind::AttentionWeights), Watch::Observe)]);
        let (prediction, maps) = run.tapes(record, |tape, scores| {
            let attentions: Vec<&Tensor> = tape.watched().iter().map(|watched| watched.activation()).collect();
            let grid = tape.token_grid().filter(|_| !attentions.is_empty()).ok_or(Error::MissingLayer {
                what: "attention over a token grid",
                hint: "attention rollout needs a vision transformer built from `nn::attention` that calls `token_grid`",
            })?;
            let class_row = rollout(self, &attentions)?.narrow(1, 0, 1)?.narrow(2, grid.prefix, grid.rows * grid.columns)?;
            let rows = scores.dims()[0];
            let map = class_row.contiguous()?.reshape((rows, 1, grid.rows, grid.columns))?;
            Ok((map, Cost { forwards: rows, backwards: 0 }))
        })?;
        let values = Tensor::cat(&maps, 0)?;
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        Ok(Attribution { reading: Reading::Positive, ..attribution })
    }
}
