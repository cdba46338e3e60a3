//! Scaled dot-product attention with its probabilities shown.

use super::elements::{self, computed};
use super::ruled::{End, damped};
use super::softmax::last_softmax;
use crate::rules::ledger::Account;
use crate::rules::rescale::matmul_of_pairs;
use crate::rules::{Form, Rule};
use crate::scope::{Asking, Kind, account, report, rule_for, to_present_keys};
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
    match rule {
        None => mixed([q, k, v], scale, name, None),
        Some(rule) if rule.is_of_pairs() => mixed([q, k, v], scale, name, Some(rule)),
        Some(rule) => {
            let book = account(name, Kind::AttentionWeights, &rule);
            ruled((q, k, v), &rule, &book, |parts| mixed(parts.each_ref(), scale, name, None))
        }
    }
}

/// The attention `mix` of its three parts under a rule.
fn ruled(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    rule: &Rule,
    book: &Account,
    mix: impl FnOnce([Tensor; 3]) -> Result<Tensor>,
) -> Result<Tensor> {
    match rule {
        Rule::Uniform => {
            let half = |x: &Tensor| damped(x, 0.5, End::Input, book);
            // The values take part in one product, which halves their signal at its output; queries and keys in two.
            let mixed = mix([half(q)?, half(k)?, damped(v, 1.0, End::Input, book)?])?;
            damped(&mixed, 0.5, End::Output, book)
        }
        _ => {
            damped(&mix([q.detach(), k.detach(), damped(v, 1.0, End::Input, book)?])?, 1.0, End::Output, book)
        }
    }
}

/// The attention itself, its products and its softmax under a rule for pairs if there is one.
fn mixed([q, k, v]: [&Tensor; 3], scale: f64, name: &str, pairs: Option<Rule>) -> Result<Tensor> {
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let matmul = if pairs.is_some() { matmul_of_pairs } else { elements::matmul };
    let macs = (q.elem_count() * k.dim(D::Minus2)?) as u64;
    let weights = computed([&q, &k], |[q, k]| {
        let scores = to_present_keys(matmul(&(q * scale)?, &k.transpose(D::Minus2, D::Minus1)?)?)?;
        last_softmax(&scores, pairs)
    })?;
    let weights = report(name, Kind::AttentionWeights, 2 * macs, weights)?;
    matmul(&weights, &v)
}
