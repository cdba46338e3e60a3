//! The methods, one file each, and their registry.

mod adaptive;
mod attention_rollout;
mod blur_integrated_gradients;
mod deconvnet;
mod expected_gradients;
mod grad_cam;
mod guided_backprop;
mod guided_integrated_gradients;
mod idgi;
mod input_x_gradient;
mod integrated_gradients;
mod internal_influence;
mod layer;
mod layer_conductance;
mod layer_gradient_x_activation;
mod layer_integrated_gradients;
mod lines;
mod neuron;
mod neuron_conductance;
mod noise;
mod path;
mod quadrature;
mod saliency;
mod smooth_grad;
mod versions;
mod xrai;

pub use attention_rollout::{AttentionRollout, HeadFusion, rollout};
pub use blur_integrated_gradients::BlurIntegratedGradients;
pub use deconvnet::Deconvnet;
pub use expected_gradients::{Draw, ExpectedGradients};
pub use grad_cam::GradCam;
pub use guided_backprop::GuidedBackprop;
pub use guided_integrated_gradients::GuidedIntegratedGradients;
pub use idgi::Idgi;
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use internal_influence::InternalInfluence;
pub use layer_conductance::{LayerConductance, StepGradient};
pub use layer_gradient_x_activation::LayerGradientXActivation;
pub use layer_integrated_gradients::LayerIntegratedGradients;
pub use neuron::{Neuron, Unit};
pub use neuron_conductance::NeuronConductance;
pub use noise::Noise;
pub use path::Path;
pub use quadrature::Quadrature;
pub use saliency::Saliency;
pub use smooth_grad::{SmoothGrad, Statistic};
pub use xrai::Xrai;

use crate::error::nearest;
use crate::schedule::{Prediction, Run, to_f64};
use crate::scope::{Kind, Rule, Rules, Selector};
use crate::{Attribution, Baseline, Convergence, Error, Explain, Model, Query, References, Result};
use candle_core::{DType, Tensor};

/// What kind of method it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Gradients at the input or around it.
    Gradient,
    /// Gradients along paths from a baseline.
    Path,
    /// Regions of the image.
    Region,
    /// Maps of a layer, weighted by gradients.
    ClassActivation,
    /// The units of a layer.
    Layer,
    /// One unit of a layer, explained at the input.
    Neuron,
    /// Attention probabilities.
    Attention,
}

/// What a caller may set on any method; a method ignores what it does not have.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The layer of a class activation map.
    pub layer: Option<String>,
    /// Samples of the training distribution, `[M, …]`: what Expected Gradients compares with.
    pub references: Option<Tensor>,
    /// What every method compares with that compares at all.
    pub baseline: Option<References>,
    /// Steps of a path, samples of a sampler; at most so many together with `until`.
    pub steps: Option<usize>,
    /// The residual of a path or the standard error of a sampler at which it stops by itself.
    pub until: Option<f64>,
}

/// An entry of the registry.
pub struct Method {
    /// The name on the command line.
    pub name: &'static str,
    /// The name in print.
    pub title: &'static str,
    /// What kind of method it is.
    pub family: Family,
    /// Where it comes from.
    pub paper: &'static str,
    build: fn(&Settings) -> Result<Box<dyn Explain>>,
}

impl Method {
    /// The method with the paper's setting, but for what `settings` says.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting makes no sense.
    pub fn with(&self, settings: &Settings) -> Result<Box<dyn Explain>> {
        (self.build)(settings)
    }
}

/// Every method. The command line, the table in the README, the axiom tests and the benches walk this list.
pub static METHODS: &[Method] = &[
    Method {
        name: "saliency",
        title: "Saliency",
        family: Family::Gradient,
        paper: "https://arxiv.org/abs/1312.6034",
        build: |_| Ok(Box::new(Saliency::default())),
    },
    Method {
        name: "input-x-gradient",
        title: "Input x Gradient",
        family: Family::Gradient,
        paper: "https://arxiv.org/abs/1605.01713",
        build: |_| Ok(Box::new(InputXGradient)),
    },
    Method {
        name: "guided-backprop",
        title: "Guided Backpropagation",
        family: Family::Gradient,
        paper: "https://arxiv.org/abs/1412.6806",
        build: |_| Ok(Box::new(GuidedBackprop)),
    },
    Method {
        name: "deconvnet",
        title: "Deconvnet",
        family: Family::Gradient,
        paper: "https://arxiv.org/abs/1311.2901",
        build: |_| Ok(Box::new(Deconvnet)),
    },
    Method {
        name: "integrated-gradients",
        title: "Integrated Gradients",
        family: Family::Path,
        paper: "https://arxiv.org/abs/1703.01365",
        build: |settings| Ok(Box::new(integrated_gradients(settings))),
    },
    Method {
        name: "expected-gradients",
        title: "Expected Gradients",
        family: Family::Path,
        paper: "https://arxiv.org/abs/1906.10670",
        build: |settings| Ok(Box::new(expected_gradients(settings))),
    },
    Method {
        name: "blur-integrated-gradients",
        title: "Blur Integrated Gradients",
        family: Family::Path,
        paper: "https://arxiv.org/abs/2004.03383",
        build: |settings| {
            let method = BlurIntegratedGradients::default();
            Ok(Box::new(set(method, &settings.steps, BlurIntegratedGradients::steps)))
        },
    },
    Method {
        name: "guided-integrated-gradients",
        title: "Guided Integrated Gradients",
        family: Family::Path,
        paper: "https://arxiv.org/abs/2106.09788",
        build: |settings| {
            let method = GuidedIntegratedGradients::default();
            Ok(Box::new(set(method, &settings.steps, GuidedIntegratedGradients::steps)))
        },
    },
    Method {
        name: "idgi",
        title: "IDGI",
        family: Family::Path,
        paper: "https://arxiv.org/abs/2303.14242",
        build: |settings| Ok(Box::new(set(Idgi::default(), &settings.steps, Idgi::steps))),
    },
    Method {
        name: "xrai",
        title: "XRAI",
        family: Family::Region,
        paper: "https://arxiv.org/abs/1906.02825",
        build: |settings| {
            let over = |_, steps| Xrai::over(Xrai::usual().steps(steps));
            Ok(Box::new(set(Xrai::default(), &settings.steps, over)))
        },
    },
    Method {
        name: "smoothgrad",
        title: "SmoothGrad",
        family: Family::Gradient,
        paper: "https://arxiv.org/abs/1706.03825",
        build: |settings| Ok(Box::new(smooth_grad(settings))),
    },
    Method {
        name: "grad-cam",
        title: "Grad-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1610.02391",
        build: |settings| {
            Ok(Box::new(match &settings.layer {
                Some(layer) => GradCam::at(layer),
                None => GradCam::default(),
            }))
        },
    },
    Method {
        name: "layer-gradient-x-activation",
        title: "Layer Gradient x Activation",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1711.06104",
        build: |settings| {
            let method = LayerGradientXActivation::default();
            Ok(Box::new(set(method, &settings.layer, |_, layer| LayerGradientXActivation::at(layer))))
        },
    },
    Method {
        name: "layer-integrated-gradients",
        title: "Layer Integrated Gradients",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1703.01365",
        build: |settings| {
            let method = LayerIntegratedGradients::default();
            let method = set(method, &settings.layer, |_, layer| LayerIntegratedGradients::at(layer));
            Ok(Box::new(set(method, &settings.steps, LayerIntegratedGradients::steps)))
        },
    },
    Method {
        name: "layer-conductance",
        title: "Layer Conductance",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1805.12233",
        build: |settings| {
            let method = LayerConductance::default();
            let method = set(method, &settings.layer, |_, layer| LayerConductance::at(layer));
            Ok(Box::new(set(method, &settings.steps, LayerConductance::steps)))
        },
    },
    Method {
        name: "internal-influence",
        title: "Internal Influence",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1802.03788",
        build: |settings| {
            let method = InternalInfluence::default();
            let method = set(method, &settings.layer, |_, layer| InternalInfluence::at(layer));
            Ok(Box::new(set(method, &settings.steps, InternalInfluence::steps)))
        },
    },
    Method {
        name: "neuron-saliency",
        title: "Neuron Gradient",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1312.6034",
        build: |settings| Ok(Box::new(set(Neuron::default(), &settings.layer, Neuron::at))),
    },
    Method {
        name: "neuron-integrated-gradients",
        title: "Neuron Integrated Gradients",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1703.01365",
        build: |settings| {
            let inner = set(IntegratedGradients::default(), &settings.steps, IntegratedGradients::steps);
            Ok(Box::new(set(Neuron::over(inner), &settings.layer, Neuron::at)))
        },
    },
    Method {
        name: "neuron-conductance",
        title: "Neuron Conductance",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1805.12233",
        build: |settings| {
            let method = set(NeuronConductance::default(), &settings.layer, NeuronConductance::at);
            Ok(Box::new(set(method, &settings.steps, NeuronConductance::steps)))
        },
    },
    Method {
        name: "attention-rollout",
        title: "Attention Rollout",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2005.00928",
        build: |_| Ok(Box::new(AttentionRollout::default())),
    },
];

fn integrated_gradients(settings: &Settings) -> IntegratedGradients {
    let method = IntegratedGradients::default();
    let method = settings.until.map_or(method.clone(), |residual| method.until(residual));
    let method = settings.steps.map_or(method.clone(), |steps| method.steps(steps));
    settings.baseline.clone().map_or(method.clone(), |baseline| method.baseline(baseline))
}

fn expected_gradients(settings: &Settings) -> ExpectedGradients {
    let method = ExpectedGradients::default();
    let method = settings.until.map_or(method.clone(), |error| method.until(error));
    let method = settings.steps.map_or(method.clone(), |samples| method.samples(samples));
    let samples = settings.references.clone().map(References::Samples);
    settings.baseline.clone().or(samples).map_or(method.clone(), |references| method.references(references))
}

fn smooth_grad(settings: &Settings) -> SmoothGrad {
    let method = SmoothGrad::default();
    let method = settings.until.map_or(method.clone(), |error| method.until(error));
    settings.steps.map_or(method.clone(), |samples| method.samples(samples))
}

/// The method of this name.
///
/// # Errors
/// [`Error::UnknownMethod`] with the nearest names.
pub fn method(name: &str) -> Result<&'static Method> {
    METHODS.iter().find(|method| method.name == name).ok_or_else(|| {
        let mut nearest = nearest(name, METHODS.iter().map(|method| method.name));
        nearest.truncate(3);
        Error::UnknownMethod { name: name.to_owned(), nearest }
    })
}

/// `method` with `value`, if there is one.
fn set<M, V: Clone>(method: M, value: &Option<V>, with: impl FnOnce(M, V) -> M) -> M {
    match value {
        Some(value) => with(method, value.clone()),
        None => method,
    }
}

/// The baseline of every row, `[N, …]` like `input`.
fn baselines(baseline: &Baseline, input: &Tensor) -> Result<Tensor> {
    baseline.check(input)?;
    let rows = (0..input.dims()[0]).map(|row| baseline.at(input, row));
    Ok(Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
}

/// The sum of all values.
fn total(x: &Tensor) -> Result<f64> {
    Ok(to_f64(&x.to_dtype(DType::F64)?.sum_all()?)?.iter().sum())
}

/// f(x) − f(x′) of every row.
fn differences(run: &mut Run, baselines: &Tensor, prediction: &Prediction) -> Result<Vec<f64>> {
    let mut differences = Vec::with_capacity(run.rows());
    for range in run.batches(run.rows()) {
        let points = baselines.narrow(0, range.start, range.len())?;
        let scores = run.scores(&points, &Vec::from_iter(range.clone()), &prediction.target)?;
        differences.extend(range.zip(scores).map(|(row, score)| prediction.scores[row] - score));
    }
    Ok(differences)
}

/// The gradient of the score where every rectifier obeys `rule`.
fn rectified(name: String, rule: Rule, model: &dyn Model, query: &Query) -> Result<Attribution> {
    let rules = Rules::new([(Selector::Kind(Kind::Activation), rule)]);
    let mut run = Run::under(rules, model, query, query.input().dims()[0])?;
    let (prediction, signal) = run.gradients_of_input()?;
    Ok(Attribution::new(name, signal, prediction, Convergence::exact(), run.cost()))
}

/// A count that must be at least one.
pub(crate) fn at_least_one(setting: &'static str, count: usize) -> Result<usize> {
    match count {
        0 => Err(Error::Setting { setting, value: "0".into(), expected: "at least 1" }),
        count => Ok(count),
    }
}
