//! Scores as they are, or as probabilities.

use super::{Run, to_f64};
use crate::target::Resolved;
use crate::{Cost, Result};
use candle_core::{D, Tensor};

/// What a method makes of the model's outputs before it takes the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// The outputs themselves.
    #[default]
    Raw,
    /// Their softmax. A score that is any function of the outputs is taken from the raw ones.
    Probability,
}

impl Run<'_> {
    /// As [`scores`](Self::scores), of the outputs on `scale`.
    pub(crate) fn scaled_scores(
        &mut self,
        points: &Tensor,
        rows: &[usize],
        target: &Resolved,
        scale: Scale,
    ) -> Result<Vec<f64>> {
        let outputs = self.outputs(points, self.model.forward(points)?)?;
        let outputs = match (scale, target) {
            (Scale::Raw, _) | (_, Resolved::Score(_)) => outputs,
            (Scale::Probability, _) => softmax(&outputs)?,
        };
        let scores = to_f64(&target.scores(&outputs, rows)?)?;
        self.spent(Cost { forwards: rows.len(), backwards: 0 })?;
        Ok(scores)
    }
}

/// Over the classes.
fn softmax(outputs: &Tensor) -> Result<Tensor> {
    let outputs = outputs.detach();
    let powers = outputs.broadcast_sub(&outputs.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?)
}
