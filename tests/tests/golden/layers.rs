//! Layers and neurons: activations, gradients, and paths through them.

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use candlelight_core::{
    Attribution, IntegratedGradients, InternalInfluence, LayerConductance, LayerGradientXActivation,
    LayerIntegratedGradients, Neuron, Quadrature, StepGradient, Tape,
};

use crate::gradients::baseline;
use crate::methods::{Outputs, Setup, one};

pub fn activation(setup: &Setup) -> Result<Outputs> {
    let layer = setup.case.text("layer")?;
    let tape = Tape::record(setup.model, &setup.x, &[layer])?;
    Ok(one("activation", tape.get(layer)?.activation().clone()))
}

pub fn gradient_x_activation(setup: &Setup) -> Result<Outputs> {
    let map = setup.explain(&LayerGradientXActivation::at(setup.case.text("layer")?))?;
    Ok(one("attribution", map.values().clone()))
}

pub fn integrated_gradients(setup: &Setup) -> Result<Outputs> {
    let method = LayerIntegratedGradients::at(setup.case.text("layer")?);
    let map = setup.explain(&method.steps(steps(setup)?).baseline(baseline(setup)?))?;
    Ok(vec![("attribution".into(), map.values().clone()), ("delta".into(), delta(setup, &map)?)])
}

/// The peer's residual: sum − (f(x) − f(x′)), with f(x′) whatever goes around the layer.
fn delta(setup: &Setup, map: &Attribution) -> Result<Tensor> {
    let name = setup.case.text("baseline")?;
    let start = setup.input(name)?.broadcast_as(setup.x.shape())?.contiguous()?;
    let (f, at_start) = (setup.scores(&setup.model.forward(&setup.x)?)?, setup.model.forward(&start)?);
    let sums = map.values().flatten_from(1)?.sum(1)?;
    Ok((sums - (f - setup.scores(&at_start)?)?)?.to_dtype(DType::F64)?)
}

/// The peer's points are the nodes of a rule with one more, whose ends it leaves out; and each step has the gradient of
/// its start.
pub fn conductance(setup: &Setup) -> Result<Outputs> {
    let nodes = Quadrature::GaussLegendre.nodes(steps(setup)? + 1);
    let method = LayerConductance::at(setup.case.text("layer")?)
        .positions(nodes.into_iter().map(|node| node.0).collect())
        .gradient(StepGradient::Start);
    Ok(one("attribution", setup.explain(&method.baseline(baseline(setup)?))?.values().clone()))
}

pub fn influence(setup: &Setup) -> Result<Outputs> {
    let method = InternalInfluence::at(setup.case.text("layer")?).steps(steps(setup)?);
    Ok(one("attribution", setup.explain(&method.baseline(baseline(setup)?))?.values().clone()))
}

pub fn neuron_gradient(setup: &Setup) -> Result<Outputs> {
    neuron(setup, Neuron::default())
}

pub fn neuron_integrated_gradients(setup: &Setup) -> Result<Outputs> {
    let inner = IntegratedGradients::default().steps(steps(setup)?).baseline(baseline(setup)?);
    neuron(setup, Neuron::over(inner))
}

fn neuron(setup: &Setup, method: Neuron) -> Result<Outputs> {
    let unit: Vec<usize> =
        serde_json::from_value(setup.case.params["neuron"].clone()).context("no neuron")?;
    let map = setup.explain(&method.at(setup.case.text("layer")?).unit(unit))?;
    Ok(one("attribution", map.values().clone()))
}

fn steps(setup: &Setup) -> Result<usize> {
    Ok(setup.case.number("n_steps")? as usize)
}
