//! Tokens that are not there: attention sees the others alone.

use super::{Kind, Scope, with_scope, within};
use candle_core::{DType, Result, Tensor};

/// Which tokens of every row of a batch are present.
#[derive(Clone)]
pub(crate) struct Absent {
    /// 0 for a token that is present, minus infinity for one that is not, `[N, 1, 1, tokens]`.
    keys: Tensor,
    /// How many attention layers saw it.
    seen: usize,
}

/// Runs `pass` on a batch in which tokens are absent where `present`, `[N, tokens]`, is 0; gives how many attention
/// layers left them out, too.
pub(crate) fn without_tokens<R>(present: &Tensor, pass: impl FnOnce() -> R) -> Result<(R, usize)> {
    let nothing = present.zeros_like()?.to_dtype(DType::F64)?;
    let never = nothing.affine(0.0, f64::NEG_INFINITY)?;
    let keys = present.where_cond(&nothing, &never)?.unsqueeze(1)?.unsqueeze(1)?;
    let absent = Some(Absent { keys, seen: 0 });
    let (result, scope) = within(Scope { absent, ..Scope::default() }, pass);
    Ok((result, scope.absent.map_or(0, |absent| absent.seen)))
}

/// The scores of an attention, `[N, heads, queries, keys]`, with those of absent keys at minus infinity.
pub(crate) fn to_present_keys(scores: Tensor) -> Result<Tensor> {
    let absent = with_scope(|scope| {
        scope.absent.as_mut().map(|absent| {
            absent.seen += 1;
            absent.keys.clone()
        })
    });
    let Some(keys) = absent.flatten() else { return Ok(scores) };
    match (scores.dims(), keys.dims()) {
        ([rows, _, _, found], [n, _, _, tokens]) if rows == n && found == tokens => {
            scores.broadcast_add(&keys.to_dtype(scores.dtype())?)
        }
        (found, [n, _, _, tokens]) => candle_core::bail!(
            "tokens can be removed where every attention is among all of them: its scores are {found:?}, for {n} rows of \
             {tokens} tokens"
        ),
        _ => Ok(scores),
    }
}

impl Scope {
    /// Whether attention has to run as a layer, because tokens are absent.
    pub(super) fn leaves_out_keys<'a>(&self, mut layers: impl Iterator<Item = &'a (String, Kind)>) -> bool {
        self.absent.is_some() && layers.any(|(_, kind)| *kind == Kind::AttentionWeights)
    }
}
