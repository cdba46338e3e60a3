//! Rules: what a layer does with the signal that flows back, in place of its gradient.
//!
//! The signal lives in *gradient space*: relevance is activation times signal, R = c(a) · g, so that sums, reshapes and
//! concatenations of candle conserve it by themselves. c keeps a number away from 0 ([`CARRIER`](candlelight_kernels::CARRIER)): relevance that a rule
//! gives to an activation of 0 is carried, too.
//!
//! Whoever adds a rule adds a variant of [`Rule`], says in [`Rule::fits`] which layers have a form under it, and writes
//! the form in the file of that kind of layer.

pub(crate) mod affine;
mod composite;
pub(crate) mod ledger;
pub(crate) mod pair;
pub(crate) mod ratio;
pub(crate) mod rescale;
pub(crate) mod reveal_cancel;

pub use composite::{Composite, PRESETS, PlannedLayer, Preset};
pub use ledger::{Ledger, LedgerLine};

use crate::Bounds;
use std::fmt;

/// What a denominator z becomes: z + sign(z) · this, with sign(0) = 1. The value of zennit.
pub const STABILISER: f64 = 1e-6;

/// What a bias does with relevance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// It absorbs its share: it is part of the denominators.
    #[default]
    Absorbs,
    /// It is left out, so that all relevance goes to the inputs.
    Ignored,
}

/// How one layer hands back relevance. z are its outputs, R their relevance, all sums run over inputs i or outputs j;
/// + and − mean positive and negative parts.
///
/// Denominators are kept from 0 by [`STABILISER`], but for those of [`Epsilon`](Self::Epsilon) and
/// [`Norm`](Self::Norm), which bring their own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The gradient, as without rules: R_i = x_i Σ_j ∂z_j/∂x_i · R_j / z_j.
    Gradient,
    /// At an activation or a norm of its own: R_i = R_j for z_j = f(x_i).
    Pass,
    /// At sums and averages: R_i = x_i R_j / (z_j + ε sign z_j) times the share of x_i; at a max pool the winner takes
    /// all.
    Norm(f64),
    /// LRP-ε: R_i = Σ_j x_i w_ij R_j / (z_j + ε sign z_j) ([Bach et al. 2015](https://doi.org/10.1371/journal.pone.0130140));
    /// ε = 0 is LRP-0. At a max pool it stabilises what the winner takes.
    Epsilon(f64, Bias),
    /// LRP-γ: LRP-0 with w + γw⁺ in place of w, in the form for inputs and outputs of either sign
    /// ([Montavon et al. 2019](https://doi.org/10.1007/978-3-030-28954-6_10)).
    Gamma(f64),
    /// LRP-αβ: α times the share in the positive contributions less β times that in the negative ones, with α − β = 1
    /// ([Bach et al. 2015](https://doi.org/10.1371/journal.pone.0130140)).
    AlphaBeta {
        /// The weight of the positive contributions.
        alpha: f64,
        /// The weight of the negative ones.
        beta: f64,
    },
    /// z⁺: LRP-αβ with α = 1 and β = 0; the rule of Deep Taylor for hidden layers
    /// ([Montavon et al. 2017](https://arxiv.org/abs/1512.02479)).
    ZPlus,
    /// z^B: R_i = Σ_j (x_i w_ij − l_i w⁺_ij − h_i w⁻_ij) R_j / (their sum over i), for a first layer whose inputs lie
    /// between l and h ([Montavon et al. 2017](https://arxiv.org/abs/1512.02479)).
    ZBox(Bounds),
    /// w²: R_i = Σ_j w²_ij R_j / (Σ_i w²_ij + b²_j), for a first layer of any inputs
    /// ([Montavon et al. 2017](https://arxiv.org/abs/1512.02479)).
    WSquare,
    /// Every input of an output gets the same, for a first layer
    /// ([Lapuschkin et al. 2019](https://doi.org/10.1038/s41467-019-08987-4)).
    Flat,
    /// Excitation Backpropagation: R_i = Σ_j x⁺_i w⁺_ij R_j / Σ_i x⁺_i w⁺_ij, and nothing where no input excites
    /// ([Zhang et al. 2016](https://arxiv.org/abs/1608.00507)).
    Excitation,
    /// The gradient with the constants of a layer held fixed that depend on its input: what a norm divides by
    /// ([Ali et al. 2022](https://arxiv.org/abs/2202.07304)), the probabilities of an attention.
    Detached,
    /// At an attention: each of its two products hands half of its relevance to each factor, and the softmax has its
    /// gradient ([Achtibat et al. 2024](https://arxiv.org/abs/2402.05602)).
    Uniform,
    /// At a rectifier: the positive part of the signal, where the gradient passes it
    /// ([Springenberg et al. 2014](https://arxiv.org/abs/1412.6806)).
    Guided,
    /// At a rectifier: the positive part of the signal, everywhere
    /// ([Zeiler and Fergus 2013](https://arxiv.org/abs/1311.2901)).
    Deconvnet,
    /// DeepLIFT's Rescale rule ([Shrikumar et al. 2017](https://arxiv.org/abs/1704.02685)): the multiplier Δy / Δx of
    /// what changes from a reference, on batches whose second half are the references of the first.
    Rescale,
    /// DeepLIFT's RevealCancel rule: [`Rescale`](Self::Rescale) with multipliers of their own for what raises and what
    /// lowers the argument of an activation that a layer with weights made.
    RevealCancel,
}

impl Rule {
    /// LRP-ε whose bias absorbs its share.
    pub fn epsilon(epsilon: f64) -> Self {
        Self::Epsilon(epsilon, Bias::Absorbs)
    }

    /// Whether layers of this form have a pull-back under it.
    pub(crate) fn fits(&self, form: Form) -> bool {
        match self {
            Self::Gradient | Self::Rescale | Self::RevealCancel => true,
            Self::Pass => matches!(form, Form::Scale | Form::Rectifier | Form::Curve),
            Self::Norm(_) => matches!(form, Form::Addition | Form::Sum | Form::Maximum),
            Self::Epsilon(..) => matches!(form, Form::Affine | Form::Scale | Form::Maximum),
            Self::Detached => matches!(form, Form::Norm | Form::Attention),
            Self::Uniform => form == Form::Attention,
            Self::Guided | Self::Deconvnet => form == Form::Rectifier,
            Self::Gamma(_)
            | Self::AlphaBeta { .. }
            | Self::ZPlus
            | Self::ZBox(_)
            | Self::WSquare
            | Self::Flat => form == Form::Affine,
            Self::Excitation => matches!(form, Form::Affine | Form::Addition),
        }
    }

    /// Whether layers of this form hand back their gradient under it.
    pub(crate) fn is_gradient(&self, form: Form) -> bool {
        match self {
            Self::Gradient => true,
            Self::Rescale => matches!(form, Form::Affine | Form::Scale | Form::Addition | Form::Sum),
            _ => false,
        }
    }

    /// Whether it compares inputs with references: batches come in pairs.
    pub(crate) fn is_of_pairs(&self) -> bool {
        matches!(self, Self::Rescale | Self::RevealCancel)
    }

    /// Whether it is a matter of rectifiers alone: other activations pass their gradient under it.
    pub(crate) fn is_of_rectifiers(&self) -> bool {
        matches!(self, Self::Guided | Self::Deconvnet)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a layer is to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Weights and a bias: linear layers and convolutions.
    Affine,
    /// One scale and one shift per channel: a batch norm.
    Scale,
    /// max(x, 0), also held below a bound.
    Rectifier,
    /// Another function of one number.
    Curve,
    /// A residual add.
    Addition,
    /// An average, an interpolation.
    Sum,
    /// A max pool.
    Maximum,
    /// A layer, group or RMS norm.
    Norm,
    /// A softmax.
    Softmax,
    /// softmax(Q·Kᵀ)·V.
    Attention,
    /// A gate: one half of the input times a function of the other.
    Gate,
}
