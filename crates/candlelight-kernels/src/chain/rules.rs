//! What the steps of a chain hand back under rules, and what became of relevance there.

/// What one step hands back in place of its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepRule {
    /// The convolution.
    pub conv: AtConv,
    /// The add behind it.
    pub add: AtAdd,
    /// The rectifier behind that.
    pub rectifier: AtRectifier,
}

/// What a convolution z = W·x + b hands back; R = c(z)·g is the relevance of its outputs, c
/// [keeps](crate::carrying) activations away from 0, and denominators are [stabilised](crate::stabilised).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AtConv {
    /// Wᵀ·g.
    #[default]
    Gradient,
    /// Wᵀ·R/z with this stabiliser.
    Epsilon(f64),
    /// For x ≥ 0: α·W⁺ᵀ·R/z⁺ − β·W⁻ᵀ·R/z⁻ with z⁺ = W⁺·x + b⁺ and z⁻ = z − z⁺.
    AlphaBeta {
        /// The weight of the positive contributions.
        alpha: f64,
        /// The weight of the negative ones.
        beta: f64,
        /// The stabiliser.
        epsilon: f64,
    },
    /// For x ≥ 0: (W + γW⁺)ᵀ·R/(z + γz⁺) from outputs above 0, and from those below 0 the same with W⁻ and z⁻.
    Gamma {
        /// What the weights of the output's sign are raised by.
        gamma: f64,
        /// The stabiliser.
        epsilon: f64,
    },
}

impl AtConv {
    /// Whether it wants inputs of one sign.
    pub fn wants_positive_inputs(self) -> bool {
        matches!(self, Self::AlphaBeta { .. } | Self::Gamma { .. })
    }
}

/// What an add hands back to both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AtAdd {
    /// The gradient.
    #[default]
    Gradient,
    /// R over the sum with this stabiliser.
    Share(f64),
}

/// What a rectifier hands back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtRectifier {
    /// The gradient.
    #[default]
    Gradient,
    /// The relevance of its outputs.
    Pass,
    /// The positive part of the signal, where the gradient passes it.
    Guided,
    /// The positive part of the signal.
    Deconvnet,
}

/// What became of the relevance of one operation, per image; empty where it hands back its gradient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Relevance of its outputs.
    pub received: Vec<f64>,
    /// Relevance that it gave to its inputs.
    pub passed: Vec<f64>,
    /// What its bias absorbed.
    pub bias: Vec<f64>,
    /// What the stabiliser of its denominators absorbed.
    pub stabiliser: Vec<f64>,
}

/// The books of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Booked {
    /// Of its convolution.
    pub conv: Entry,
    /// Of the add behind it.
    pub add: Entry,
}

impl Entry {
    /// This entry and then `more` images.
    pub(super) fn extend(&mut self, more: Self) {
        self.received.extend(more.received);
        self.passed.extend(more.passed);
        self.bias.extend(more.bias);
        self.stabiliser.extend(more.stabiliser);
    }
}
