//! Vision transformers: pre-norm blocks, a class token, two vocabularies.

mod attention;
mod block;
mod config;
mod embeddings;
mod first_token;
mod naming;

use candle_core::{IndexOp, Result, Tensor};
use candlelight_core::nn::{self, Module, Part, VarBuilder};

pub use config::{QkvBias, ViTConfig, Width};
pub use naming::Naming;

use block::EncoderBlock;
use embeddings::Embeddings;
use first_token::FirstToken;

/// A vision transformer (<https://arxiv.org/abs/2010.11929>).
///
/// Every layer and block is a tap under the name that its weights have (`vit.encoder.layer.0`,
/// `blocks.0.norm1`), and so are the attention probabilities (`vit.encoder.layer.0.attention.attention`,
/// `blocks.0.attn`), `[N, heads, T, T]` with queries in rows.
#[derive(Clone, Debug)]
pub struct ViT {
    config: ViTConfig,
    embeddings: Embeddings,
    blocks: Vec<EncoderBlock>,
    first_token: FirstToken,
    head: nn::Linear,
}

impl ViT {
    /// A transformer whose weights come from `vb`: a file, or a `VarMap` to train them.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape.
    pub fn new(config: ViTConfig, vb: VarBuilder) -> Result<Self> {
        let names = config.naming.names();
        let blocks = vb.pp(names.blocks);
        Ok(Self {
            embeddings: Embeddings::new(&config, &names, &vb)?,
            blocks: (0..config.layers)
                .map(|i| EncoderBlock::new(&config, blocks.pp(i)))
                .collect::<Result<_>>()?,
            first_token: FirstToken::new(config.hidden_size, config.norm_eps, vb.pp(names.norm))?,
            head: nn::linear(config.hidden_size, config.classes, vb.pp(names.head))?,
            config,
        })
    }

    /// What the transformer is made of.
    pub fn config(&self) -> &ViTConfig {
        &self.config
    }

    /// Whether images of `(height, width)` pixels fit.
    ///
    /// # Errors
    ///
    /// [`Error::ImageSize`](crate::Error::ImageSize): positions are learned for one size, and not interpolated.
    pub fn check_size(&self, size: (usize, usize)) -> crate::Result<()> {
        self.embeddings.check(size)
    }

    /// The tokens after the last norm, the class token first: for heads of one's own.
    ///
    /// # Shapes
    ///
    /// `x` is `[N, C, H, W]`, the tokens are `[N, 1 + patches, hidden_size]`.
    ///
    /// # Errors
    ///
    /// The shape of `x` does not fit.
    pub fn tokens(&self, x: &Tensor) -> Result<Tensor> {
        let x = nn::run_parts(&self.blocks().collect::<Vec<_>>(), &self.embeddings.forward(x)?)?;
        self.first_token.norm().forward(&x)
    }

    fn blocks(&self) -> impl Iterator<Item = &dyn Part> {
        self.blocks.iter().map(|block| block as &dyn Part)
    }

    /// Logits `[N, classes]` of [`tokens`](Self::tokens).
    ///
    /// # Errors
    ///
    /// The shape of `tokens` does not fit.
    pub fn classify(&self, tokens: &Tensor) -> Result<Tensor> {
        self.head.forward(&tokens.i((.., 0))?.contiguous()?)
    }
}

impl Module for ViT {
    /// Logits `[N, classes]` of images `[N, C, H, W]` of the configured size.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let parts: Vec<&dyn Part> = self.blocks().chain([&self.first_token as &dyn Part]).collect();
        self.classify(&nn::run_parts(&parts, &self.embeddings.forward(x)?)?)
    }
}
