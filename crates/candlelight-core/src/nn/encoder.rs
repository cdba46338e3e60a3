//! The layers of a transformer block, as a chain takes them.

use super::elements::{Number, lend, wide, widened};
use super::normalise::Rows;
use super::{Act, Activation, LayerNorm, Linear, is_frozen, multiply};
use crate::scope::Kind;
use candle_core::{DType, Result, Tensor};
use candlelight_kernels::chain::{Dense, Encoder, FirstToken};

/// The layers of a pre-norm transformer block:
/// z = x + projection(attention(query, key, value of norm1(x))), y = z + fc2(act(fc1(norm2(z)))).
pub struct EncoderLayers<'a> {
    /// Before the attention.
    pub norm1: &'a LayerNorm,
    /// Queries, keys and values.
    pub qkv: [&'a Linear; 3],
    /// Heads of the attention; its scores are scaled by the square root of their depth.
    pub heads: usize,
    /// What the attention's probabilities are shown as.
    pub probabilities: &'a str,
    /// Behind the attention.
    pub projection: &'a Linear,
    /// What the first sum is shown as.
    pub sum1: &'a str,
    /// Before the perceptron.
    pub norm2: &'a LayerNorm,
    /// Into the perceptron.
    pub fc1: &'a Linear,
    /// Inside it; only the exact GELU can be part of a chain.
    pub act: &'a Act,
    /// Out of it.
    pub fc2: &'a Linear,
    /// What the second sum is shown as.
    pub sum2: &'a str,
}

impl EncoderLayers<'_> {
    /// Names and kinds, in the order in which they run.
    pub(super) fn names(&self) -> Vec<(String, Kind)> {
        let [query, key, value] = self.qkv.map(|linear| (linear.name.as_str(), Kind::Linear));
        let names = [
            (self.norm1.name.as_str(), Kind::LayerNorm),
            query,
            key,
            value,
            (self.probabilities, Kind::AttentionWeights),
            (self.projection.name.as_str(), Kind::Linear),
            (self.sum1, Kind::Add),
            (self.norm2.name.as_str(), Kind::LayerNorm),
            (self.fc1.name.as_str(), Kind::Linear),
            (self.act.name(), Kind::Activation),
            (self.fc2.name.as_str(), Kind::Linear),
            (self.sum2, Kind::Add),
        ];
        names.map(|(name, kind)| (name.to_owned(), kind)).into()
    }

    /// The type of the weights, if they are frozen and a chain has kernels for the block.
    pub(super) fn dtype(&self) -> Option<DType> {
        let [query, key, value] = self.qkv;
        let linears = [query, key, value, self.projection, self.fc1, self.fc2];
        let linears = linears.iter().map(|linear| (&linear.weight, &linear.bias));
        let norms = [self.norm1, self.norm2];
        let frozen = linears
            .chain(norms.iter().map(|norm| (&norm.weight, &norm.bias)))
            .all(|(weight, bias)| is_frozen(weight, bias));
        let alike = norms.iter().all(|norm| norm.rows == Rows::Standardized && norm.eps == self.norm1.eps)
            && self.act.activation() == Activation::Gelu;
        let whole = self.heads > 0 && query.weight.dims().first()?.is_multiple_of(self.heads);
        (frozen && alike && whole && query.weight.device().is_cpu()).then(|| wide(query.weight.dtype()))
    }

    /// The weights, norms and scales folded in.
    pub(super) fn weights<T: Number>(&self) -> Result<Encoder<T>> {
        let depth = self.projection.weight.dim(1)? / self.heads;
        let [query, key, value] = self.qkv;
        let query = behind(self.norm1, query)?.scaled(1.0 / (depth as f64).sqrt())?;
        let parts = [behind(self.norm1, key)?, behind(self.norm1, value)?];
        let joined = |part: fn(&Affine) -> &Tensor| Tensor::cat(&parts.each_ref().map(part), 0);
        let keys_values = Affine { weight: joined(|part| &part.weight)?, bias: joined(|part| &part.bias)? };
        Ok(Encoder {
            heads: self.heads,
            eps: self.norm1.eps,
            queries: query.dense()?,
            keys_values: keys_values.dense()?,
            projection: Affine::of(self.projection)?.dense()?,
            fc1: behind(self.norm2, self.fc1)?.dense()?,
            fc2: Affine::of(self.fc2)?.dense()?,
        })
    }
}

/// The type of the weights of a norm, if it is frozen and a chain can normalise its first token.
pub(super) fn dtype(norm: &LayerNorm) -> Option<DType> {
    let known = norm.rows == Rows::Standardized && norm.weight.device().is_cpu();
    (known && is_frozen(&norm.weight, &norm.bias)).then(|| wide(norm.weight.dtype()))
}

/// The head that normalises the first token of every image.
pub(super) fn first_token<T: Number>(norm: &LayerNorm) -> Result<FirstToken<T>> {
    let weight = widened(&norm.weight)?;
    let bias = match &norm.bias {
        Some(bias) => widened(bias)?,
        None => weight.zeros_like()?,
    };
    Ok(FirstToken { weight: weight.to_vec1()?, bias: bias.to_vec1()?, eps: norm.eps })
}

/// x·Wᵀ + b.
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn of(linear: &Linear) -> Result<Self> {
        let weight = widened(&linear.weight)?;
        let bias = match &linear.bias {
            Some(bias) => widened(bias)?,
            None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
        };
        Ok(Self { weight, bias })
    }

    fn scaled(&self, scale: f64) -> Result<Self> {
        Ok(Self { weight: (&self.weight * scale)?, bias: (&self.bias * scale)? })
    }

    fn dense<T: Number>(&self) -> Result<Dense<T>> {
        lend(&self.weight, |weight| Ok(Dense::new(weight, self.bias.to_vec1()?, multiply::wanted())))?
    }
}

/// `linear` behind the affine part of `norm`: W(γx̂ + β) + b = (Wγ)x̂ + (Wβ + b).
fn behind(norm: &LayerNorm, linear: &Linear) -> Result<Affine> {
    let Affine { weight, bias } = Affine::of(linear)?;
    let bias = match &norm.bias {
        Some(shift) => (weight.matmul(&widened(shift)?.unsqueeze(1)?)?.squeeze(1)? + bias)?,
        None => bias,
    };
    Ok(Affine { weight: weight.broadcast_mul(&widened(&norm.weight)?)?, bias })
}
