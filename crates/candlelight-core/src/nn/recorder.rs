//! Where chains are recorded.

use super::chain::{Chain, Links, of_links};
use super::elements::widened;
use super::{Act, Activation, BatchNorm, Conv2d, EncoderLayers, LayerNorm, MaxPool2d, encoder, is_frozen};
use crate::scope::Kind;
use candle_core::{DType, Result, Tensor};
use candlelight_kernels::chain::{Subsample, Value};

/// Where a [`Chain`] is recorded. Every layer gives the value that it makes, or nothing if it cannot be part of a chain.
pub struct Recorder(pub(super) Chain);

impl Recorder {
    /// The chain's input.
    pub fn input(&self) -> Value {
        of_links!(&self.0.links, chain => chain.input())
    }

    /// A convolution and the batch norm behind it.
    pub fn conv(&mut self, x: Value, conv: &Conv2d, norm: Option<&BatchNorm>) -> Option<Value> {
        let Conv2d { weight, bias, config, name } = conv;
        let frozen = is_frozen(weight, bias) && !norm.is_some_and(BatchNorm::is_trained);
        if !frozen || config.groups != 1 || !weight.device().is_cpu() {
            return None;
        }
        let window = conv.window().ok()?;
        let (weight, bias) = folded(conv, norm).ok()?;
        let inputs = weight.dim(1).ok()?;
        self.fits(weight.dtype())?;
        self.0.layers.push((name.clone(), Kind::Conv));
        self.0.layers.extend(norm.map(|norm| (norm.name().to_owned(), Kind::BatchNorm)));
        self.0.convs.push((conv.clone(), norm.cloned()));
        let weight = weight.flatten_all().ok()?;
        of_links!(&mut self.0.links, chain => {
            chain.conv(x, window, inputs, &weight.to_vec1().ok()?, bias.to_vec1().ok()?)
        })
    }

    /// An activation; only a rectifier can be part of a chain.
    pub fn act(&mut self, x: Value, act: &Act) -> Option<Value> {
        if act.activation() != Activation::Relu {
            return None;
        }
        self.0.layers.push((act.name().to_owned(), Kind::Activation));
        of_links!(&mut self.0.links, chain => chain.relu(x))
    }

    /// A residual add, shown as `name` where it runs as a layer.
    pub fn add(&mut self, a: Value, b: Value, name: &str) -> Option<Value> {
        self.0.layers.push((name.to_owned(), Kind::Add));
        of_links!(&mut self.0.links, chain => chain.add(a, b))
    }

    /// A max pool.
    pub fn max_pool(&mut self, x: Value, pool: &MaxPool2d) -> Option<Value> {
        let window = pool.floor_window()?;
        self.0.layers.push((pool.name().to_owned(), Kind::Pool));
        of_links!(&mut self.0.links, chain => chain.max_pool(x, window))
    }

    /// A shortcut without weights, which no layer stands for.
    pub fn subsample(&mut self, x: Value, subsample: Subsample) -> Option<Value> {
        of_links!(&mut self.0.links, chain => chain.subsample(x, subsample))
    }

    /// A transformer block on tokens.
    pub fn encoder(&mut self, x: Value, layers: &EncoderLayers) -> Option<Value> {
        self.fits(layers.dtype()?)?;
        self.0.layers.extend(layers.names());
        of_links!(&mut self.0.links, chain => chain.encoder(x, layers.weights().ok()?))
    }

    /// A layer norm of which the first token is taken, and no other needed: `[N, T, D]` to `[N, 1, D]`. Only a
    /// standardising norm can be part of a chain.
    pub fn first_token(&mut self, x: Value, norm: &LayerNorm) -> Option<Value> {
        self.fits(encoder::dtype(norm)?)?;
        self.0.layers.push((norm.name.clone(), Kind::LayerNorm));
        of_links!(&mut self.0.links, chain => chain.first_token(x, encoder::first_token(norm).ok()?))
    }

    /// A block or stage that ends here and is shown as `name` where it runs as layers.
    pub fn tap(&mut self, name: &str) {
        self.0.layers.push((name.to_owned(), Kind::Tap));
    }

    /// Whether weights of this type can join; the first ones decide.
    fn fits(&mut self, dtype: DType) -> Option<()> {
        if let (Links::F32(chain), DType::F64) = (&self.0.links, dtype) {
            self.0.links = Links::F64(chain.of_type()?);
        }
        (self.0.dtype() == dtype).then_some(())
    }
}

/// Weight and bias of a convolution with the batch norm behind it folded in.
pub(super) fn folded(conv: &Conv2d, norm: Option<&BatchNorm>) -> Result<(Tensor, Tensor)> {
    let weight = widened(&conv.weight().detach())?;
    let bias = match conv.bias() {
        Some(bias) => widened(&bias.detach())?,
        None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
    };
    let Some(norm) = norm else { return Ok((weight, bias)) };
    let (scale, shift) = norm.affine()?;
    let bias = ((bias * &scale)? + shift)?;
    Ok((weight.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?, bias))
}
