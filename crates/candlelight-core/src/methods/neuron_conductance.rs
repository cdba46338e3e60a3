//! Neuron Conductance: what flows from each input through one unit to the score.

use super::Quadrature;
use super::neuron::{Found, Unit};
use super::walk::{Walk, walk_builders};
use crate::schedule::Run;
use crate::{Attribution, Baseline, Convergence, Explain, Model, Query, Result};
use candle_core::Tensor;

/// A = (x − x′) · ∫₀¹ ∂f/∂h_u · ∂h_u/∂x (x′ + α(x − x′)) dα for one unit u of a layer
/// ([Dhamdhere et al. 2018](https://arxiv.org/abs/1805.12233)): the part of Integrated Gradients that goes through u.
///
/// The maps of all units of a layer that nothing goes around sum to Integrated Gradients; the sum of one is the unit's
/// [`LayerConductance`](super::LayerConductance).
///
/// **When not to use it:** unit after unit, to find the one that matters: `LayerConductance` has all of them at the cost
/// of one.
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Debug)]
pub struct NeuronConductance {
    layer: Option<String>,
    unit: Unit,
    walk: Walk,
}

impl Default for NeuronConductance {
    /// 50 Gauss-Legendre steps from zero for the loudest unit, where [`GradCam`](super::GradCam) looks.
    fn default() -> Self {
        Self { layer: None, unit: Unit::default(), walk: Walk::default() }
    }
}

impl NeuronConductance {
    /// A unit of the layer of this name.
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }

    /// The unit at this index of the layer's output, without the axis of rows.
    pub fn unit(self, index: impl Into<Vec<usize>>) -> Self {
        Self { unit: Unit::At(index.into()), ..self }
    }

    walk_builders!("Where the path starts.");
}

impl Explain for NeuronConductance {
    fn name(&self) -> String {
        "neuron-conductance".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let nodes = self.walk.nodes()?;
        let rows = query.input().dims()[0];
        let mut run = Run::new(model, query, rows * (nodes.len() + 2))?;
        let baseline = super::baselines(&self.walk.baseline, query.input())?;
        let path = (query.input() - &baseline)?;
        let prediction = run.predict()?;
        let Found { layer, units, cost } = self.unit.find(model, query, &self.layer)?;
        run.spent(cost)?;
        let mut sums = vec![path.get(0)?.zeros_like()?; rows];
        for range in run.batches(rows * nodes.len()) {
            let owners: Vec<usize> = range.clone().map(|k| k / nodes.len()).collect();
            let through: Vec<u32> = owners.iter().map(|&row| units[row]).collect();
            let point = |k: usize| {
                let (row, alpha) = (k / nodes.len(), nodes[k % nodes.len()].0);
                baseline.get(row)? + (path.get(row)? * alpha)?
            };
            let points = range.clone().map(point).collect::<candle_core::Result<Vec<_>>>()?;
            let points = Tensor::stack(&points, 0)?;
            let slopes = run.slopes_through((&layer, &through), &points, &owners, &prediction.target)?;
            for (n, k) in range.enumerate() {
                let (row, weight) = (k / nodes.len(), nodes[k % nodes.len()].1);
                sums[row] = (&sums[row] + (slopes.get(n)? * weight)?)?;
            }
        }
        let values = (path * Tensor::stack(&sums, 0)?)?;
        let convergence = Convergence::in_steps(nodes.len(), rows);
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}
