//! Rules: what a layer does with the signal that flows back, in place of its gradient.

use super::{Kind, Scope, Selector, with_scope, within};
use crate::{Error, Model, Result};
use candle_core::Tensor;
use std::sync::{Arc, Mutex, PoisonError};

/// A pull-back that is chosen in place of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// At a rectifier: the positive part of the signal, where the gradient passes it.
    Guided,
    /// At a rectifier: the positive part of the signal, everywhere.
    Deconvnet,
    /// On pairs of input and reference: the multiplier Δy / Δx.
    Rescale,
}

/// Rules in the order of their rank, the first that matches a layer is its own; and what became of them.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    ranked: Arc<[(Selector, Rule)]>,
    log: Arc<Mutex<Log>>,
}

/// What a forward pass made of the rules.
#[derive(Default)]
struct Log {
    fired: usize,
    passed_by: Vec<String>,
}

impl Rules {
    pub(crate) fn new(ranked: impl IntoIterator<Item = (Selector, Rule)>) -> Self {
        Self { ranked: ranked.into_iter().collect(), log: Arc::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// Whether one of them may mean one of these layers.
    pub(super) fn look_into<'a, L: Iterator<Item = &'a (String, Kind)>>(
        &self,
        layers: impl Fn() -> L,
    ) -> bool {
        self.ranked.iter().any(|(selector, _)| selector.looks_into(layers()))
    }

    /// Runs `model` on `x` under the rules; at least one of them must find a layer that takes it.
    pub(crate) fn forward(&self, model: &dyn Model, x: &Tensor) -> Result<Tensor> {
        if self.is_empty() {
            return Ok(model.forward(x)?);
        }
        let rules = Self { ranked: self.ranked.clone(), log: Arc::default() };
        let (output, _) = within(Scope { rules: rules.clone(), ..Scope::default() }, || model.forward(x));
        let output = output?;
        rules.with_log(|log| match log.fired {
            0 => Err(Error::NoRuleFired { passed_by: std::mem::take(&mut log.passed_by) }),
            _ => Ok(output),
        })
    }

    fn with_log<R>(&self, f: impl FnOnce(&mut Log) -> R) -> R {
        f(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The rule for the layer that is about to run, if there is one that it takes. `what` describes the layer to those who
/// wonder why none fired.
pub(crate) fn rule_for(
    name: &str,
    kind: Kind,
    what: impl std::fmt::Debug,
    takes: impl Fn(Rule) -> bool,
) -> Option<Rule> {
    let choose = |scope: &mut Scope| {
        let name = scope.name_of(name, kind);
        let matching = |(selector, _): &&(Selector, Rule)| selector.matches(&name, kind);
        let rule = scope.rules.ranked.iter().find(matching).map(|(_, rule)| *rule)?;
        let taken = Some(rule).filter(|&rule| takes(rule));
        scope.rules.with_log(|log| match taken {
            Some(_) => log.fired += 1,
            None => log.passed_by.push(format!("`{name}` ({what:?})")),
        });
        taken
    };
    with_scope(choose).flatten()
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
        let gradient = |ranked: Vec<_>| -> Result<Vec<f64>> {
            let x = candle_core::Var::new(&[[2.0f64, -1.0, 0.5]], &Device::Cpu)?;
            let y = Rules::new(ranked).forward(&model, &x)?;
            let gradients = y.sum_all()?.backward()?;
            Ok(gradients.get(&x).ok_or_else(|| Error::no_gradient("x"))?.squeeze(0)?.to_vec1()?)
        };
        assert_eq!(gradient(vec![named.clone(), any.clone()])?, [1.0, 1.0, 0.0]);
        assert_eq!(gradient(vec![any, named])?, [1.0, 0.0, 0.0]);
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
