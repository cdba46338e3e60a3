//! The bundled transformer layer by layer, with its attention open to be nudged.

use candle_core::{D, IndexOp, Result, Tensor, Var};
use candlelight_core::nn::{self, Module, VarBuilder};
use candlelight_models::ViTConfig;

/// The layers of a [`ViT`](candlelight_models::ViT), on the same weights under the same names.
pub struct OpenViT {
    patches: nn::Conv2d,
    class_token: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: nn::LayerNorm,
    head: nn::Linear,
}

/// What a pass of it shows.
pub struct Pass {
    /// `[N, classes]`.
    pub logits: Tensor,
    /// Of every block `[N, heads, T, T]`, before it is nudged.
    pub attention: Vec<Tensor>,
    /// What the last block reads, `[N, T, D]`.
    pub read: Tensor,
}

struct Block {
    norm1: nn::LayerNorm,
    qkv: [nn::Linear; 3],
    projection: nn::Linear,
    norm2: nn::LayerNorm,
    fc1: nn::Linear,
    fc2: nn::Linear,
    heads: usize,
}

impl OpenViT {
    pub fn new(config: &ViTConfig, vb: &VarBuilder) -> Result<Self> {
        let (size, patch) = (config.hidden_size, config.patch_size);
        let stride = nn::Conv2dConfig { stride: patch, ..Default::default() };
        let (vit, embeddings) = (vb.pp("vit"), vb.pp("vit.embeddings"));
        let projection = embeddings.pp("patch_embeddings.projection");
        Ok(Self {
            patches: nn::conv2d(config.in_channels, size, patch, stride, projection)?,
            class_token: embeddings.get((1, 1, size), "cls_token")?,
            positions: embeddings.get((1, config.tokens(), size), "position_embeddings")?,
            blocks: (0..config.layers)
                .map(|i| Block::new(config, &vit.pp(format!("encoder.layer.{i}"))))
                .collect::<Result<_>>()?,
            norm: nn::layer_norm(size, config.norm_eps, vit.pp("layernorm"))?,
            head: nn::linear(size, config.classes, vb.pp("classifier"))?,
        })
    }

    /// Attention of `images` that nothing is added to, of every block.
    pub fn still(&self, images: usize) -> Result<Vec<Var>> {
        let still = |block: &Block| {
            let (_, tokens, _) = self.positions.dims3()?;
            Var::zeros((images, block.heads, tokens, tokens), self.positions.dtype(), self.positions.device())
        };
        self.blocks.iter().map(still).collect()
    }

    /// Runs images `[N, C, H, W]`; `nudges`, of no block or of every one, are added to the attention.
    pub fn forward(&self, x: &Tensor, nudges: &[Tensor]) -> Result<Pass> {
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?;
        let class_token = self.class_token.broadcast_as((x.dim(0)?, 1, patches.dim(2)?))?;
        let mut x = Tensor::cat(&[&class_token, &patches], 1)?.broadcast_add(&self.positions)?;
        let (mut attention, mut read) = (Vec::new(), x.clone());
        for (index, block) in self.blocks.iter().enumerate() {
            read = x;
            let (y, probabilities) = block.forward(&read, nudges.get(index))?;
            attention.push(probabilities);
            x = y;
        }
        let class = self.norm.forward(&x)?.i((.., 0))?.contiguous()?;
        Ok(Pass { logits: self.head.forward(&class)?, attention, read })
    }
}

impl Block {
    fn new(config: &ViTConfig, vb: &VarBuilder) -> Result<Self> {
        let (size, inner, eps) = (config.hidden_size, config.intermediate_size, config.norm_eps);
        let square = |name| nn::linear(size, size, vb.pp(name));
        Ok(Self {
            norm1: nn::layer_norm(size, eps, vb.pp("layernorm_before"))?,
            qkv: [
                square("attention.attention.query")?,
                square("attention.attention.key")?,
                square("attention.attention.value")?,
            ],
            projection: square("attention.output.dense")?,
            norm2: nn::layer_norm(size, eps, vb.pp("layernorm_after"))?,
            fc1: nn::linear(size, inner, vb.pp("intermediate.dense"))?,
            fc2: nn::linear(inner, size, vb.pp("output.dense"))?,
            heads: config.heads,
        })
    }

    /// The output and the attention.
    fn forward(&self, x: &Tensor, nudge: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let (n, tokens, size) = x.dims3()?;
        let y = self.norm1.forward(x)?;
        let split = |map: &nn::Linear| {
            let y = map.forward(&y)?.reshape((n, tokens, self.heads, size / self.heads))?;
            y.transpose(1, 2)?.contiguous()
        };
        let [q, k, v] = [split(&self.qkv[0])?, split(&self.qkv[1])?, split(&self.qkv[2])?];
        let scale = ((self.heads as f64) / size as f64).sqrt();
        let scores = (q * scale)?.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
        let attention = nn::ops::softmax_last_dim(&scores)?;
        let mixed = match nudge {
            Some(nudge) => (&attention + nudge)?.matmul(&v)?,
            None => attention.matmul(&v)?,
        };
        let joined = mixed.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
        let x = (x + self.projection.forward(&joined)?)?;
        let inner = self.fc1.forward(&self.norm2.forward(&x)?)?.gelu_erf()?;
        Ok(((&x + self.fc2.forward(&inner)?)?, attention))
    }
}
