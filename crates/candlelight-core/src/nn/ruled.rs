//! Layers under rules.

use crate::rules::affine::Affine;
use crate::rules::ledger::Account;
use crate::rules::{Form, Rule, ratio, rescale};
use crate::scope::{Asking, Kind, Trace, account, leave, obeys, report, report_biased, rule_for, trace_of};
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
        return report_biased(name, kind, macs, plain()?, |_| Ok(affine()?.bias()));
    };
    let (affine, book) = (affine()?, account(name, kind, &rule));
    let y = affine.output(&x.detach())?;
    let trace = merged(Trace { input: x.clone(), affine, rule })?;
    book.under(&trace.rule);
    let Trace { input, affine, rule } = trace.clone();
    let frozen = input.detach();
    let y = vjp_of_fresh(&[&input], y, move |y, g| {
        Ok(vec![Some(affine.pull_back(&rule, (&frozen, &y.detach()), g, &book)?)])
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
    obeys(&rule);
    Ok(Trace { input: before.input, affine, rule })
}

/// An average `y` that shares out its signal under the rule that is chosen for it, shown to the scope.
pub(super) fn averaged(name: &str, y: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    let y = match &rule_for(Asking::new(name, &Kind::Pool, Form::Sum)) {
        Some(rule @ Rule::Norm(epsilon)) => share(&y()?, *epsilon, None, &account(name, Kind::Pool, rule))?,
        _ => y()?,
    };
    report(name, Kind::Pool, 0, y)
}

/// The sum a + b under the rule that is chosen for it, shown to the scope.
pub(super) fn added(a: &Tensor, b: &Tensor, name: &str) -> Result<Tensor> {
    match rule_for(Asking::new(name, &Kind::Add, Form::Addition)) {
        Some(Rule::Excitation) => excited(a, b, name),
        Some(rule @ Rule::Norm(epsilon)) => {
            let constant = [a, b].into_iter().find(|addend| !addend.track_op());
            report(name, Kind::Add, 0, share(&(a + b)?, epsilon, constant, &account(name, Kind::Add, &rule))?)
        }
        _ => report(name, Kind::Add, 0, (a + b)?),
    }
}

fn share(y: &Tensor, epsilon: f64, constant: Option<&Tensor>, book: &Account) -> Result<Tensor> {
    let (book, constant) = (book.clone(), constant.map(Tensor::detach));
    vjp(&[y], y.detach(), move |y, g| {
        let y = y.detach();
        let s = book.share(&y, g, epsilon)?;
        book.passed(&y, &s)?;
        if let Some(constant) = &constant {
            book.constant(constant, &s, 1.0)?;
            book.passed(constant, &s.neg()?)?;
        }
        Ok(vec![Some(s)])
    })
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
    let (input, of_pairs) = (x.detach(), rule.as_ref().is_some_and(Rule::is_of_pairs));
    let y = vjp_of_fresh(&[x], y, move |y, g| {
        let y = y.detach();
        Ok(vec![Some(match of_pairs {
            true => rescale::max_pool(&input, &y, g, |g| to_winners(&y, g))?,
            false => to_winners(&y, g)?,
        })])
    })?;
    let y = match &rule {
        Some(rule @ Rule::Epsilon(epsilon, _)) => {
            share(&y, *epsilon, None, &account(name, Kind::Pool, rule))?
        }
        _ => y,
    };
    report(name, Kind::Pool, 0, y)
}

/// The sum a + b, of which only what is positive hands on.
fn excited(a: &Tensor, b: &Tensor, name: &str) -> Result<Tensor> {
    let (frozen, y) = ([a.detach(), b.detach()], (a.detach() + b.detach())?);
    let y = vjp_of_fresh(&[a, b], y, move |y, g| {
        let whole = (frozen[0].relu()? + frozen[1].relu()?)?;
        let s = ratio::over(&ratio::relevance(&y.detach(), g)?, &whole, 0.0)?;
        let addend = |x: &Tensor| x.gt(0.0)?.where_cond(&s, &s.zeros_like()?);
        Ok(vec![Some(addend(&frozen[0])?), Some(addend(&frozen[1])?)])
    })?;
    report(name, Kind::Add, 0, y)
}

/// A norm `y` of `x` whose deviation is held fixed, so that `back` brings the signal to its input; it is linear but for
/// its bias.
pub(super) fn detached(
    x: &Tensor,
    y: Tensor,
    bias: Option<Tensor>,
    book: Account,
    back: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let (input, bias) = (x.detach(), bias.map(|bias| bias.detach()));
    vjp_of_fresh(&[x], y, move |y, g| {
        let signal = back(g)?;
        book.received(&y.detach(), g)?;
        book.passed(&input, &signal)?;
        bias.iter().try_for_each(|bias| book.constant(bias, g, 1.0))?;
        Ok(vec![Some(signal)])
    })
}

/// Which end of an attention it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Input,
    Output,
}

/// `x` with `share` of its signal, noted in the books.
pub(super) fn damped(x: &Tensor, share: f64, end: End, book: &Account) -> Result<Tensor> {
    let book = book.clone();
    vjp(&[x], x.detach(), move |x, g| {
        let signal = (g * share)?;
        match end {
            End::Input => book.passed(&x.detach(), &signal)?,
            End::Output => book.received(&x.detach(), g)?,
        }
        Ok(vec![Some(signal)])
    })
}
