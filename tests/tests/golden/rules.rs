//! Rules of relevance propagation, one by one and in composites.

use anyhow::{Context, Result, bail};
use candle_core::DType;
use candlelight_core::{AttnLrp, Bias, Bounds, Composite, Kind, Lrp, Rule, Selector, layers};

use crate::methods::{Outputs, Setup};

pub fn lrp(setup: &Setup) -> Result<Outputs> {
    let map = setup.explain(&Lrp::new(composite(setup)?))?;
    let sum = map.values().flatten_from(1)?.sum(1)?;
    let missing = (&sum - setup.scores(&setup.model.forward(&setup.x)?)?)?.to_dtype(DType::F64)?;
    Ok(vec![
        ("relevance".into(), map.values().clone()),
        ("delta".into(), missing.neg()?),
        ("sum_minus_logit".into(), missing),
    ])
}

pub fn attn_lrp(setup: &Setup) -> Result<Outputs> {
    of_tokens(setup, AttnLrp::default)
}

pub fn conservative(setup: &Setup) -> Result<Outputs> {
    of_tokens(setup, AttnLrp::conservative)
}

/// The relevance of the input, and per token that of what goes into each block, and into the last norm.
fn of_tokens(setup: &Setup, method: fn() -> AttnLrp) -> Result<Outputs> {
    let mut outputs = vec![("relevance".to_owned(), setup.explain(&method())?.values().clone())];
    let seen = layers(setup.model, &setup.x)?;
    let streams = seen.iter().filter(|layer| layer.kind == Kind::Tap && layer.shape.len() == 3);
    for (index, stream) in streams.enumerate() {
        let map = setup.explain(&method().at(&stream.name))?;
        outputs.push((format!("tokens{index}"), map.values().sum(2)?));
    }
    Ok(outputs)
}

fn composite(setup: &Setup) -> Result<Composite> {
    let params = &setup.case.params;
    if let Some(name) = params["composite"].as_str() {
        return preset(setup, name);
    }
    if let Some(rule) = params["rule"].as_str() {
        return Ok(uniform(named(rule)?));
    }
    if let Some(first) = params["first"].as_str() {
        let first = match first {
            "zbox" => Rule::ZBox(between(setup.case.number("low")?, setup.case.number("high")?)),
            other => named(other)?,
        };
        return Ok(uniform(named(setup.case.text("rest")?)?).first(first));
    }
    let captums = Rule::epsilon(setup.case.number("epsilon")?);
    Ok(uniform(captums.clone()).with(Selector::Kind(Kind::Pool), captums))
}

fn uniform(rule: Rule) -> Composite {
    Composite::by_kind(rule.clone(), rule)
}

fn preset(setup: &Setup, name: &str) -> Result<Composite> {
    Ok(match name {
        "EpsilonPlus" => Composite::epsilon_plus(),
        "EpsilonPlusFlat" => Composite::epsilon_plus_flat(),
        "EpsilonAlpha2Beta1" => Composite::epsilon_alpha2_beta1(),
        "EpsilonAlpha2Beta1Flat" => Composite::epsilon_alpha2_beta1_flat(),
        "EpsilonGammaBox" => Composite::epsilon_gamma_box(box_of(setup.case.text("first_conv")?)?),
        "all conv and linear layers: Epsilon" => uniform(Rule::epsilon(setup.case.number("epsilon")?)),
        other => bail!("no composite `{other}`"),
    })
}

/// The bounds in `ZBox(low,high)`.
fn box_of(text: &str) -> Result<Bounds> {
    let inside = text.strip_prefix("ZBox(").and_then(|rest| rest.strip_suffix(')')).context("no box")?;
    let (low, high) = inside.split_once(',').context("no pair")?;
    Ok(between(low.parse()?, high.parse()?))
}

fn between(low: f64, high: f64) -> Bounds {
    Bounds::Channels(vec![(low, high)])
}

fn named(rule: &str) -> Result<Rule> {
    Ok(match rule.split('_').collect::<Vec<_>>()[..] {
        ["epsilon", epsilon] => Rule::epsilon(epsilon.parse()?),
        ["epsilon", epsilon, "nobias"] => Rule::Epsilon(epsilon.parse()?, Bias::Ignored),
        ["zplus"] => Rule::ZPlus,
        ["alpha2beta1"] => Rule::AlphaBeta { alpha: 2.0, beta: 1.0 },
        ["gamma", gamma] => Rule::Gamma(gamma.parse()?),
        ["wsquare"] => Rule::WSquare,
        ["flat"] => Rule::Flat,
        _ => bail!("no rule `{rule}`"),
    })
}
