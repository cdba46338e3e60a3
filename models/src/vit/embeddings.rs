//! From pixels to tokens: patches, a class token in front, learned positions.

use candle_core::{Result, Tensor};
use candle_nn::Init;
use candlelight_core::TokenGrid;
use candlelight_core::nn::{self, Module, VarBuilder};

use super::ViTConfig;
use super::naming::Names;
use crate::{Error, path};

/// How wide tokens and positions spread before training.
const SPREAD: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// The embedding with its weights.
#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    patches: nn::Conv2d,
    class_token: Tensor,
    positions: Tensor,
    image_size: (usize, usize),
    grid: TokenGrid,
    name: String,
}

impl Embeddings {
    pub fn new(config: &ViTConfig, names: &Names, vb: &VarBuilder) -> Result<Self> {
        let (size, patch) = (config.hidden_size, config.patch_size);
        let (rows, columns) = config.grid();
        let stride = nn::Conv2dConfig { stride: patch, ..Default::default() };
        Ok(Self {
            patches: nn::conv2d(config.in_channels, size, patch, stride, vb.pp(names.patches))?,
            class_token: vb.get_with_hints((1, 1, size), names.class_token, SPREAD)?,
            positions: vb.get_with_hints((1, config.tokens(), size), names.positions, SPREAD)?,
            image_size: config.image_size,
            grid: TokenGrid { prefix: 1, rows, columns },
            name: path(vb, names.embeddings),
        })
    }

    /// `[N, C, H, W]` to `[N, 1 + patches, D]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, _, height, width) = x.dims4()?;
        self.check((height, width)).map_err(candle_core::Error::wrap)?;
        candlelight_core::token_grid(self.grid);
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?;
        let class_token = self.class_token.broadcast_as((n, 1, patches.dim(2)?))?;
        let tokens = Tensor::cat(&[&class_token, &patches], 1)?;
        candlelight_core::tap(&self.name, &tokens.broadcast_add(&self.positions)?)
    }

    /// The positions are learned for one size, and never interpolated.
    pub fn check(&self, found: (usize, usize)) -> crate::Result<()> {
        match found == self.image_size {
            true => Ok(()),
            false => Err(Error::ImageSize { expected: self.image_size, found }),
        }
    }
}
