//! Grad-CAM: a layer's maps, weighted by the mean gradient of each.

use super::layer;
use crate::schedule::Run;
use crate::scope::{Selector, Tape, Watch, watch};
use crate::{Attribution, Convergence, Cost, Error, Explain, Model, Query, Reading, Result, TokenGrid};
use candle_core::Tensor;

/// A = Σₖ wₖ·Aₖ with wₖ the mean over space of ∂f/∂Aₖ ([Selvaraju et al. 2016](https://arxiv.org/abs/1610.02391)).
///
/// The layer is a name, or found: the last map with a spatial extent; in a vision transformer the layer norm
/// before the last attention, its patch tokens laid out on the image. The map has the layer's size, `[N, 1, h, w]`,
/// and keeps its sign: the paper's ReLU is a choice made when drawing. Nothing below the layer is differentiated.
/// The map knows where its cells lie on the image ([`Placement`](crate::Placement)), and is drawn and measured there.
///
/// **When not to use it:** for fine detail, or at an early layer: one weight per channel says nothing about where in
/// the channel the evidence lies.
#[derive(Clone, Debug, Default)]
pub struct GradCam {
    layer: Option<String>,
}

impl GradCam {
    /// Grad-CAM at the layer of this name.
    pub fn at(layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()) }
    }
}

impl Explain for GradCam {
    fn name(&self) -> String {
        "grad-cam".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let mut run = Run::new(model, query, query.input().dims()[0])?;
        let layer = layer::find(&self.layer, model, query.input())?;
        let record = |x: &Tensor| watch(model, x, vec![(Selector::Name(layer.clone()), Watch::Cut)]);
        let (prediction, maps) = run.tapes(record, |tape, scores| {
            let gradients = tape.gradients(&scores.sum_all()?)?;
            let rows = scores.dims()[0];
            let map = weighted(tape, &gradients, &layer, (model, query.input()))?;
            let (_, _, height, width) = map.dims4()?;
            let placed = (map, tape.placement(height, width));
            Ok((placed, Cost { forwards: rows, backwards: rows }))
        })?;
        let (maps, placements): (Vec<_>, Vec<_>) = maps.into_iter().unzip();
        let values = Tensor::cat(&maps, 0)?;
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        let placement = placements.first().copied().flatten();
        Ok(Attribution { reading: Reading::Positive, layer: Some(layer), placement, ..attribution })
    }
}

/// The weighted sum of the layer's maps, `[n, 1, h, w]`.
fn weighted(tape: &Tape, gradients: &[Tensor], layer: &str, on: (&dyn Model, &Tensor)) -> Result<Tensor> {
    let gradient = gradients.last().ok_or_else(|| Error::no_gradient(layer))?;
    let grid = match *gradient.dims() {
        [_, tokens, _] => Some(tape.grid_of(tokens)?),
        _ => None,
    };
    grid.map_or(Ok(()), |grid| layer::check_patches_read(gradient, grid, layer, on))?;
    let activation = maps(tape.get(layer)?.activation(), grid, layer)?;
    let weights = maps(gradient, grid, layer)?.mean_keepdim((2, 3))?;
    Ok(activation.broadcast_mul(&weights)?.sum_keepdim(1)?)
}

/// A layer's output as maps `[n, channels, h, w]`; tokens are laid out on their grid.
fn maps(x: &Tensor, grid: Option<TokenGrid>, layer: &str) -> Result<Tensor> {
    if matches!(x.dims(), [_, _, h, w] if h * w > 1) {
        return Ok(x.clone());
    }
    layer::laid_out(x, grid)?.ok_or_else(|| Error::Shape {
        what: "the output of the layer",
        found: x.dims().to_vec(),
        expected: format!(
            "maps [N, C, h, w] with a spatial extent, or patch tokens [N, T, C] of a model that calls \
             `token_grid`; layer `{layer}` has neither"
        ),
    })
}
