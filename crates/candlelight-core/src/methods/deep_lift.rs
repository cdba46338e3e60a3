//! DeepLIFT: every operation hands back how much it changed from a reference, not how much it would.

use super::compared::Compared;
use crate::references::References;
use crate::rules::Rule;
use crate::{Attribution, Baseline, Explain, Model, Query, Result};

/// A_i = (x_i − x′_i) · m_i, where the multipliers m are chained like gradients, but of differences: m(Δx → Δf) =
/// Σ_j m(Δx → Δy_j) · m(Δy_j → Δf) ([Shrikumar et al. 2017](https://arxiv.org/abs/1704.02685)), with the Rescale rule
/// m(Δx → Δy) = Δy / Δx at activations.
///
/// The attributions of a row sum to f(x) − f(x′) to rounding, in one forward and one backward pass over both; the
/// result's [`Convergence`](crate::Convergence) has what is missing. Where the paper has no rule:
///
/// | operation | what it hands back |
/// |---|---|
/// | max pool | a window's gain goes to the input's winner, its loss to the reference's |
/// | softmax | the gradient with the logarithmic means of both probabilities in place of the probability |
/// | layer, RMS and group norm | Δ(x·s) = Δx·s̄ + x̄·Δs, bars for means of both, and so for the squares in s |
/// | attention, SwiGLU | the same for products: Δ(ab) = Δa·b̄ + ā·Δb |
/// | everything else of [`nn`](crate::nn) | linear: the gradient |
///
/// Where nothing changes they are the gradient, but for the max pool's, which is then 0. Rules sit on the layers of [`nn`](crate::nn), however often one
/// runs and whoever calls it. Products, activations and pools of candle's own pass their gradient; the residual shows
/// it, as it does for a score function that is not linear.
///
/// **When not to use it:** where the answer must not depend on how the model is written: networks that compute the same
/// by other operations get other maps ([Sundararajan et al. 2017](https://arxiv.org/abs/1703.01365) show one;
/// [`IntegratedGradients`](super::IntegratedGradients) do not). And as there, where no reference is neutral; average
/// over many with [`DeepLiftShap`](super::DeepLiftShap) then.
///
/// # Shapes
/// The map has the input's shape, and the score's unit.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{DeepLift, Explain, nn};
///
/// let model = |x: &Tensor| nn::relu(&(x.sum_keepdim(1)? - 1.0)?);
/// let x = Tensor::new(&[[1.5f64, 0.5]], &Device::Cpu)?;
/// let map = DeepLift::default().explain(&model, &x)?;
/// assert_eq!(map.values().to_vec2::<f64>()?, [[0.75, 0.25]]); // of f(x) − f(0) = 1, by their share in the sum
/// # Ok::<(), candlelight_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeepLift {
    baseline: Baseline,
    rule: Rule,
}

impl Default for DeepLift {
    /// By the Rescale rule, from zero.
    fn default() -> Self {
        Self { baseline: Baseline::default(), rule: Rule::Rescale }
    }
}

impl DeepLift {
    /// What the input is compared with; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// The RevealCancel rule in place of Rescale: what raises the argument of an activation and what lowers it get
    /// multipliers of their own, each the mean slope over both orders in which they can come. Where they cancel,
    /// Rescale shows neither. It acts at activations of what a linear layer or convolution (merged with its batch norm)
    /// made; behind anything else, a residual add say, there is Rescale.
    pub fn reveal_cancel(self) -> Self {
        Self { rule: Rule::RevealCancel, ..self }
    }
}

impl Explain for DeepLift {
    fn name(&self) -> String {
        "deep-lift".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let references = References::Fixed(self.baseline.clone());
        Compared::with(&references, None).by(&self.rule).attribute(self.name(), model, query)
    }
}
