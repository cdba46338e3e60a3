//! What a ResNet is made of, without its weights.

use candlelight_core::nn::Activation;

use super::Naming;

/// The first layers, up to the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// One 7x7 convolution of stride 2, then a 3x3 max pool of stride 2.
    Plain,
    /// Three 3x3 convolutions, the first of stride 2 and the first two of `width` channels, then the
    /// same max pool: the "D" stem of <https://arxiv.org/abs/1812.01187>.
    Deep {
        /// Channels of the first two convolutions.
        width: usize,
    },
    /// One 3x3 convolution of stride 1 and no pool, for images of 32x32.
    Small,
}

/// The residual branch of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions; the first one carries the stride.
    Basic,
    /// 1x1, 3x3 (which carries the stride) and 1x1 convolutions, a quarter of the channels inside.
    Bottleneck,
    /// A bottleneck whose first 1x1 convolution carries the stride, as in the first paper.
    BottleneckV1,
}

/// How the shortcut of a block that changes the shape of its input gets the shape of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// A strided 1x1 convolution and a norm.
    Conv,
    /// A 2x2 average pool, then a 1x1 convolution and a norm (<https://arxiv.org/abs/1812.01187>).
    PoolConv,
    /// Every second pixel, and channels of zeros on both sides: option A of the first paper, for CIFAR.
    PadChannels,
}

/// One stage: blocks of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The kind of block.
    pub block: Block,
    /// The number of blocks.
    pub depth: usize,
    /// Channels that come out of each block.
    pub channels: usize,
    /// Stride of the first block.
    pub stride: usize,
}

/// A residual network (<https://arxiv.org/abs/1512.03385>) without its weights.
#[derive(Clone, Debug)]
pub struct ResNetConfig {
    /// Whose tensor names the weights have.
    pub naming: Naming,
    /// Channels of the image.
    pub in_channels: usize,
    /// The layers before the first stage.
    pub stem: Stem,
    /// Channels that come out of the stem.
    pub stem_channels: usize,
    /// The stages, first to last.
    pub stages: Vec<Stage>,
    /// The shortcut of blocks that change the shape.
    pub shortcut: Shortcut,
    /// The activation after every norm.
    pub activation: Activation,
    /// Added to the variance in every batch norm.
    pub norm_eps: f64,
    /// The number of logits.
    pub classes: usize,
}

impl ResNetConfig {
    /// A network in torchvision's layout with its four stages of `depths` blocks.
    ///
    /// `ResNetConfig::imagenet(Block::Bottleneck, [3, 4, 6, 3], 1000)` is ResNet-50.
    pub fn imagenet(block: Block, depths: [usize; 4], classes: usize) -> Self {
        let expansion = if block == Block::Basic { 1 } else { 4 };
        Self {
            naming: Naming::Torchvision,
            in_channels: 3,
            stem: Stem::Plain,
            stem_channels: 64,
            stages: stages(block, &depths, &[64, 128, 256, 512].map(|c| c * expansion)),
            shortcut: Shortcut::Conv,
            activation: Activation::Relu,
            norm_eps: 1e-5,
            classes,
        }
    }

    /// The CIFAR network of `3 * 2 * blocks + 2` layers: 3 blocks per stage are ResNet-20, 18 are ResNet-110.
    pub fn cifar(blocks: usize, classes: usize) -> Self {
        Self {
            naming: Naming::Cifar,
            stem: Stem::Small,
            stem_channels: 16,
            stages: stages(Block::Basic, &[blocks; 3], &[16, 32, 64]),
            shortcut: Shortcut::PadChannels,
            ..Self::imagenet(Block::Basic, [0; 4], classes)
        }
    }

    /// The bundled demo model for scenes of 64x64: two stages of 48 and 96 channels, a last map of 8x8.
    pub fn scenes() -> Self {
        Self {
            naming: Naming::HuggingFace,
            stem_channels: 32,
            stages: stages(Block::Basic, &[2, 2], &[48, 96]),
            ..Self::imagenet(Block::Basic, [0; 4], 10)
        }
    }

    /// The name of the last stage, as a tap.
    pub fn last_stage(&self) -> String {
        self.naming.stage(self.stages.len().saturating_sub(1))
    }

    /// Channels that come out of the last stage: the input of the head.
    pub fn features(&self) -> usize {
        self.stages.last().map_or(self.stem_channels, |s| s.channels)
    }
}

/// Stages of one kind of block, the first of stride 1, the others of stride 2.
pub(crate) fn stages(block: Block, depths: &[usize], channels: &[usize]) -> Vec<Stage> {
    let stride = |i| if i == 0 { 1 } else { 2 };
    let pairs = depths.iter().zip(channels).enumerate();
    pairs.map(|(i, (&depth, &channels))| Stage { block, depth, channels, stride: stride(i) }).collect()
}
