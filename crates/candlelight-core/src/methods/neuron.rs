//! Any explanation of one unit of a layer in place of the score.

use super::Saliency;
use super::layer::{self, Seen};
use crate::schedule::Run;
use crate::scope::{Selector, Watch, watch};
use crate::{Attribution, Cost, Error, Explain, Model, Query, Result, Target};
use candle_core::{D, Module, Tensor};
use std::sync::Arc;

/// Which unit of a layer is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// In each row the unit that speaks loudest for its target: with the largest h · ∂f/∂h.
    #[default]
    Loudest,
    /// The unit at this index of the layer's output, without the axis of rows: `[channel, row, column]` in a map,
    /// `[token, channel]` in a transformer.
    At(Vec<usize>),
}

impl Unit {
    /// The layer, and the unit of every row, counted in the layer's output taken flat; and what that cost.
    pub(super) fn find(&self, model: &dyn Model, query: &Query, layer: &Option<String>) -> Result<Found> {
        let query = query.quiet();
        let mut run = Run::new(model, &query, query.input().dims()[0])?;
        let layer = layer::find(layer, model, query.input())?;
        let units = match self {
            Self::Loudest => {
                let (_, seen, gradient) = Seen::differentiated(&mut run, model, layer.clone())?;
                (&seen.activation * gradient)?.flatten_from(1)?.argmax(D::Minus1)?.to_vec1()?
            }
            Self::At(index) => {
                let (_, seen) = Seen::on_input(&mut run, model, layer.clone())?;
                vec![flat(index, &seen.activation.dims()[1..])?; query.input().dims()[0]]
            }
        };
        Ok(Found { layer, units, cost: run.cost() })
    }
}

/// Units of a layer, one for each row.
pub(super) struct Found {
    pub(super) layer: String,
    pub(super) units: Vec<u32>,
    pub(super) cost: Cost,
}

/// The place of `index` in a tensor of `shape` in row-major order.
fn flat(index: &[usize], shape: &[usize]) -> Result<u32> {
    if index.len() != shape.len() || index.iter().zip(shape).any(|(index, size)| index >= size) {
        return Err(Error::Shape {
            what: "the index of the unit",
            found: index.to_vec(),
            expected: format!("{} numbers below {shape:?}, the layer's output of one row", shape.len()),
        });
    }
    Ok(index.iter().zip(shape).fold(0, |at, (index, size)| at * size + index) as u32)
}

/// The explanation that an explainer of the input gives when one unit of a layer is the score: A′ of h_u(x) in place of
/// f(x). Over [`Saliency::signed`] it is the neuron gradient ∂h_u/∂x, over
/// [`IntegratedGradients`](super::IntegratedGradients) Neuron Integrated Gradients.
///
/// The result's scores are the unit's activations, and it has no classes. The query's target chooses the
/// [`Unit::Loudest`], and means nothing to a unit that is named.
///
/// **When not to use it:** to explain the class. What moves a unit need not move the score; what moves the score through
/// the unit is [`NeuronConductance`](super::NeuronConductance).
///
/// # Shapes
/// The map has the input's shape.
///
/// # Example
/// ```
/// use candlelight_core::{IntegratedGradients, Neuron};
///
/// let method = Neuron::over(IntegratedGradients::default().steps(20)).at("layer3").unit([7, 1, 2]);
/// ```
#[derive(Clone)]
pub struct Neuron {
    inner: Arc<dyn Explain>,
    layer: Option<String>,
    unit: Unit,
}

impl Default for Neuron {
    /// The signed gradient of the loudest unit, where [`GradCam`](super::GradCam) looks.
    fn default() -> Self {
        Self::over(Saliency::signed())
    }
}

impl Neuron {
    /// What `inner` says of a unit.
    pub fn over(inner: impl Explain + 'static) -> Self {
        Self { inner: Arc::new(inner), layer: None, unit: Unit::default() }
    }

    /// A unit of the layer of this name.
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }

    /// The unit at this index of the layer's output, without the axis of rows.
    pub fn unit(self, index: impl Into<Vec<usize>>) -> Self {
        Self { unit: Unit::At(index.into()), ..self }
    }
}

/// A model up to some units of a layer, as classes.
struct Units<'a> {
    model: &'a dyn Model,
    layer: &'a str,
    units: Vec<u32>,
}

impl Module for Units<'_> {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let tape = watch(self.model, x, vec![(Selector::Name(self.layer.to_owned()), Watch::Split)])?;
        let units = Tensor::new(&self.units[..], x.device())?;
        tape.only()?.activation().flatten_from(1)?.contiguous()?.index_select(&units, 1)
    }
}

impl Explain for Neuron {
    fn name(&self) -> String {
        format!("neuron-{}", self.inner.name())
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let Found { layer, units: chosen, cost } = self.unit.find(model, query, &self.layer)?;
        let mut units = chosen.clone();
        units.sort_unstable();
        units.dedup();
        let column = |unit: &u32| units.iter().position(|known| known == unit).unwrap_or_default();
        let target = Target::PerRow(chosen.iter().map(column).collect());
        let query = query.clone().target(target).after(cost.forwards);
        let map = self.inner.attribute(&Units { model, layer: &layer, units: units.clone() }, &query)?;
        let mut total = map.cost;
        total += cost;
        Ok(Attribution { method: self.name(), classes: Vec::new(), cost: total, ..map })
    }
}
