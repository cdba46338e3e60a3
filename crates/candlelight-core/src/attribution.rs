//! The answer: a map, what it explains, and how far it can be trusted.

use crate::resize::{bilinear, place};
use crate::schedule::Prediction;
use crate::target::Resolved;
use crate::{Convergence, Cost, Placement, Result, Reuse};
use candle_core::Tensor;

/// How a map is meant to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Positive values speak for the class, negative ones against it.
    #[default]
    Signed,
    /// Only positive values mean anything.
    Positive,
}

/// The explanation of one batch.
///
/// Values keep their sign and scale. Normalising is a choice made when drawing.
#[derive(Clone, Debug)]
pub struct Attribution {
    pub(crate) method: String,
    pub(crate) values: Tensor,
    pub(crate) reading: Reading,
    pub(crate) laid_out: Option<Tensor>,
    pub(crate) layer: Option<String>,
    pub(crate) placement: Option<Placement>,
    pub(crate) classes: Vec<usize>,
    pub(crate) scores: Vec<f64>,
    pub(crate) convergence: Convergence,
    pub(crate) error: Option<Tensor>,
    pub(crate) cost: Cost,
    pub(crate) reuse: Option<Reuse>,
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
        let (reading, scores) = (Reading::Signed, prediction.scores);
        let (laid_out, layer, placement, error) = (None, None, None, None);
        Self {
            method,
            values,
            reading,
            laid_out,
            layer,
            placement,
            classes,
            scores,
            convergence,
            error,
            cost,
            reuse: None,
        }
    }

    /// A map that was made elsewhere, to be drawn and measured: `values` of the input's shape, or `[N, 1, h, w]`. It
    /// explains no class, and nothing is known of how it converged.
    pub fn given(method: impl Into<String>, values: &Tensor) -> Self {
        let nothing = Prediction { target: Resolved::Classes(Vec::new()), scores: Vec::new() };
        Self::new(method.into(), values.detach(), nothing, Convergence::exact(), Cost::default())
    }

    /// The method's name as in the registry; composed methods name their parts.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The map: the input's shape for methods that explain the input, the layer's output's for methods that explain
    /// the units of a layer, `[N, 1, h, w]` for class activation maps and maps of tokens.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// What is drawn and measured: the values; those of a transformer's tokens laid out on the image, `[N, C, h, w]`,
    /// without the tokens that are no patches.
    pub fn maps(&self) -> &Tensor {
        self.laid_out.as_ref().unwrap_or(&self.values)
    }

    /// How the values are meant to be read.
    pub fn reading(&self) -> Reading {
        self.reading
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

    /// The standard error that sampling left in every value, of the map's shape and units; `None` for methods that
    /// do not sample, and for VarGrad, of whose error nothing is known.
    pub fn standard_error(&self) -> Option<&Tensor> {
        self.error.as_ref()
    }

    /// Between which values each value of the map lies: `sigmas` standard errors to both sides. 1.96 of them are the
    /// 95 % confidence interval of a mean of many samples.
    ///
    /// # Errors
    /// If candle fails.
    pub fn interval(&self, sigmas: f64) -> Result<Option<(Tensor, Tensor)>> {
        let Some(error) = &self.error else { return Ok(None) };
        let reach = (error * sigmas)?;
        Ok(Some(((&self.values - &reach)?, (&self.values + reach)?)))
    }

    /// What it cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What its evaluations saved where they share most of their input; `None` if every one of them ran whole, or
    /// was [`Remembered`](crate::Remembered).
    pub fn reuse(&self) -> Option<Reuse> {
        self.reuse
    }

    /// Where the cells of a layer's map lie on the image; `None` where they tile it, as pixels and patches do.
    pub fn placement(&self) -> Option<Placement> {
        self.placement
    }

    /// The [maps](Self::maps) summed over channels and brought to the image, `[N, height, width]`: bilinear between the
    /// [places](Self::placement) of its cells. Sign and scale stay. [`bilinear`] is what peers do instead.
    ///
    /// # Errors
    /// If the values are no maps of rank 4.
    pub fn plane(&self, height: usize, width: usize) -> Result<Tensor> {
        let summed = self.maps().sum_keepdim(1)?;
        let resized = match self.placement {
            Some(placement) => place(&summed, placement, height, width),
            None => bilinear(&summed, height, width),
        };
        Ok(resized?.squeeze(1)?)
    }
}
