//! Layers under rules.

use crate::rules::affine::Affine;
use crate::rules::{Form, Rule, ratio, rescale};
use crate::scope::{Asking, Kind, Trace, leave, report, rule_for, trace_of};
use crate::vjp::{vjp, vjp_of_fresh};
use candle_core::{Result, Tensor};

/// A layer with weights: as `plain` makes it, or under the rule that is chosen for it. Under a rule the weights are
/// frozen.
pub(super) fn affine(
    (name, kind, macs): (&str, Kind, u64),
    x: &Tensor,
    affine: impl FnOnce() -> Result<Affine>,
    plain: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let form = if kind == Kind::BatchNorm { Form::Scale } else { Form::Affine };
    let Some(rule) = rule_for(Asking::new(name, &kind, form)) else {
        return report(name, kind, macs, plain()?);
    };
    let affine = affine()?;
    let y = affine.output(&x.detach())?;
    let trace = merged(Trace { input: x.clone(), affine, rule })?;
    let (input, pulled) = (trace.input.detach(), trace.clone());
    let y = vjp_of_fresh(&[&trace.input], y, move |y, g| {
        Ok(vec![Some(pulled.affine.pull_back(&pulled.rule, &input, &y.detach(), g)?)])
    })?;
    let y = report(name, kind, macs, y)?;
    leave(&y, trace);
    Ok(y)
}

/// The layer as one with the layer before it, if one of them is a batch norm: it then obeys the other's rule.
fn merged(own: Trace) -> Result<Trace> {
    let Some(before) = trace_of(&own.input) else { return Ok(own) };
    let Some(affine) = own.affine.behind(&before.affine, &before.input)? else { return Ok(own) };
    let rule = if own.affine.is_scale() { before.rule } else { own.rule };
    Ok(Trace { input: before.input, affine, rule })
}

/// A sum or average `y` that shares out its signal under the rule that is chosen for it, shown to the scope.
pub(super) fn shared(
    name: &str,
    kind: Kind,
    form: Form,
    y: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let y = match (rule_for(Asking::new(name, &kind, form)), y()?) {
        (Some(Rule::Norm(epsilon)), y) => share(&y, epsilon)?,
        (_, y) => y,
    };
    report(name, kind, 0, y)
}

/// The maxima `y` of windows over `x`, joined to the graph by the rule that is chosen for them and shown to the scope.
/// `to_winners(y, g)` hands a signal to where the maxima come from.
pub(super) fn maxima(
    name: &str,
    x: &Tensor,
    y: Tensor,
    to_winners: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let rule = rule_for(Asking::new(name, &Kind::Pool, Form::Maximum));
    let input = x.detach();
    let y = vjp_of_fresh(&[x], y, move |y, g| {
        let y = y.detach();
        Ok(vec![Some(match rule {
            Some(Rule::Rescale | Rule::RevealCancel) => {
                rescale::max_pool(&input, &y, g, |g| to_winners(&y, g))?
            }
            Some(Rule::Epsilon(epsilon, _)) => to_winners(&y, &ratio::share(&y, g, epsilon)?)?,
            _ => to_winners(&y, g)?,
        })])
    })?;
    report(name, Kind::Pool, 0, y)
}

fn share(y: &Tensor, epsilon: f64) -> Result<Tensor> {
    vjp(&[y], y.detach(), move |y, g| Ok(vec![Some(ratio::share(&y.detach(), g, epsilon)?)]))
}
