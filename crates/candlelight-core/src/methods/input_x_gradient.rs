//! Input x Gradient: the first-order term of the score.

use crate::schedule::Run;
use crate::{Attribution, Convergence, Explain, Model, Query, Result};

/// A = x · ∂f/∂x ([Shrikumar et al. 2016](https://arxiv.org/abs/1605.01713)).
///
/// **When not to use it:** where zero is no neutral value of the input, as it is not for most normalised images: a
/// pixel of value 0 gets 0 whatever it does. It is complete only for piecewise linear models without biases.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputXGradient;

impl Explain for InputXGradient {
    fn name(&self) -> String {
        "input-x-gradient".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let (prediction, gradient) = run.gradients_of_input()?;
        let values = (query.input() * gradient)?;
        Ok(Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost()))
    }
}
