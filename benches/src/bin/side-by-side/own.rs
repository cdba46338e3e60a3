//! Models as somebody writes them on candle_nn, made explainable by nothing but their imports: `candlelight::nn` where
//! it said `candle_nn`, and its pool where it said `Tensor::max_pool2d`.

use candle_core::{D, Module, Result, Tensor};
use candlelight::nn::{
    BatchNorm, Conv2d, Conv2dConfig, LayerNorm, Linear, MaxPool2d, ModuleT, VarBuilder, batch_norm, conv2d,
    conv2d_no_bias, layer_norm, linear, relu, softmax_last_dim,
};

/// Blocks and inner channels of ResNet-50's stages.
const STAGES: [(usize, usize); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];

/// ResNet-50 with torchvision's names.
pub struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Bottleneck>,
    head: Linear,
}

struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

struct Bottleneck {
    branch: [ConvNorm; 3],
    shortcut: Option<ConvNorm>,
}

impl ConvNorm {
    fn new(shape: (usize, usize, usize), stride: usize, conv: VarBuilder, norm: VarBuilder) -> Result<Self> {
        let (inputs, outputs, kernel) = shape;
        let config = Conv2dConfig { stride, padding: kernel / 2, ..Default::default() };
        let conv = conv2d_no_bias(inputs, outputs, kernel, config, conv)?;
        Ok(Self { conv, norm: batch_norm(outputs, 1e-5, norm)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward_t(&self.conv.forward(x)?, false)
    }
}

impl Bottleneck {
    fn new(inputs: usize, inner: usize, stride: usize, vb: VarBuilder) -> Result<Self> {
        let unit = |i: usize, shape, stride| {
            ConvNorm::new(shape, stride, vb.pp(format!("conv{i}")), vb.pp(format!("bn{i}")))
        };
        let outputs = 4 * inner;
        let branch = [
            unit(1, (inputs, inner, 1), 1)?,
            unit(2, (inner, inner, 3), stride)?,
            unit(3, (inner, outputs, 1), 1)?,
        ];
        let side = vb.pp("downsample");
        let shortcut =
            (inputs != outputs).then(|| ConvNorm::new((inputs, outputs, 1), stride, side.pp(0), side.pp(1)));
        Ok(Self { branch, shortcut: shortcut.transpose()? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.branch;
        let y = relu(&first.forward(x)?)?;
        let y = relu(&second.forward(&y)?)?;
        let y = third.forward(&y)?;
        let side = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)?,
            None => x.clone(),
        };
        relu(&(y + side)?)
    }
}

impl ResNet {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let (mut inputs, mut blocks) = (64, Vec::new());
        for (index, (depth, inner)) in STAGES.into_iter().enumerate() {
            for block in 0..depth {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                let vb = vb.pp(format!("layer{}", index + 1)).pp(block);
                blocks.push(Bottleneck::new(inputs, inner, stride, vb)?);
                inputs = 4 * inner;
            }
        }
        let stem = ConvNorm::new((3, 64, 7), 2, vb.pp("conv1"), vb.pp("bn1"))?;
        Ok(Self { stem, blocks, head: linear(inputs, 1000, vb.pp("fc"))? })
    }
}

impl Module for ResNet {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = MaxPool2d::new(3, 2, 1).forward(&relu(&self.stem.forward(x)?)?)?;
        let x = self.blocks.iter().try_fold(x, |x, block| block.forward(&x))?;
        self.head.forward(&x.mean((2, 3))?)
    }
}

/// ViT-B/16 with timm's names.
pub struct ViT {
    patches: Conv2d,
    class_token: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    projection: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

const SIZE: usize = 768;
const HEADS: usize = 12;

impl Block {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm1: layer_norm(SIZE, 1e-6, vb.pp("norm1"))?,
            qkv: linear(SIZE, 3 * SIZE, vb.pp("attn.qkv"))?,
            projection: linear(SIZE, SIZE, vb.pp("attn.proj"))?,
            norm2: layer_norm(SIZE, 1e-6, vb.pp("norm2"))?,
            fc1: linear(SIZE, 4 * SIZE, vb.pp("mlp.fc1"))?,
            fc2: linear(4 * SIZE, SIZE, vb.pp("mlp.fc2"))?,
        })
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let (n, tokens, _) = x.dims3()?;
        let qkv = self.qkv.forward(x)?.reshape((n, tokens, 3, HEADS, SIZE / HEADS))?;
        let part = |i| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = ((part(0)? * (1.0 / ((SIZE / HEADS) as f64).sqrt()))?, part(1)?, part(2)?);
        let weights = softmax_last_dim(&q.matmul(&k.transpose(D::Minus2, D::Minus1)?)?)?;
        let mixed = weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
        self.projection.forward(&mixed)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = (x + self.attention(&self.norm1.forward(x)?)?)?;
        let hidden = candlelight::nn::gelu(&self.fc1.forward(&self.norm2.forward(&x)?)?)?;
        &x + self.fc2.forward(&hidden)?
    }
}

impl ViT {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let stride = Conv2dConfig { stride: 16, ..Default::default() };
        Ok(Self {
            patches: conv2d(3, SIZE, 16, stride, vb.pp("patch_embed.proj"))?,
            class_token: vb.get((1, 1, SIZE), "cls_token")?,
            positions: vb.get((1, 197, SIZE), "pos_embed")?,
            blocks: (0..12).map(|i| Block::new(vb.pp("blocks").pp(i))).collect::<Result<_>>()?,
            norm: layer_norm(SIZE, 1e-6, vb.pp("norm"))?,
            head: linear(SIZE, 1000, vb.pp("head"))?,
        })
    }
}

impl Module for ViT {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?;
        let class_token = self.class_token.broadcast_as((x.dim(0)?, 1, SIZE))?;
        let x = Tensor::cat(&[&class_token, &patches], 1)?.broadcast_add(&self.positions)?;
        let x = self.blocks.iter().try_fold(x, |x, block| block.forward(&x))?;
        self.head.forward(&self.norm.forward(&x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?)
    }
}
