//! Saliency: the gradient of the score at the input.

use crate::schedule::Run;
use crate::{Attribution, Convergence, Error, Explain, Model, Query, Reading, Result};
use candle_core::Tensor;

/// What is shown of the gradient.
#[derive(Clone, Copy, Debug, Default)]
enum Shown {
    #[default]
    Magnitude,
    Signed,
    LargestOfChannels,
}

/// A = |∂f/∂x| ([Simonyan et al. 2013](https://arxiv.org/abs/1312.6034)).
///
/// **When not to use it:** to ask what made the score what it is. The gradient says what a small change would do;
/// where the score has saturated that is nothing, however important the pixel. It is noisy on deep ReLU nets.
///
/// # Shapes
/// The map has the input's shape, unless it is [`max_over_channels`](Self::max_over_channels).
#[derive(Clone, Copy, Debug, Default)]
pub struct Saliency {
    shown: Shown,
}

impl Saliency {
    /// The gradient with its sign, ∂f/∂x.
    pub fn signed() -> Self {
        Self { shown: Shown::Signed }
    }

    /// A = max over channels c of |∂f/∂x_c|, `[N, 1, …]` for an input `[N, C, …]`: the paper's map of a colour image.
    pub fn max_over_channels() -> Self {
        Self { shown: Shown::LargestOfChannels }
    }
}

impl Explain for Saliency {
    fn name(&self) -> String {
        "saliency".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let (prediction, gradient) = run.gradients_of_input()?;
        let (values, reading) = match self.shown {
            Shown::Magnitude => (gradient.abs()?, Reading::Positive),
            Shown::Signed => (gradient, Reading::Signed),
            Shown::LargestOfChannels => (largest_of_channels(&gradient)?, Reading::Positive),
        };
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        Ok(Attribution { reading, ..attribution })
    }
}

fn largest_of_channels(gradient: &Tensor) -> Result<Tensor> {
    if gradient.rank() < 3 {
        let expected = "[N, C, …] with channels".into();
        return Err(Error::Shape { what: "the input", found: gradient.dims().to_vec(), expected });
    }
    Ok(gradient.abs()?.max_keepdim(1)?)
}
