//! Who is chosen: the rule of every layer that runs, and what becomes of those that no rule fits.

use super::{Kind, Scope, Selector, with_scope, within};
use crate::rules::ledger::{Account, Books, joined};
use crate::rules::{Composite, Form, Ledger, Rule};
use crate::{Error, Model, Result};
use candle_core::Tensor;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Rules in the order of their rank, the first that matches a layer is its own; and what became of them.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    ranked: Arc<[(Selector, Rule)]>,
    log: Arc<Mutex<Log>>,
    /// Where the layers of this pass write.
    books: Option<Books>,
    /// The books of every pass so far, if they are kept.
    shelf: Option<Arc<Mutex<Vec<Books>>>>,
}

/// A layer that asked for its rule.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub name: String,
    pub kind: Kind,
    pub rule: Option<Rule>,
    /// What it is, where its kind does not tell.
    what: String,
    /// Whether the rule has a form there.
    fits: bool,
}

/// What a forward pass made of the rules.
#[derive(Default)]
struct Log(Vec<Planned>);

impl Rules {
    pub(crate) fn new(composite: &Composite) -> Self {
        Self { ranked: composite.entries().into(), ..Self::default() }
    }

    /// The same rules, whose passes keep books of the relevance of every layer.
    pub(crate) fn kept(self) -> Self {
        Self { shelf: Some(Arc::default()), ..self }
    }

    /// The same rules with a shelf of their own, for a part of a query that runs beside others.
    pub(crate) fn apart(&self) -> Self {
        Self { shelf: self.shelf.is_some().then(Arc::default), ..self.clone() }
    }

    /// Puts the books of a part behind those that are here.
    pub(crate) fn collect(&self, part: Self) {
        if let (Some(shelf), Some(others)) = (&self.shelf, &part.shelf) {
            lock(shelf).append(&mut lock(others));
        }
    }

    /// The ledger of all passes so far, those of consecutive parts of a query.
    pub(crate) fn ledger(&self, score: Vec<f64>, arrived: Vec<f64>) -> Ledger {
        let shelf = self.shelf.iter().flat_map(|shelf| std::mem::take(&mut *lock(shelf)));
        joined(shelf.collect(), score, arrived)
    }

    /// The rule of a layer before which `position` others with weights ran.
    fn first(&self, name: &str, kind: Kind, position: usize) -> Option<&Rule> {
        let matching = |(selector, _): &&(Selector, Rule)| selector.matches(name, kind, position);
        self.ranked.iter().find(matching).map(|(_, rule)| rule)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// Whether one of these layers may have another rule than its gradient, or none at all.
    pub(super) fn look_into<'a, L: Iterator<Item = &'a (String, Kind)>>(
        &self,
        layers: impl Fn() -> L,
    ) -> bool {
        let acts =
            |(selector, rule): &(Selector, Rule)| *rule != Rule::Gradient && selector.looks_into(layers());
        let all_pass = self.ranked.iter().any(|(selector, _)| *selector == Selector::Every);
        !self.is_empty() && (!all_pass || self.ranked.iter().any(acts))
    }

    /// Runs `model` on `x` under the rules: every layer must have one that fits, and one of them must act.
    pub(crate) fn forward(&self, model: &dyn Model, x: &Tensor) -> Result<Tensor> {
        if self.is_empty() {
            return Ok(model.forward(x)?);
        }
        self.hold(|| Ok(model.forward(x)?))
    }

    /// Runs `pass` under the rules, likewise.
    pub(crate) fn hold<R>(&self, pass: impl FnOnce() -> Result<R>) -> Result<R> {
        let rules = self.afresh();
        if let (Some(shelf), Some(books)) = (&self.shelf, &rules.books) {
            lock(shelf).push(books.clone());
        }
        let (result, _) = within(Scope { rules: rules.clone(), ..Scope::default() }, pass);
        let result = result?;
        rules.with_log(|log| log.check())?;
        Ok(result)
    }

    /// The same rules before a pass.
    fn afresh(&self) -> Self {
        let books = self.shelf.is_some().then(Books::default);
        Self { ranked: self.ranked.clone(), books, ..Self::default() }
    }

    /// The layers of `model` as they asked for their rules.
    pub(crate) fn plan(&self, model: &dyn Model, x: &Tensor) -> Result<Vec<Planned>> {
        let rules = self.afresh();
        let (output, _) = within(Scope { rules: rules.clone(), ..Scope::default() }, || model.forward(x));
        output?;
        Ok(rules.with_log(|log| std::mem::take(&mut log.0)))
    }

    fn with_log<R>(&self, f: impl FnOnce(&mut Log) -> R) -> R {
        f(&mut lock(&self.log))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// How many layers with weights there were.
    fn position(&self) -> usize {
        self.0.iter().filter(|layer| layer.kind.is_weighted()).count()
    }

    fn check(&self) -> Result<()> {
        let unmatched: Vec<String> =
            self.0.iter().filter(|layer| layer.rule.is_none()).map(Planned::to_string).collect();
        if !unmatched.is_empty() {
            return Err(Error::NoRule { layers: unmatched });
        }
        let rectifiers = |layer: &&Planned| layer.rule.as_ref().is_some_and(Rule::is_of_rectifiers);
        if let Some(layer) = self.0.iter().find(|layer| !layer.fits && !rectifiers(layer)) {
            let rule = layer.rule.as_ref().map_or_else(String::new, Rule::to_string);
            return Err(Error::RuleDoesNotFit { layer: layer.to_string(), rule });
        }
        let acts = |layer: &Planned| layer.fits && layer.rule != Some(Rule::Gradient);
        match self.0.iter().any(acts) {
            true => Ok(()),
            false => {
                let passed_by = self.0.iter().filter(rectifiers).map(Planned::to_string).collect();
                Err(Error::NoRuleFired { passed_by })
            }
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name, self.what)
    }
}

/// A layer that is about to run.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub form: Form,
    /// What it is, where its kind does not tell.
    pub what: &'a dyn fmt::Debug,
}

impl<'a> Asking<'a> {
    /// A layer that its kind describes.
    pub fn new(name: &'a str, kind: &'a Kind, form: Form) -> Self {
        Self { name, kind: *kind, form, what: kind }
    }
}

/// The rule for the layer that is about to run; nothing if it is to hand back its gradient.
pub(crate) fn rule_for(asking: Asking) -> Option<Rule> {
    let choose = |scope: &mut Scope| {
        if scope.rules.is_empty() {
            return None;
        }
        let name = scope.name_of(asking.name, asking.kind);
        scope.rules.with_log(|log| {
            let rule = scope.rules.first(&name, asking.kind, log.position()).cloned();
            let fits = rule.as_ref().is_some_and(|rule| rule.fits(asking.form));
            let taken = rule.clone().filter(|rule| fits && !rule.is_gradient(asking.form));
            let what = format!("{:?}", asking.what);
            log.0.push(Planned { name: name.clone(), kind: asking.kind, rule, what, fits });
            taken
        })
    };
    with_scope(choose).flatten()
}

/// The rules of layers that are about to run one after the other, none for taps; nothing if no rules hold, somebody watches
/// one of them, or one has no name or no rule.
pub(crate) fn rules_inside(layers: &[(String, Kind)]) -> Option<Vec<Option<Rule>>> {
    let rules = |scope: &mut Scope| {
        if scope.rules.is_empty() || scope.watches_into(|| layers.iter()) {
            return None;
        }
        let mut position = scope.rules.with_log(|log| log.position());
        let rule = |(name, kind): &(String, Kind)| {
            if *kind == Kind::Tap {
                return Some(None);
            }
            let rule = scope.rules.first(name, *kind, position).filter(|_| !name.is_empty())?;
            position += usize::from(kind.is_weighted());
            Some(Some(rule.clone()))
        };
        layers.iter().map(rule).collect()
    };
    with_scope(rules).flatten()
}

/// Tells that `rule` holds for the layer that asked last: it is merged with one that has it.
pub(crate) fn obeys(rule: &Rule) {
    let amend = |log: &mut Log| log.0.last_mut().map(|layer| layer.rule = Some(rule.clone()));
    with_scope(|scope| scope.rules.with_log(amend));
}

/// Where the layer that is about to run under `rule` writes what becomes of relevance.
pub(crate) fn account(name: &str, kind: Kind, rule: &Rule) -> Account {
    let open = |scope: &mut Scope| {
        let books = scope.rules.books.as_ref()?;
        Some(Account::open(books, scope.name_of(name, kind), kind, rule.clone()))
    };
    with_scope(open).flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, Module};
    use crate::{Deconvnet, Explain, GuidedBackprop};
    use candle_core::Device;

    /// Two features, one of them turned round behind the ReLU: f = relu(x₀) + relu(x₁) − 3·relu(x₂).
    fn model(x: &Tensor) -> candle_core::Result<Tensor> {
        let weight = Tensor::new(&[[1.0f64], [1.0], [-3.0]], x.device())?;
        Activation::Relu.at("act").forward(x)?.matmul(&weight)
    }

    fn map(method: &dyn Explain) -> Result<Vec<f64>> {
        let x = Tensor::new(&[[2.0f64, -1.0, 0.5]], &Device::Cpu)?;
        Ok(method.attribute(&model, &(&x, 0).into())?.values().squeeze(0)?.to_vec1()?)
    }

    #[test]
    fn a_guided_rectifier_passes_what_is_positive_where_it_was_open() -> Result<()> {
        assert_eq!(map(&GuidedBackprop)?, [1.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn a_deconvnet_passes_what_is_positive_wherever_it_comes() -> Result<()> {
        assert_eq!(map(&Deconvnet)?, [1.0, 1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn the_first_rule_that_matches_is_the_layer_s_own() -> Result<()> {
        let named = (Selector::Name("act".into()), Rule::Deconvnet);
        let any = (Selector::Kind(Kind::Activation), Rule::Guided);
        let gradient = |last: (Selector, Rule), first: (Selector, Rule)| -> Result<Vec<f64>> {
            let x = candle_core::Var::new(&[[2.0f64, -1.0, 0.5]], &Device::Cpu)?;
            let composite = Composite::default().with(last.0, last.1).with(first.0, first.1);
            let y = Rules::new(&composite).forward(&model, &x)?;
            let gradients = y.sum_all()?.backward()?;
            Ok(gradients.get(&x).ok_or_else(|| Error::no_gradient("x"))?.squeeze(0)?.to_vec1()?)
        };
        assert_eq!(gradient(any.clone(), named.clone())?, [1.0, 1.0, 0.0]);
        assert_eq!(gradient(named, any)?, [1.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn rules_hold_where_a_model_watches_itself() -> Result<()> {
        let watching = |x: &Tensor| Ok(crate::Tape::record(&model, x, &["act"])?.output().clone());
        let x = Tensor::new(&[[2.0f64, -1.0, 0.5]], &Device::Cpu)?;
        let inner = GuidedBackprop.explain(&watching, (&x, 0))?;
        assert_eq!(inner.values().squeeze(0)?.to_vec1::<f64>()?, [1.0, 0.0, 0.0]);
        Ok(())
    }
}
