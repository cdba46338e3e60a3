//! What a vision transformer is made of, without its weights.

use candlelight_core::nn::Activation;

use super::Naming;

/// Whether queries, keys and values have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkvBias {
    /// They have, as nearly always.
    Present,
    /// They have not (`"qkv_bias": false`).
    Absent,
}

/// A vision transformer (<https://arxiv.org/abs/2010.11929>) without its weights: pre-norm blocks, a class
/// token, learned positions.
#[derive(Clone, Debug)]
pub struct ViTConfig {
    /// Whose tensor names the weights have.
    pub naming: Naming,
    /// Height and width of the image in pixels.
    pub image_size: (usize, usize),
    /// Height and width of a patch in pixels.
    pub patch_size: usize,
    /// Channels of the image.
    pub in_channels: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// The number of blocks.
    pub layers: usize,
    /// Attention heads of a block; they share `hidden_size`.
    pub heads: usize,
    /// Features inside a block's perceptron.
    pub intermediate_size: usize,
    /// Added to the variance in every layer norm.
    pub norm_eps: f64,
    /// Biases of queries, keys and values.
    pub qkv_bias: QkvBias,
    /// The activation inside a block's perceptron.
    pub activation: Activation,
    /// The number of logits.
    pub classes: usize,
}

impl ViTConfig {
    /// A transformer with timm's names: perceptrons four times as wide as a token, eps 1e-6, exact GELU.
    ///
    /// `ViTConfig::timm((224, 224), 16, Width::BASE, 1000)` is ViT-B/16.
    pub fn timm(image_size: (usize, usize), patch_size: usize, width: Width, classes: usize) -> Self {
        Self {
            naming: Naming::Timm,
            image_size,
            patch_size,
            in_channels: 3,
            hidden_size: width.hidden_size,
            layers: width.layers,
            heads: width.heads,
            intermediate_size: width.hidden_size.saturating_mul(4),
            norm_eps: 1e-6,
            qkv_bias: QkvBias::Present,
            activation: Activation::Gelu,
            classes,
        }
    }

    /// The bundled demo model for scenes of 64x64: 64 patches, four blocks of four heads.
    pub fn scenes() -> Self {
        let width = Width { hidden_size: 112, layers: 4, heads: 4 };
        Self {
            naming: Naming::HuggingFace,
            intermediate_size: 224,
            norm_eps: 1e-12,
            ..Self::timm((64, 64), 8, width, 10)
        }
    }

    /// Rows and columns of the grid of patches.
    pub fn grid(&self) -> (usize, usize) {
        let (height, width) = self.image_size;
        (height / self.patch_size, width / self.patch_size)
    }

    /// The name of the first norm of the last block, as a tap.
    pub fn last_norm(&self) -> String {
        let last = self.layers.saturating_sub(1);
        format!("{}.{last}.{}", self.naming.names().blocks, self.naming.block().norm1)
    }

    /// Patches and the class token.
    pub fn tokens(&self) -> usize {
        let (rows, columns) = self.grid();
        rows * columns + 1
    }
}

/// The sizes that the letter in ViT-Ti, ViT-S, ViT-B and ViT-L stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Features of a token.
    pub hidden_size: usize,
    /// The number of blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
}

impl Width {
    /// ViT-Ti.
    pub const TINY: Self = Self { hidden_size: 192, layers: 12, heads: 3 };
    /// ViT-S.
    pub const SMALL: Self = Self { hidden_size: 384, layers: 12, heads: 6 };
    /// ViT-B.
    pub const BASE: Self = Self { hidden_size: 768, layers: 12, heads: 12 };
    /// ViT-L.
    pub const LARGE: Self = Self { hidden_size: 1024, layers: 24, heads: 16 };
}
