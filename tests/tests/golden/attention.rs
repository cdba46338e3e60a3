//! Attention: its maps, their gradients, and what is made of both.

use anyhow::{Result, bail};
use candle_core::Tensor;
use candlelight_core::{
    AttentionFlow, AttentionPass, AttentionRollout, HeadFusion, HeadWeight, RawAttention, ReadsAttention,
    TransformerRelevance,
};

use crate::methods::{Outputs, Setup, one};

pub fn maps(setup: &Setup) -> Result<Outputs> {
    Ok(numbered(record(setup)?.attentions().probabilities()))
}

pub fn gradients(setup: &Setup) -> Result<Outputs> {
    Ok(numbered(record(setup)?.attentions().gradients()?))
}

pub fn raw_last(setup: &Setup) -> Result<Outputs> {
    Ok(vec![class_map(setup, &RawAttention::default())?])
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
    let rollout = method.matrix(record(setup)?.attentions())?;
    Ok(vec![("rollout".into(), rollout), class_map(setup, &method)?])
}

pub fn gradients_rolled_out(setup: &Setup) -> Result<Outputs> {
    let residual = setup.case.number("residual")?;
    let method = AttentionRollout::default().weight(HeadWeight::Gradient).residual(residual);
    Ok(one("rollout", method.matrix(record(setup)?.attentions())?))
}

pub fn flow(setup: &Setup) -> Result<Outputs> {
    Ok(one("flow", AttentionFlow::default().flows(record(setup)?.attentions())?))
}

pub fn relevance(setup: &Setup) -> Result<Outputs> {
    let relevance = TransformerRelevance.matrix(record(setup)?.attentions())?;
    Ok(vec![("R".into(), relevance), class_map(setup, &TransformerRelevance)?])
}

fn record(setup: &Setup) -> Result<AttentionPass> {
    Ok(AttentionPass::record(setup.model, (&setup.x, setup.case.target.clone()))?)
}

fn numbered(tensors: &[Tensor]) -> Outputs {
    tensors.iter().enumerate().map(|(i, tensor)| (format!("layer{i}"), tensor.clone())).collect()
}

/// The method's map, by a run of its own.
fn class_map(setup: &Setup, method: &dyn ReadsAttention) -> Result<(String, Tensor)> {
    Ok(("cls_map".into(), setup.explain(method)?.values().squeeze(1)?))
}
