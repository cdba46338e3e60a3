//! Attention: its maps, their gradients, and rollout.

use anyhow::{Context, Result, bail};
use candle_core::Tensor;
use candlelight_core::{AttentionRollout, HeadFusion, Kind, Tape, layers, rollout};

use crate::methods::{Outputs, Setup, one};

pub fn maps(setup: &Setup) -> Result<Outputs> {
    let tape = record(setup)?;
    Ok(numbered(tape.watched().iter().map(|watched| watched.activation().clone())))
}

pub fn gradients(setup: &Setup) -> Result<Outputs> {
    let tape = record(setup)?;
    Ok(numbered(tape.gradients(&setup.score(tape.output())?)?))
}

pub fn raw_last(setup: &Setup) -> Result<Outputs> {
    let tape = record(setup)?;
    let last = tape.watched().last().context("no attention layer")?;
    Ok(one("cls_map", class_map(&tape, &last.activation().mean(1)?)?))
}

pub fn rolled_out(setup: &Setup) -> Result<Outputs> {
    let case = setup.case;
    let fusion = match case.text("head_fusion")? {
        "mean" => HeadFusion::Mean,
        "max" => HeadFusion::Max,
        "min" => HeadFusion::Min,
        other => bail!("no head fusion `{other}`"),
    };
    let (residual, discard) = (case.number("residual")?, case.number("discard_ratio")?);
    let method = AttentionRollout::default().fusion(fusion).residual(residual).discard(discard);
    let tape = record(setup)?;
    let attentions: Vec<&Tensor> = tape.watched().iter().map(|watched| watched.activation()).collect();
    let map = setup.explain(&method)?.values().squeeze(1)?;
    Ok(vec![("rollout".into(), rollout(&method, &attentions)?), ("cls_map".into(), map)])
}

/// A tape of every attention layer.
fn record(setup: &Setup) -> Result<Tape> {
    let seen = layers(setup.model, &setup.x)?;
    let attention = seen.iter().filter(|layer| layer.kind == Kind::AttentionWeights);
    let names: Vec<&str> = attention.map(|layer| layer.name.as_str()).collect();
    Ok(Tape::record(setup.model, &setup.x, &names)?)
}

fn numbered(tensors: impl IntoIterator<Item = Tensor>) -> Outputs {
    tensors.into_iter().enumerate().map(|(i, tensor)| (format!("layer{i}"), tensor)).collect()
}

/// Where the class token looks, `[N, rows, columns]`, in attention `[N, T, T]`.
fn class_map(tape: &Tape, attention: &Tensor) -> Result<Tensor> {
    let grid = tape.token_grid().context("no token grid")?;
    let row = attention.narrow(1, 0, 1)?.narrow(2, grid.prefix, grid.rows * grid.columns)?;
    Ok(row.contiguous()?.reshape(((), grid.rows, grid.columns))?)
}
