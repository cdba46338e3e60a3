//! Which layer gets which rule.

use super::{Rule, STABILISER};
use crate::error::nearest;
use crate::scope::{Kind, Rules, Selector};
use crate::{Bounds, Error, Model, Result};
use candle_core::Tensor;
use std::fmt;

/// Rules for the layers of a model: an ordered list of selectors and rules, of which the first that means a layer is
/// its own. A layer of [`nn`](crate::nn) that none means is an error, one that candle computes itself hands back its
/// gradient.
///
/// A batch norm right behind or right before a convolution or linear layer is merged with it, and obeys its rule, unless
/// that is [`Rule::Gradient`].
///
/// # Example
/// ```
/// use candlelight_core::{Composite, Kind, Lrp, Rule, Selector};
///
/// let composite = Composite::epsilon_plus().with(Selector::Name("conv1".into()), Rule::WSquare);
/// let method = Lrp::new(composite);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Composite {
    entries: Vec<(Selector, Rule)>,
}

/// A layer with the rule that a composite gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedLayer {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its rule; `None` if no entry means it, which is an error when the model is explained.
    pub rule: Option<Rule>,
}

/// A name and what makes the composite that it stands for.
pub type Preset = (&'static str, fn() -> Composite);

/// The composites of the field by name; where one wants bounds, those of the row itself.
pub static PRESETS: &[Preset] = &[
    ("epsilon-plus", Composite::epsilon_plus),
    ("epsilon-plus-flat", Composite::epsilon_plus_flat),
    ("epsilon-alpha2-beta1", Composite::epsilon_alpha2_beta1),
    ("epsilon-alpha2-beta1-flat", Composite::epsilon_alpha2_beta1_flat),
    ("epsilon-gamma-box", || Composite::epsilon_gamma_box(Bounds::OfRow)),
    ("deep-taylor", Composite::deep_taylor),
    ("deep-taylor-bounded", || Composite::deep_taylor_within(Bounds::OfRow)),
    ("excitation", Composite::excitation),
    ("attn-lrp", Composite::attn_lrp),
    ("cp-lrp", Composite::cp_lrp),
];

impl Composite {
    /// The composite of this name among [`PRESETS`].
    ///
    /// # Errors
    /// [`Error::UnknownComposite`] with the nearest names.
    pub fn named(name: &str) -> Result<Self> {
        let known = PRESETS.iter().find(|(known, _)| *known == name);
        known.map(|(_, preset)| preset()).ok_or_else(|| {
            let mut nearest = nearest(name, PRESETS.iter().map(|(known, _)| *known));
            nearest.truncate(3);
            Error::UnknownComposite { name: name.to_owned(), nearest }
        })
    }

    /// The same composite with an entry that is tried before all others.
    pub fn with(mut self, selector: Selector, rule: Rule) -> Self {
        self.entries.insert(0, (selector, rule));
        self
    }

    /// LRP-ε at linear layers, z⁺ at convolutions.
    pub fn epsilon_plus() -> Self {
        Self::by_kind(Rule::ZPlus, Rule::epsilon(STABILISER))
    }

    /// [`epsilon_plus`](Self::epsilon_plus) with [`Rule::Flat`] at the first layer with weights.
    pub fn epsilon_plus_flat() -> Self {
        Self::epsilon_plus().first(Rule::Flat)
    }

    /// LRP-ε at linear layers, LRP-αβ with α = 2 and β = 1 at convolutions.
    pub fn epsilon_alpha2_beta1() -> Self {
        Self::by_kind(Rule::AlphaBeta { alpha: 2.0, beta: 1.0 }, Rule::epsilon(STABILISER))
    }

    /// [`epsilon_alpha2_beta1`](Self::epsilon_alpha2_beta1) with [`Rule::Flat`] at the first layer with weights.
    pub fn epsilon_alpha2_beta1_flat() -> Self {
        Self::epsilon_alpha2_beta1().first(Rule::Flat)
    }

    /// LRP-ε at linear layers, LRP-γ with γ = 1/4 at convolutions, and z^B at the first layer with weights, whose
    /// inputs lie within `bounds`.
    pub fn epsilon_gamma_box(bounds: Bounds) -> Self {
        Self::by_kind(Rule::Gamma(0.25), Rule::epsilon(STABILISER)).first(Rule::ZBox(bounds))
    }

    /// The rules of Deep Taylor: z⁺ at every layer with weights, w² at the first, whose inputs may be any numbers
    /// ([Montavon et al. 2017](https://arxiv.org/abs/1512.02479)).
    pub fn deep_taylor() -> Self {
        Self::by_kind(Rule::ZPlus, Rule::ZPlus).first(Rule::WSquare)
    }

    /// [`deep_taylor`](Self::deep_taylor) for inputs within `bounds`: z^B at the first layer.
    pub fn deep_taylor_within(bounds: Bounds) -> Self {
        Self::by_kind(Rule::ZPlus, Rule::ZPlus).first(Rule::ZBox(bounds))
    }

    /// The rules of Excitation Backpropagation
    /// ([Zhang et al. 2016](https://arxiv.org/abs/1608.00507)).
    pub fn excitation() -> Self {
        Self::by_kind(Rule::Excitation, Rule::Excitation).with(Selector::Kind(Kind::Add), Rule::Excitation)
    }

    /// The rules of AttnLRP: LRP-0 at layers with weights and at sums, norms with their deviation held fixed,
    /// attention with its products shared out evenly, and the gradient of softmax
    /// ([Achtibat et al. 2024](https://arxiv.org/abs/2402.05602)).
    pub fn attn_lrp() -> Self {
        Self::by_kind(Rule::epsilon(0.0), Rule::epsilon(0.0))
            .with(Selector::Kind(Kind::Add), Rule::Norm(0.0))
            .with(Selector::Kind(Kind::LayerNorm), Rule::Detached)
            .with(Selector::Kind(Kind::AttentionWeights), Rule::Uniform)
            .with(Selector::Kind(Kind::Softmax), Rule::Gradient)
    }

    /// The rules of conservative propagation: as [`attn_lrp`](Self::attn_lrp), with the probabilities of an attention
    /// held fixed ([Ali et al. 2022](https://arxiv.org/abs/2202.07304)).
    pub fn cp_lrp() -> Self {
        Self::attn_lrp().with(Selector::Kind(Kind::AttentionWeights), Rule::Detached)
    }

    /// One rule for all convolutions, one for all linear layers; the others as in
    /// [`epsilon_plus`](Self::epsilon_plus).
    pub fn by_kind(convolution: Rule, linear: Rule) -> Self {
        Self::base().with(Selector::Kind(Kind::Linear), linear).with(Selector::Kind(Kind::Conv), convolution)
    }

    /// The same composite with a rule of its own for the first layer with weights.
    pub fn first(self, rule: Rule) -> Self {
        self.with(Selector::Position(0), rule)
    }

    /// `rule` at rectifiers, the gradient everywhere else.
    pub(crate) fn of_rectifiers(rule: Rule) -> Self {
        Self::default().with(Selector::Every, Rule::Gradient).with(Selector::Kind(Kind::Activation), rule)
    }

    /// The rules of layers without weights: activations and lone batch norms pass relevance on, sums and averages share
    /// it out in proportion, of a max pool the winner takes all.
    fn base() -> Self {
        Self::default()
            .with(Selector::Kind(Kind::Activation), Rule::Pass)
            .with(Selector::Kind(Kind::BatchNorm), Rule::Pass)
            .with(Selector::Kind(Kind::Add), Rule::Norm(STABILISER))
            .with(Selector::Kind(Kind::Pool), Rule::Norm(STABILISER))
    }

    /// The table of the layers of `model` that take rules, in the order in which they run on `x`.
    ///
    /// # Errors
    /// Whatever the model returns.
    pub fn plan(&self, model: &dyn Model, x: &Tensor) -> Result<Vec<PlannedLayer>> {
        let planned = Rules::new(self).plan(model, &x.detach())?;
        let layer = |layer: crate::scope::Planned| PlannedLayer {
            name: layer.name,
            kind: layer.kind,
            rule: layer.rule,
        };
        Ok(planned.into_iter().map(layer).collect())
    }

    pub(crate) fn entries(&self) -> Vec<(Selector, Rule)> {
        self.entries.clone()
    }

    /// Refuses rules whose numbers make no sense for inputs like `input`.
    pub(crate) fn check(&self, input: &Tensor) -> Result<()> {
        self.entries.iter().try_for_each(|(_, rule)| rule.check(input))
    }
}

impl fmt::Display for PlannedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{} ({}): {rule}", self.name, self.kind),
            None => write!(f, "{} ({}): no rule", self.name, self.kind),
        }
    }
}

impl Rule {
    /// Refuses numbers that make no sense.
    fn check(&self, input: &Tensor) -> Result<()> {
        let refuse = |setting, value: String, expected| Err(Error::Setting { setting, value, expected });
        let positive = |setting, number: f64| match number.is_finite() && number >= 0.0 {
            true => Ok(()),
            false => refuse(setting, number.to_string(), "a finite number, not negative"),
        };
        match self {
            Self::Norm(epsilon) | Self::Epsilon(epsilon, _) => positive("epsilon of a rule", *epsilon),
            Self::Gamma(gamma) => positive("gamma of a rule", *gamma),
            Self::AlphaBeta { alpha, beta } => match (alpha - beta - 1.0).abs() < 1e-9 && *beta >= 0.0 {
                true => Ok(()),
                false => {
                    refuse("alpha and beta", format!("{alpha}, {beta}"), "alpha − beta = 1 and beta ≥ 0")
                }
            },
            Self::ZBox(bounds) => bounds.check(input),
            _ => Ok(()),
        }
    }
}
