//! DeepSHAP: DeepLIFT over a set of references.

use super::compared::Compared;
use super::versions::Draws;
use crate::references::References;
use crate::rules::Rule;
use crate::{Attribution, Explain, Model, Query, Result};

/// The mean of [`DeepLift`](super::DeepLift)'s maps over references x′
/// ([Lundberg and Lee 2017](https://arxiv.org/abs/1705.07874), as in `shap` and Captum): Shapley values of a model
/// whose operations each would have been explained on their own.
///
/// The attributions of a row sum to f(x) less the mean of f(x′), to rounding. Over
/// [`References::Samples`] each sample is taken once; a distribution without a list, and a number of
/// [`samples`](Self::samples), is drawn from, and the result carries the standard error that leaves.
///
/// **When not to use it:** for Shapley values: only linear operations and those of one number are explained exactly.
/// And without samples of the data that the model was trained on: uniform noise, the default, is a stand-in.
///
/// # Shapes
/// The map has the input's shape, and the score's unit.
#[derive(Clone, Debug)]
pub struct DeepLiftShap {
    references: References,
    samples: Option<Draws>,
    rule: Rule,
}

impl Default for DeepLiftShap {
    /// By the Rescale rule; 30 draws of uniform noise for want of data.
    fn default() -> Self {
        Self { references: References::default(), samples: None, rule: Rule::Rescale }
    }
}

impl DeepLiftShap {
    /// What the input is compared with; a [`Baseline`](crate::Baseline) is a distribution, too.
    pub fn references(self, references: impl Into<References>) -> Self {
        Self { references: references.into(), ..self }
    }

    /// How many references are drawn for each row, at most so many after [`until`](Self::until). Unless set, each one of
    /// a list is taken once, and 30 are drawn where there is no list.
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: Some(self.samples.unwrap_or(Draws::Fixed(samples)).at_most(samples)), ..self }
    }

    /// The RevealCancel rule in place of Rescale: see [`DeepLift::reveal_cancel`](super::DeepLift::reveal_cancel).
    pub fn reveal_cancel(self) -> Self {
        Self { rule: Rule::RevealCancel, ..self }
    }

    /// Draws for each row until the standard error of its map, norm over norm, is at most `standard_error`, or 10 000
    /// are drawn.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Some(Draws::until(standard_error)), ..self }
    }
}

impl Explain for DeepLiftShap {
    fn name(&self) -> String {
        "deep-lift-shap".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        Compared::with(&self.references, self.samples).by(&self.rule).attribute(self.name(), model, query)
    }
}
