//! Internal Influence: the mean gradient at a layer while the input moves.

use super::Quadrature;
use super::layer::{self, Seen, Version};
use super::walk::{Walk, walk_builders};
use crate::schedule::Run;
use crate::{Attribution, Baseline, Convergence, Explain, Model, Query, Result};

/// A = ∫₀¹ ∂f/∂h (x′ + α(x − x′)) dα for the output h of a layer: the influence-directed explanation
/// ([Leino et al. 2018](https://arxiv.org/abs/1802.03788)) of the line from x′ to x.
///
/// A unit's influence is the mean slope of the score in it over the inputs of the line. It is not multiplied by
/// anything, so that a unit that never changes can have one.
///
/// **When not to use it:** to share the score out among units: the values have no sum to keep;
/// [`LayerConductance`](super::LayerConductance) does.
///
/// # Shapes
/// The map has the shape of the layer's output, `[N, …]`.
#[derive(Clone, Debug)]
pub struct InternalInfluence {
    layer: Option<String>,
    walk: Walk,
}

impl Default for InternalInfluence {
    /// 50 Gauss-Legendre steps from zero, where [`GradCam`](super::GradCam) looks.
    fn default() -> Self {
        Self { layer: None, walk: Walk::default() }
    }
}

impl InternalInfluence {
    /// At the layer of this name.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..Self::default() }
    }

    walk_builders!("Where the path starts.");
}

impl Explain for InternalInfluence {
    fn name(&self) -> String {
        "internal-influence".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let nodes = self.walk.nodes()?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (nodes.len() + 1))?;
        let layer = layer::find(&self.layer, model, query.input())?;
        let baseline = super::baselines(&self.walk.baseline, query.input())?;
        let path = (query.input() - &baseline)?;
        let (prediction, seen) = Seen::on_input(&mut run, model, layer)?;
        let place = (seen.name.as_str(), &prediction.target);
        let values =
            layer::mean_gradient((&mut run, query), place, &seen.activation, &nodes, |row, alpha| {
                Ok(Version::Input((baseline.get(row)? + (path.get(row)? * alpha)?)?))
            })?;
        let convergence = Convergence::in_steps(nodes.len(), rows);
        seen.attribution(self.name(), values, prediction, convergence, run.cost())
    }
}
