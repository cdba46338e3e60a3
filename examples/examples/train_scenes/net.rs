//! The models as they are trained.

use crate::Architecture;
use crate::data::Batch;
use crate::guidance::Guidance;
use crate::open::OpenViT;
use candle_core::{D, DType, Device, Error, Module, Result, Tensor};
use candle_nn::{VarBuilder, VarMap, loss, ops};
use candlelight_core::nn;
use candlelight_models::{ResNet, ResNetConfig, ViT, ViTConfig};
use std::collections::HashMap;

/// A model on its way.
pub enum Net {
    ResNet(Box<ResNet>),
    ViT(Box<Transformer>),
}

/// The transformer and what its training needs.
pub struct Transformer {
    vit: ViT,
    open: OpenViT,
    frozen: OpenViT,
    /// A head that names the class under every patch.
    patch_head: nn::Linear,
}

/// What a step of training saw.
pub struct Seen {
    pub loss: Tensor,
    /// In how many of the scenes that were asked about the relevance was larger on the own object.
    pub told: Option<f64>,
}

impl Net {
    pub fn new(architecture: Architecture, weights: &VarMap, patch_head: &VarMap) -> Result<Self> {
        let builder = |weights| VarBuilder::from_varmap(weights, DType::F32, &Device::Cpu);
        Ok(match architecture {
            Architecture::Resnet => {
                Self::ResNet(Box::new(ResNet::new(ResNetConfig::scenes(), builder(weights))?))
            }
            Architecture::Vit => {
                let config = ViTConfig::scenes();
                let patch_head = nn::linear(config.hidden_size, config.classes + 1, builder(patch_head))?;
                let open = OpenViT::new(&config, &builder(weights))?;
                spread_positions(weights)?;
                let frozen = OpenViT::new(&config, &detached(weights)?)?;
                let vit = ViT::new(config, builder(weights))?;
                Self::ViT(Box::new(Transformer { vit, open, frozen, patch_head }))
            }
        })
    }

    /// The loss of a batch, with so large a weight of that of the relevance.
    pub fn loss(&self, batch: &Batch, guide: f64) -> Result<Seen> {
        match self {
            Self::ResNet(net) => {
                Ok(Seen { loss: cross_entropy(&net.forward_train(&batch.x)?, &batch.shares)?, told: None })
            }
            Self::ViT(net) => net.loss(batch, guide),
        }
    }
}

impl Transformer {
    /// The transformer also learns from every patch that its last block reads: which class lies under it, or none.
    fn loss(&self, batch: &Batch, guide: f64) -> Result<Seen> {
        let Some(asked) = batch.asked.as_ref().filter(|_| guide > 0.0) else {
            let pass = self.open.forward(&batch.x, &[])?;
            return Ok(Seen { loss: self.named(batch, &pass.logits, &pass.read)?, told: None });
        };
        let guidance = Guidance::of(&self.frozen, asked)?;
        let plain = batch.x.dim(0)?;
        let x = Tensor::cat(&[&batch.x, &asked.x, &asked.x], 0)?;
        let pass = self.open.forward(&x, &guidance.nudges(plain)?)?;
        let named = self.named(batch, &pass.logits.narrow(0, 0, plain)?, &pass.read.narrow(0, 0, plain)?)?;
        let loss = (named + (guidance.surrogate(&pass, asked)? * guide)?)?;
        Ok(Seen { loss, told: Some(guidance.told) })
    }

    /// The loss of the classes of whole pictures and of patches.
    fn named(&self, batch: &Batch, logits: &Tensor, read: &Tensor) -> Result<Tensor> {
        let patches = read.narrow(1, 1, read.dim(1)? - 1)?.contiguous()?.flatten(0, 1)?;
        let chosen = self.patch_head.forward(&patches.index_select(&batch.patches, 0)?)?;
        cross_entropy(logits, &batch.shares)? + loss::cross_entropy(&chosen, &batch.patch_labels)?
    }
}

impl Module for Net {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::ResNet(net) => net.forward(x),
            Self::ViT(net) => net.vit.forward(x),
        }
    }
}

/// The weights as they are and will be, none of them a variable.
fn detached(weights: &VarMap) -> Result<VarBuilder<'static>> {
    let tensors = weights.data().lock().map_err(|_| Error::msg("the weights are locked"))?;
    let tensors: HashMap<_, _> =
        tensors.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
}

/// Mean over the rows of the cross-entropy between the share of each class, `[N, classes]`, and the logits.
fn cross_entropy(logits: &Tensor, shares: &Tensor) -> Result<Tensor> {
    (ops::log_softmax(logits, D::Minus1)? * shares)?.sum(D::Minus1)?.mean_all()?.neg()
}

/// Starts the positions of the patches as sines and cosines of row and column, so that neighbours are near from
/// the first step on.
fn spread_positions(weights: &VarMap) -> Result<()> {
    let tensors = weights.data().lock().map_err(|_| candle_core::Error::msg("the weights are locked"))?;
    let Some(positions) = tensors.get("vit.embeddings.position_embeddings") else { return Ok(()) };
    let (_, tokens, size) = positions.dims3()?;
    let (columns, quarter) = (((tokens - 1) as f64).sqrt() as usize, size / 4);
    let value = |token: usize, k: usize| {
        let place = if (k / quarter).is_multiple_of(2) { token / columns } else { token % columns };
        let angle = (place as f64 + 0.5) * 1.5 * (-(((k % quarter) as f64) / quarter as f64) * 3.0).exp();
        if k < 2 * quarter { angle.sin() } else { angle.cos() }
    };
    let values = (0..tokens * size).map(|i| match i / size {
        0 => 0.0,
        token => (0.5 * value(token - 1, i % size)) as f32,
    });
    positions.set(&Tensor::from_vec(values.collect(), (1, tokens, size), &Device::Cpu)?)
}
