//! Saliency: the gradient of the score at the input.

use crate::schedule::Run;
use crate::{Attribution, Convergence, Explain, Model, Query, Reading, Result};

/// Whether a gradient keeps its sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// |∂f/∂x|, how much: the paper's setting.
    #[default]
    Absolute,
    /// ∂f/∂x, how much and in which direction.
    Signed,
}

/// A = |∂f/∂x| ([Simonyan et al. 2013](https://arxiv.org/abs/1312.6034)).
///
/// **When not to use it:** to ask what made the score what it is. The gradient says what a small change would do;
/// where the score has saturated that is nothing, however important the pixel. It is noisy on deep ReLU nets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saliency {
    sign: Sign,
}

impl Saliency {
    /// The gradient with its sign.
    pub fn signed() -> Self {
        Self { sign: Sign::Signed }
    }
}

impl Explain for Saliency {
    fn name(&self) -> String {
        "saliency".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let (prediction, gradient) = run.gradients_of_input()?;
        let (values, reading) = match self.sign {
            Sign::Absolute => (gradient.abs()?, Reading::Positive),
            Sign::Signed => (gradient, Reading::Signed),
        };
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        Ok(Attribution { reading, ..attribution })
    }
}
