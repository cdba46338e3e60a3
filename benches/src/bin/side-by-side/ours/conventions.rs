//! Methods in the peers' settings, and their maps in the peers' form.

use super::{Setup, Told};
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use candlelight::peers::scale_cam_image;
use candlelight::{
    AblationCam, Draw, ExpectedGradients, Explain, Features, FullGrad, GuidedGradCam, IntegratedGradients,
    Joining, LayerConductance, Lime, Neuron, NeuronConductance, Noise, Psi, Quadrature, References, Rise,
    Saliency, ScoreCam, Settings, ShapleyValues, SmoothGrad, StepGradient, Upsampling, method,
};

/// The map of the work's method.
pub fn map(setup: &Setup, told: &Told) -> Result<Tensor> {
    match setup.name.as_str() {
        "ablation-cam" => over_the_score(setup, &AblationCam::at(layer(told)?)),
        "full-grad" => {
            let paper = FullGrad::default().psi(Psi::Rescaled(Upsampling::Tiled));
            Ok(scale_cam_image(&setup.explain(&paper)?.values().squeeze(1)?)?)
        }
        _ => Ok(setup.explain(&*explainer(setup, told)?)?.values().clone()),
    }
}

/// The peer's weights are ours over the score.
fn over_the_score(setup: &Setup, method: &dyn Explain) -> Result<Tensor> {
    let map = setup.explain(method)?;
    let scores = Tensor::new(map.scores(), map.values().device())?.to_dtype(map.values().dtype())?;
    Ok(map.values().broadcast_div(&scores.reshape(((), 1, 1, 1))?)?)
}

fn explainer(setup: &Setup, told: &Told) -> Result<Box<dyn Explain>> {
    Ok(match (setup.name.as_str(), told.given) {
        ("expected-gradients", true) => Box::new(expected_gradients(setup, told)?),
        ("smoothgrad", given) => Box::new(smooth_grad(setup, told, given)?),
        ("rise", true) => Box::new(Rise::default().given(setup.input("rise_masks")?)),
        ("lime", true) => {
            Box::new(Lime::default().features(cells(told)?).given(setup.input("lime_samples")?))
        }
        ("shapley-values", given) => {
            let joining = if given { Joining::Exact } else { Joining::Random };
            let method = ShapleyValues::default().features(cells(told)?).joining(joining);
            Box::new(method.samples(told.samples.context("no `samples`")?))
        }
        ("score-cam", _) => Box::new(ScoreCam::at(layer(told)?).upsampling(Upsampling::Corners)),
        ("guided-grad-cam", _) => Box::new(GuidedGradCam::at(layer(told)?).upsampling(Upsampling::Nearest)),
        ("layer-conductance", _) => Box::new(layer_conductance(told)?),
        ("neuron-saliency", _) => Box::new(of_neuron(Neuron::default(), told)?),
        ("neuron-integrated-gradients", _) => {
            Box::new(of_neuron(Neuron::over(IntegratedGradients::default().steps(steps(told)?)), told)?)
        }
        ("neuron-conductance", _) => {
            let method = NeuronConductance::default().at(layer(told)?).unit(unit(told)?);
            Box::new(method.steps(steps(told)?))
        }
        (name, _) => method(name.trim_end_matches("-exact"))?.with(&settings(setup, told)?)?,
    })
}

/// What the registry's methods are told.
fn settings(setup: &Setup, told: &Told) -> Result<Settings> {
    Ok(Settings {
        layers: told.layer.iter().cloned().collect(),
        references: Some(setup.input("references")?),
        features: told.cells.map(|side| Features::Grid { rows: side, columns: side }),
        window: told.window.map(|side| vec![side]),
        stride: told.stride.map(|side| vec![side]),
        steps: told.steps.or(told.samples),
        ..Settings::default()
    })
}

fn layer(told: &Told) -> Result<String> {
    told.layer.clone().context("no `layer`")
}

fn unit(told: &Told) -> Result<Vec<usize>> {
    told.unit.clone().context("no `unit`")
}

fn steps(told: &Told) -> Result<usize> {
    told.steps.context("no `steps`")
}

fn cells(told: &Told) -> Result<Features> {
    let side = told.cells.context("no `cells`")?;
    Ok(Features::Grid { rows: side, columns: side })
}

fn of_neuron(method: Neuron, told: &Told) -> Result<Neuron> {
    Ok(method.at(layer(told)?).unit(unit(told)?))
}

/// With the stored draws.
fn expected_gradients(setup: &Setup, told: &Told) -> Result<ExpectedGradients> {
    let count = told.samples.context("no `samples`")?;
    let references = setup.first("draw_references", count)?.to_vec1::<i64>()?;
    let alphas = setup.first("draw_alphas", count)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let draw = |(reference, alpha): (i64, f64)| Draw { reference: reference as usize, alpha };
    let draws = references.into_iter().zip(alphas).map(draw).collect();
    let samples = References::Samples(setup.input("references")?);
    Ok(ExpectedGradients::default().references(samples).draws(draws))
}

fn smooth_grad(setup: &Setup, told: &Told, given: bool) -> Result<SmoothGrad> {
    let (method, count) = (SmoothGrad::over(Saliency::signed()), told.samples.context("no `samples`")?);
    Ok(match given {
        true => method.noise(Noise::Given(setup.first("noise", count)?)),
        false => method.samples(count),
    })
}

/// The peer's points are the nodes of a rule with one more, whose ends it leaves out; and each step has the gradient of
/// its start.
fn layer_conductance(told: &Told) -> Result<LayerConductance> {
    let nodes = Quadrature::GaussLegendre.nodes(steps(told)? + 1);
    let positions = nodes.into_iter().map(|node| node.0).collect();
    Ok(LayerConductance::at(layer(told)?).positions(positions).gradient(StepGradient::Start))
}
