//! The answer: a map, what it explains, and how far it can be trusted.

use crate::resize::bilinear;
use crate::schedule::Prediction;
use crate::{Convergence, Cost, Result};
use candle_core::Tensor;

/// The explanation of one batch.
///
/// Values keep their sign and scale. Normalising is a choice made when drawing.
#[derive(Clone, Debug)]
pub struct Attribution {
    pub(crate) method: String,
    pub(crate) values: Tensor,
    pub(crate) layer: Option<String>,
    pub(crate) classes: Vec<usize>,
    pub(crate) scores: Vec<f64>,
    pub(crate) convergence: Convergence,
    pub(crate) cost: Cost,
}

impl Attribution {
    pub(crate) fn new(
        method: String,
        values: Tensor,
        prediction: Prediction,
        convergence: Convergence,
        cost: Cost,
    ) -> Self {
        let classes = prediction.target.classes();
        Self { method, values, layer: None, classes, scores: prediction.scores, convergence, cost }
    }

    /// The method's name as in the registry; composed methods name their parts.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The map: the input's shape for methods that explain the input, `[N, 1, h, w]` for maps of a layer or of
    /// tokens.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The layer that the map belongs to; `None` for the input.
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// The class explained in each row; empty for a score function.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The score explained in each row, f(x).
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// How it converged.
    pub fn convergence(&self) -> &Convergence {
        &self.convergence
    }

    /// What it cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The map summed over channels and resized, `[N, height, width]`: bilinear with half-pixel centres, as
    /// Captum's `interpolate`; sign and scale stay.
    ///
    /// # Errors
    /// If the values are no maps of rank 4.
    pub fn plane(&self, height: usize, width: usize) -> Result<Tensor> {
        let summed = self.values.sum_keepdim(1)?;
        Ok(bilinear(&summed, height, width)?.squeeze(1)?)
    }
}
