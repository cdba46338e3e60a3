//! Chains under rules: what their steps hand back, and the books of the layers that they stand for.

use super::Activation;
use super::chain::{Chain, Linked, maps_of, shaped, tell_windows};
use super::elements::{has_kernels, lend, with_element};
use crate::rules::ledger::Account;
use crate::rules::ratio::any_negative;
use crate::rules::{Bias, Form, Rule, STABILISER};
use crate::scope::{self, Asking, Kind, account, obeys, rule_for};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};
use candlelight_kernels::chain::{self as kernels, AtAdd, AtConv, AtRectifier, Booked, Keep, StepRule};

/// Runs `chain` as one operation under the rules of its layers; nothing if there are none, if somebody watches a layer, or
/// if one has a rule that chains do not know.
pub(super) fn run(chain: &Chain, x: &Tensor) -> Result<Option<Tensor>> {
    if !has_kernels(x) || ends_bare(chain) || is_of_scale(x) {
        return Ok(None);
    }
    let Some(rules) = scope::rules_inside(&chain.layers) else { return Ok(None) };
    match steps(chain, &rules) {
        Some(steps) => with_element!(x, T => run_as::<T>(chain, (rules, steps), x)),
        None => Ok(None),
    }
}

/// Whether a batch norm behind the chain would be merged with its last layer.
fn ends_bare(chain: &Chain) -> bool {
    let last = chain.layers.iter().rfind(|(_, kind)| *kind != Kind::Tap);
    last.is_none_or(|(_, kind)| matches!(kind, Kind::Conv | Kind::BatchNorm))
}

/// Whether a batch norm made `x` that would be merged with the chain's first layer.
fn is_of_scale(x: &Tensor) -> bool {
    scope::trace_of(x).is_some_and(|trace| trace.affine.is_scale())
}

/// What the steps hand back, if chains know all the rules.
fn steps(chain: &Chain, rules: &[Option<Rule>]) -> Option<Vec<StepRule>> {
    let mut steps: Vec<StepRule> = Vec::new();
    for ((_, kind), rule) in chain.layers.iter().zip(rules) {
        match (kind, rule.as_ref()) {
            (Kind::Tap, _) => {}
            (Kind::Conv, Some(rule)) => steps.push(StepRule { conv: at_conv(rule)?, ..StepRule::default() }),
            (Kind::BatchNorm, Some(rule)) => {
                let (conv, acts) = (steps.last()?.conv, !rule.is_gradient(Form::Scale));
                (rule.fits(Form::Scale) && acts == (conv != AtConv::Gradient)).then_some(())?;
            }
            (Kind::Add, Some(rule)) => steps.last_mut()?.add = at_add(rule)?,
            (Kind::Activation, Some(rule)) => steps.last_mut()?.rectifier = at_rectifier(rule)?,
            (Kind::Pool, Some(Rule::Norm(_) | Rule::Gradient)) => steps.push(StepRule::default()),
            _ => return None,
        }
    }
    Some(steps)
}

fn at_conv(rule: &Rule) -> Option<AtConv> {
    let epsilon = STABILISER;
    Some(match *rule {
        Rule::Gradient => AtConv::Gradient,
        Rule::Epsilon(epsilon, Bias::Absorbs) => AtConv::Epsilon(epsilon),
        Rule::ZPlus => AtConv::AlphaBeta { alpha: 1.0, beta: 0.0, epsilon },
        Rule::AlphaBeta { alpha, beta } => AtConv::AlphaBeta { alpha, beta, epsilon },
        Rule::Gamma(gamma) => AtConv::Gamma { gamma, epsilon },
        _ => return None,
    })
}

fn at_add(rule: &Rule) -> Option<AtAdd> {
    match *rule {
        Rule::Gradient => Some(AtAdd::Gradient),
        Rule::Norm(epsilon) => Some(AtAdd::Share(epsilon)),
        _ => None,
    }
}

fn at_rectifier(rule: &Rule) -> Option<AtRectifier> {
    match rule {
        Rule::Gradient => Some(AtRectifier::Gradient),
        Rule::Pass => Some(AtRectifier::Pass),
        Rule::Guided => Some(AtRectifier::Guided),
        Rule::Deconvnet => Some(AtRectifier::Deconvnet),
        _ => None,
    }
}

fn run_as<T: Linked>(
    chain: &Chain,
    (rules, steps): (Vec<Option<Rule>>, Vec<StepRule>),
    x: &Tensor,
) -> Result<Option<Tensor>> {
    let (Some(links), Some((order, from))) = (T::links(chain), maps_of(x)) else { return Ok(None) };
    let steps = with_others(steps, links);
    let wants_positive = steps.iter().any(|step| step.conv.wants_positive_inputs());
    if wants_positive && (!links.keeps_positive(&steps) || any_negative(x)?) {
        return Ok(None);
    }
    let keep = if x.track_op() { Keep::ForRules } else { Keep::Nothing };
    let ran = lend(x, |x| kernels::run(&[links], (order, from), x, keep))?;
    let Some((y, passed)) = ran else { return Ok(None) };
    let accounts = with_others(ask(chain, &rules), links);
    tell_windows(&[links], from);
    scope::holds(passed.bytes());
    let y = shaped(y, order, passed.output(), x)?;
    if !x.track_op() {
        return chain.shown(y).map(Some);
    }
    links.prepare(&steps, |index| chain.weight(index)?.to_vec1())?;
    let (shape, links) = (x.shape().clone(), links.clone());
    let y = vjp_of_fresh(&[x], y, move |_, g| {
        let (dx, books) = lend(g, |g| kernels::input_signal(&links, &steps, &passed, g))?;
        accounts.iter().zip(books).for_each(|(accounts, books)| accounts.write(books));
        Ok(vec![Some(Tensor::from_vec(dx, &shape, g.device())?)])
    })?;
    chain.shown(y).map(Some)
}

/// One of `steps`, which are those of layers, for every step of a chain: the others hand back their gradient.
fn with_others<S: Default, T: Linked>(mut steps: Vec<S>, links: &kernels::Chain<T>) -> Vec<S> {
    links.without_layer().for_each(|index| steps.insert(index, S::default()));
    steps
}

/// Where a step writes.
#[derive(Default)]
struct Accounts {
    conv: Account,
    add: Account,
}

impl Accounts {
    fn write(&self, books: Booked) {
        self.conv.enter(books.conv);
        self.add.enter(books.add);
    }
}

/// Asks for the rules of all layers in turn, as they would, and opens the books of the steps.
fn ask(chain: &Chain, rules: &[Option<Rule>]) -> Vec<Accounts> {
    let (mut steps, mut merged): (Vec<Accounts>, Option<&Rule>) = (Vec::new(), None);
    for ((name, kind), rule) in chain.layers.iter().zip(rules) {
        let Some(rule) = rule else { continue };
        ask_for(name, kind);
        match kind {
            Kind::Conv | Kind::Pool => {
                merged = Some(rule);
                steps.push(Accounts::default());
            }
            _ => {}
        }
        let Some(step) = steps.last_mut() else { continue };
        match (kind, merged) {
            (Kind::Conv, _) if *rule != Rule::Gradient => step.conv = account(name, *kind, rule),
            (Kind::BatchNorm, Some(rule)) if *rule != Rule::Gradient => {
                obeys(rule);
                step.conv = account(name, *kind, rule);
            }
            (Kind::Add, _) if *rule != Rule::Gradient => step.add = account(name, *kind, rule),
            _ => {}
        }
    }
    steps
}

/// Asks for the rule of one layer.
fn ask_for(name: &str, kind: &Kind) {
    match kind {
        Kind::Conv => rule_for(Asking::new(name, kind, Form::Affine)),
        Kind::BatchNorm => rule_for(Asking::new(name, kind, Form::Scale)),
        Kind::Add => rule_for(Asking::new(name, kind, Form::Addition)),
        Kind::Pool => rule_for(Asking::new(name, kind, Form::Maximum)),
        _ => rule_for(Asking { what: &Activation::Relu, ..Asking::new(name, kind, Form::Rectifier) }),
    };
}
