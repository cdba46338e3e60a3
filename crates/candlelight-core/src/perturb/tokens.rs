//! Tokens of a transformer as features.

use crate::perturb::Coalition;
use crate::scope::{Kind, Selector, Watch, watch};
use crate::{Error, Model, Result, TokenGrid};
use candle_core::{DType, Tensor};

/// How the tokens of `model` lie on its input `[N, …]`.
pub(super) fn grid(model: &dyn Model, input: &Tensor) -> Result<TokenGrid> {
    let attention = vec![(Selector::Kind(Kind::AttentionWeights), Watch::Observe)];
    let tape = watch(model, &input.narrow(0, 0, 1)?, attention)?;
    match tape.watched().first() {
        Some(first) => tape.grid_of(first.activation().dims().last().copied().unwrap_or_default()),
        None => Err(Error::NO_TOKENS),
    }
}

/// For every coalition 1 where a token is present, `[B, tokens]`; those before the patches always are.
pub(super) fn present(coalitions: &[&Coalition], grid: TokenGrid, like: &Tensor) -> Result<Tensor> {
    let before = std::iter::repeat_n(1u8, grid.prefix);
    let tokens: Vec<u8> =
        coalitions.iter().flat_map(|coalition| before.clone().chain(coalition.members())).collect();
    Ok(Tensor::from_vec(tokens, (coalitions.len(), grid.tokens()), like.device())?)
}

/// `x` `[1, C, H, W]` with other pixels in all patches, of the same size.
pub(super) fn other_pixels(x: &Tensor) -> Result<Tensor> {
    let turned = x.flatten_all()?.to_dtype(DType::F64)?.affine(-0.7, 0.3)?;
    Ok(turned.to_dtype(x.dtype())?.reshape(x.shape())?)
}
