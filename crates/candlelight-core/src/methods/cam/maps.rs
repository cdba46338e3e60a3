//! A layer's output and gradient as maps.

use crate::methods::layer::{Seen, laid_out};
use crate::scope::Kind;
use crate::{Error, Placement, Result};
use candle_core::Tensor;

/// The maps of a layer, `[N, channels, h, w]`; patch tokens are laid out on their grid.
pub struct Maps<'a> {
    seen: &'a Seen,
    activation: Tensor,
    gradient: Option<Tensor>,
}

impl<'a> Maps<'a> {
    pub(super) fn new(seen: &'a Seen) -> Result<Self> {
        let gradient = seen.gradient.as_ref().map(|gradient| maps(gradient, seen)).transpose()?;
        Ok(Self { activation: maps(&seen.activation, seen)?, gradient, seen })
    }

    pub(super) fn name(&self) -> &str {
        &self.seen.name
    }

    /// The layer's output as it was, tokens as tokens.
    pub(super) fn output(&self) -> &Tensor {
        &self.seen.activation
    }

    pub(super) fn placement(&self) -> Option<Placement> {
        self.seen.placement()
    }

    pub(super) fn activation(&self) -> &Tensor {
        &self.activation
    }

    /// What has the shape of the layer's output, as maps.
    pub(super) fn laid_out(&self, x: &Tensor) -> Result<Tensor> {
        maps(x, self.seen)
    }

    pub(super) fn gradient(&self) -> Result<&Tensor> {
        self.gradient.as_ref().ok_or_else(|| Error::no_gradient(self.name()))
    }
}

fn maps(x: &Tensor, seen: &Seen) -> Result<Tensor> {
    if seen.kind != Kind::AttentionWeights && matches!(x.dims(), [_, _, h, w] if h * w > 1) {
        return Ok(x.clone());
    }
    laid_out(x, seen.grid())?.ok_or_else(|| Error::Shape {
        what: "the output of the layer",
        found: x.dims().to_vec(),
        expected: format!(
            "maps [N, C, h, w] with a spatial extent, or patch tokens [N, T, C] of a model that calls \
             `token_grid`; layer `{}` has neither (attention has maps of its own: attention-grad-cam)",
            seen.name
        ),
    })
}
