//! Scaled dot-product attention with its probabilities shown.

use super::softmax::last_softmax;
use crate::rules::rescale::matmul_of_pairs;
use crate::rules::{Form, Rule};
use crate::scope::{Asking, Kind, report, rule_for};
use candle_core::{D, Result, Tensor};

/// softmax(scale · Q·Kᵀ)·V ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)); the probabilities are shown
/// to the scope under `name`.
///
/// # Shapes
/// `q` `[N, heads, queries, d]`, `k` and `v` `[N, heads, keys, d]`; gives `[N, heads, queries, d]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64, name: &str) -> Result<Tensor> {
    let rule = rule_for(Asking::new(name, &Kind::AttentionWeights, Form::Attention));
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let matmul = |a: &Tensor, b: &Tensor| match rule {
        Some(Rule::Rescale | Rule::RevealCancel) => matmul_of_pairs(a, b),
        _ => a.matmul(b),
    };
    let scores = matmul(&(q * scale)?, &k.transpose(D::Minus2, D::Minus1)?)?;
    let macs = (scores.elem_count() * k.dim(D::Minus1)?) as u64;
    let weights = report(name, Kind::AttentionWeights, 2 * macs, last_softmax(&scores, rule.clone())?)?;
    matmul(&weights, &v)
}
