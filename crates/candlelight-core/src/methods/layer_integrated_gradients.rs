//! Integrated Gradients at a layer: its output moves along a straight line.

use super::Quadrature;
use super::integrated_gradients::row_sums;
use super::layer::{self, Seen, Version};
use super::walk::{Walk, walk_builders};
use crate::schedule::Run;
use crate::{Attribution, Baseline, Completeness, Convergence, Explain, Model, Query, Result};

/// A = (h − h′) · ∫₀¹ ∂f/∂h (h′ + α(h − h′)) dα, h = h(x) and h′ = h(x′) the layer's outputs at input and baseline
/// ([Sundararajan et al. 2017](https://arxiv.org/abs/1703.01365) at a layer, as Captum has it).
///
/// The layer's output is replaced along the path; whatever goes around the layer sees x. So the attributions sum to
/// f(x) less the score of x with h′ in the layer's place, which is f(x′) only if nothing goes around it.
///
/// **When not to use it:** to ask through which units the *input* acts: points between h′ and h may be outputs that no
/// input gives. [`LayerConductance`](super::LayerConductance) moves the input.
///
/// # Shapes
/// The map has the shape of the layer's output, `[N, …]`.
#[derive(Clone, Debug)]
pub struct LayerIntegratedGradients {
    layer: Option<String>,
    walk: Walk,
}

impl Default for LayerIntegratedGradients {
    /// 50 Gauss-Legendre steps from the layer's output at zero, where [`GradCam`](super::GradCam) looks.
    fn default() -> Self {
        Self { layer: None, walk: Walk::default() }
    }
}

impl LayerIntegratedGradients {
    /// At the layer of this name.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..Self::default() }
    }

    walk_builders!("The input x′ at whose h′ the path starts.");
}

impl Explain for LayerIntegratedGradients {
    fn name(&self) -> String {
        "layer-integrated-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let nodes = self.walk.nodes()?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (nodes.len() + 3))?;
        let layer = layer::find(&self.layer, model, query.input())?;
        let baseline = super::baselines(&self.walk.baseline, query.input())?;
        let (prediction, seen) = Seen::on_input(&mut run, model, layer)?;
        let start = seen.activation_on(&mut run, model, &baseline)?;
        let path = (&seen.activation - &start)?;
        let place = (seen.name.as_str(), &prediction.target);
        let mean = layer::mean_gradient((&mut run, query), place, &path, &nodes, |row, alpha| {
            Ok(Version::Output((start.get(row)? + (path.get(row)? * alpha)?)?))
        })?;
        let values = (path * mean)?;
        let mut difference = Vec::with_capacity(rows);
        for range in run.batches(rows) {
            let part = |x: &candle_core::Tensor| x.narrow(0, range.start, range.len());
            let points = (&part(query.input())?, &part(&start)?);
            let owners: Vec<usize> = range.clone().collect();
            let without = run.scores_with(&seen.name, points, &owners, &prediction.target)?;
            difference.extend(range.zip(without).map(|(row, without)| prediction.scores[row] - without));
        }
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let convergence = Convergence { completeness, ..Convergence::in_steps(nodes.len(), rows) };
        seen.attribution(self.name(), values, prediction, convergence, run.cost())
    }
}
