//! The last norm, and of its tokens the first.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Chain, Module, Part, VarBuilder};

/// The class token behind the last norm: the only one that the head looks at.
#[derive(Clone, Debug)]
pub(super) struct FirstToken {
    norm: nn::LayerNorm,
    chain: Option<Chain>,
}

impl FirstToken {
    pub fn new(size: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        let norm = nn::layer_norm(size, eps, vb)?;
        let chain = Chain::record(|chain| chain.first_token(chain.input(), &norm));
        Ok(Self { norm, chain })
    }

    /// The norm of all tokens.
    pub fn norm(&self) -> &nn::LayerNorm {
        &self.norm
    }
}

impl Part for FirstToken {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// `[N, T, D]` to `[N, 1, D]`.
    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(x)?.narrow(1, 0, 1)
    }
}
