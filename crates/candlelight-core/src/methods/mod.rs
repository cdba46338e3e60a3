//! The methods, one file each, and what they share.

mod adaptive;
mod attention;
mod attn_lrp;
mod augmented;
mod blur_integrated_gradients;
mod cam;
mod compared;
mod deconvnet;
mod deep_lift;
mod deep_lift_shap;
mod deep_taylor;
mod excitation_backprop;
mod expected_gradients;
mod feature_ablation;
mod feature_permutation;
mod full_grad;
mod guided_backprop;
mod guided_grad_cam;
mod guided_integrated_gradients;
mod hsic_indices;
mod idgi;
mod input_x_gradient;
mod integrated_gradients;
mod internal_influence;
mod kernel_shap;
mod layer;
mod layer_conductance;
mod layer_gradient_x_activation;
mod layer_integrated_gradients;
mod lime;
mod lines;
mod lrp;
mod neuron;
mod neuron_conductance;
mod noise;
mod occlusion;
mod partition_shap;
mod path;
mod quadrature;
mod registry;
mod rise;
mod saliency;
mod settings;
mod shapley_values;
mod smooth_grad;
mod sobol_indices;
mod versions;
mod walk;
mod xrai;

pub use attention::{
    AttentionFlow, AttentionGradCam, AttentionPass, AttentionRollout, Attentions, HeadFusion, HeadWeight,
    RawAttention, ReadsAttention, TransformerRelevance,
};
pub use attn_lrp::AttnLrp;
pub use augmented::Augmented;
pub use blur_integrated_gradients::BlurIntegratedGradients;
pub use cam::{
    AblationCam, Cam, ClassActivation, EigenCam, EigenGradCam, ElementWiseGradCam, GradCam, GradCamPlusPlus,
    HiResCam, LayerCam, ScoreCam, Weighting, XGradCam,
};
pub use deconvnet::Deconvnet;
pub use deep_lift::DeepLift;
pub use deep_lift_shap::DeepLiftShap;
pub use deep_taylor::DeepTaylor;
pub use excitation_backprop::ExcitationBackprop;
pub use expected_gradients::{Draw, ExpectedGradients};
pub use feature_ablation::FeatureAblation;
pub use feature_permutation::FeaturePermutation;
pub use full_grad::{FullGrad, Psi};
pub use guided_backprop::GuidedBackprop;
pub use guided_grad_cam::GuidedGradCam;
pub use guided_integrated_gradients::GuidedIntegratedGradients;
pub use hsic_indices::HsicIndices;
pub use idgi::Idgi;
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use internal_influence::InternalInfluence;
pub use kernel_shap::KernelShap;
pub use layer_conductance::{LayerConductance, StepGradient};
pub use layer_gradient_x_activation::LayerGradientXActivation;
pub use layer_integrated_gradients::LayerIntegratedGradients;
pub use lime::{Lime, Proximity, Shrinkage};
pub use lrp::Lrp;
pub use neuron::{Neuron, Unit};
pub use neuron_conductance::NeuronConductance;
pub use noise::Noise;
pub use occlusion::Occlusion;
pub use partition_shap::PartitionShap;
pub use path::Path;
pub use quadrature::Quadrature;
pub use registry::{METHODS, method};
pub use rise::{Coverage, Rise};
pub use saliency::Saliency;
pub use settings::Settings;
pub use shapley_values::{Joining, ShapleyValues};
pub use smooth_grad::{SmoothGrad, Statistic};
pub use sobol_indices::SobolIndices;
pub use xrai::Xrai;

pub(crate) use versions::Draws;

use crate::rules::{Composite, Rule};
use crate::schedule::{Prediction, Run, to_f64};
use crate::scope::Rules;
use crate::{Attribution, Baseline, Convergence, Error, Explain, Model, Query, Result};
use candle_core::{DType, Tensor};

/// What kind of method it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Gradients at the input or around it.
    Gradient,
    /// Gradients along paths from a baseline.
    Path,
    /// Rules that hand relevance back from layer to layer.
    Rules,
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
    /// Parts of the input that are taken away.
    Perturbation,
}

/// An entry of the registry.
#[derive(Clone, Copy)]
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
    let rules = Rules::new(&Composite::of_rectifiers(rule));
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

/// A number that must be finite and above 0.
pub(crate) fn positive(setting: &'static str, value: f64) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::Setting { setting, value: value.to_string(), expected: "a positive number" }),
    }
}
