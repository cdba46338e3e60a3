//! The reference data's methods, and how this project computes the same.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use candlelight_core::{Attribution, Explain, Model};
use candlelight_tests::{Case, Folder, Tensors};

use crate::{attention, cams, deep_lift, gradients, layers, perturbation, rules};

/// All that a method needs to know.
pub struct Setup<'a> {
    /// Where the case is from.
    pub folder: &'a Folder,
    /// The model, in the case's dtype.
    pub model: &'a dyn Model,
    /// The case.
    pub case: &'a Case,
    /// The rows to explain.
    pub x: Tensor,
    /// Baselines, noise and the like.
    pub inputs: Tensors,
    /// The dtype of everything.
    pub dtype: DType,
}

/// Named tensors, as the case expects them.
pub type Outputs = Vec<(String, Tensor)>;

/// Computes the outputs of a case.
pub type Run = fn(&Setup) -> Result<Outputs>;

/// What is built: the manifest's name of each method.
pub const METHODS: &[(&str, Run)] = &[
    ("forward", gradients::forward),
    ("lrp", rules::lrp),
    ("attnlrp", rules::attn_lrp),
    ("cp_lrp", rules::conservative),
    ("saliency", gradients::saliency),
    ("input_x_gradient", gradients::input_x_gradient),
    ("integrated_gradients", gradients::integrated_gradients),
    ("expected_gradients", gradients::expected_gradients),
    ("gradient_shap", gradients::gradient_shap),
    ("guided_backprop", gradients::guided_backprop),
    ("deconvolution", gradients::deconvnet),
    ("smoothgrad/smoothgrad_sq/vargrad", gradients::smoothgrad),
    ("deeplift_rescale", deep_lift::rescale),
    ("deeplift_shap", deep_lift::shap),
    ("deeplift_revealcancel", deep_lift::reveal_cancel),
    ("layer_activation", layers::activation),
    ("layer_gradient_x_activation", layers::gradient_x_activation),
    ("layer_integrated_gradients", layers::integrated_gradients),
    ("layer_conductance", layers::conductance),
    ("internal_influence", layers::influence),
    ("neuron_gradient", layers::neuron_gradient),
    ("neuron_integrated_gradients", layers::neuron_integrated_gradients),
    ("grad_cam", cams::captum),
    ("GradCAM", cams::grad_cam),
    ("GradCAMPlusPlus", cams::grad_cam_plus_plus),
    ("XGradCAM", cams::xgrad_cam),
    ("HiResCAM", cams::hires_cam),
    ("LayerCAM", cams::layer_cam),
    ("GradCAMElementWise", cams::element_wise),
    ("ScoreCAM", cams::score_cam),
    ("AblationCAM", cams::ablation_cam),
    ("FullGrad", cams::full_grad),
    ("EigenCAM", cams::eigen_cam),
    ("EigenGradCAM", cams::eigen_grad_cam),
    ("cam", cams::cam),
    ("guided_grad_cam", cams::guided_grad_cam),
    ("attention", attention::maps),
    ("attention_gradient", attention::gradients),
    ("raw_attention", attention::raw_last),
    ("attention_rollout", attention::rolled_out),
    ("gradient_attention_rollout", attention::gradients_rolled_out),
    ("attention_flow", attention::flow),
    ("transformer_attribution", attention::relevance),
    ("occlusion", perturbation::occlusion),
    ("feature_ablation", perturbation::feature_ablation),
    ("shapley", perturbation::shapley),
    ("shapley/kernel_shap", perturbation::shapley_and_kernel),
    ("lime", perturbation::lime),
    ("rise", perturbation::rise),
];

impl Setup<'_> {
    /// Explains the case's rows and targets.
    pub fn explain(&self, method: &dyn Explain) -> Result<Attribution> {
        let query = (&self.x, self.case.target.clone()).into();
        Ok(method.attribute(self.model, &query)?)
    }

    /// An input tensor in the case's dtype.
    pub fn input(&self, name: &str) -> Result<Tensor> {
        self.inputs.get(name, self.dtype)
    }

    /// The target logit of every row.
    pub fn scores(&self, outputs: &Tensor) -> Result<Tensor> {
        let index = Tensor::new(self.classes(), outputs.device())?.unsqueeze(1)?;
        Ok(outputs.gather(&index, 1)?.squeeze(1)?)
    }

    /// The class of every row.
    pub fn classes(&self) -> Vec<u32> {
        self.case.target.iter().map(|&class| class as u32).collect()
    }

    /// A weight of the model.
    pub fn weight(&self, name: &str) -> Result<Tensor> {
        let file = self.folder.model_folder(&self.case.model)?.join("model.safetensors");
        let weights = safetensors::load(file, &Device::Cpu)?;
        Ok(weights.get(name).with_context(|| format!("no weight `{name}`"))?.to_dtype(self.dtype)?)
    }
}

/// One output.
pub fn one(name: &str, tensor: Tensor) -> Outputs {
    vec![(name.to_owned(), tensor)]
}
