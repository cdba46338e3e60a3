//! The registry: every method with its name and its paper.

mod perturbation;

use super::settings::{
    class_activation, deep_lift, deep_lift_shap, expected_gradients, integrated_gradients, raw_attention,
    set, smooth_grad,
};
use super::{
    AblationCam, AttentionFlow, AttentionGradCam, AttentionRollout, AttnLrp, BlurIntegratedGradients, Cam,
    Deconvnet, DeepTaylor, EigenCam, EigenGradCam, ElementWiseGradCam, ExcitationBackprop, Family, FullGrad,
    GradCam, GradCamPlusPlus, GuidedBackprop, GuidedGradCam, GuidedIntegratedGradients, HeadWeight, HiResCam,
    Idgi, InputXGradient, IntegratedGradients, InternalInfluence, LayerCam, LayerConductance,
    LayerGradientXActivation, LayerIntegratedGradients, Lrp, Method, Neuron, NeuronConductance, RawAttention,
    Saliency, ScoreCam, TransformerRelevance, XGradCam, Xrai,
};
use crate::error::nearest;
use crate::{Error, Result};
use perturbation::PERTURBATION;

/// Every method. The command line, the table in the README, the axiom tests and the benches walk this list.
pub static METHODS: &[Method] = &joined::<{ INSIDE.len() + PERTURBATION.len() }>([INSIDE, PERTURBATION]);

/// Both lists in one.
const fn joined<const N: usize>([first, second]: [&[Method]; 2]) -> [Method; N] {
    let (mut all, mut at) = ([first[0]; N], 0);
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

/// Methods that look inside the model: gradients, rules, layers, attention.
const INSIDE: &[Method] = &[
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
        name: "lrp",
        title: "Layer-wise Relevance Propagation",
        family: Family::Rules,
        paper: "https://doi.org/10.1371/journal.pone.0130140",
        build: |settings| Ok(Box::new(set(Lrp::default(), &settings.composite, |_, rules| Lrp::new(rules)))),
    },
    Method {
        name: "deep-taylor",
        title: "Deep Taylor Decomposition",
        family: Family::Rules,
        paper: "https://arxiv.org/abs/1512.02479",
        build: |_| Ok(Box::new(DeepTaylor::default())),
    },
    Method {
        name: "excitation-backprop",
        title: "Excitation Backpropagation",
        family: Family::Rules,
        paper: "https://arxiv.org/abs/1608.00507",
        build: |_| Ok(Box::new(ExcitationBackprop::default())),
    },
    Method {
        name: "attn-lrp",
        title: "AttnLRP",
        family: Family::Rules,
        paper: "https://arxiv.org/abs/2402.05602",
        build: |_| Ok(Box::new(AttnLrp::default())),
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
        name: "deep-lift",
        title: "DeepLIFT",
        family: Family::Rules,
        paper: "https://arxiv.org/abs/1704.02685",
        build: |settings| deep_lift(settings),
    },
    Method {
        name: "deep-lift-shap",
        title: "DeepSHAP",
        family: Family::Rules,
        paper: "https://arxiv.org/abs/1705.07874",
        build: |settings| Ok(Box::new(deep_lift_shap(settings))),
    },
    Method {
        name: "cam",
        title: "CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1512.04150",
        build: |settings| class_activation(Cam::default(), settings),
    },
    Method {
        name: "grad-cam",
        title: "Grad-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1610.02391",
        build: |settings| class_activation(GradCam::default(), settings),
    },
    Method {
        name: "grad-cam-plus-plus",
        title: "Grad-CAM++",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1710.11063",
        build: |settings| class_activation(GradCamPlusPlus::default(), settings),
    },
    Method {
        name: "xgrad-cam",
        title: "XGrad-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/2008.02312",
        build: |settings| class_activation(XGradCam::default(), settings),
    },
    Method {
        name: "hires-cam",
        title: "HiResCAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/2011.08891",
        build: |settings| class_activation(HiResCam::default(), settings),
    },
    Method {
        name: "layer-cam",
        title: "LayerCAM",
        family: Family::ClassActivation,
        paper: "https://doi.org/10.1109/TIP.2021.3089943",
        build: |settings| class_activation(LayerCam::default(), settings),
    },
    Method {
        name: "grad-cam-element-wise",
        title: "Element-wise Grad-CAM",
        family: Family::ClassActivation,
        paper: "https://github.com/jacobgil/pytorch-grad-cam",
        build: |settings| class_activation(ElementWiseGradCam::default(), settings),
    },
    Method {
        name: "eigen-cam",
        title: "Eigen-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/2008.00299",
        build: |settings| class_activation(EigenCam::default(), settings),
    },
    Method {
        name: "eigen-grad-cam",
        title: "EigenGrad-CAM",
        family: Family::ClassActivation,
        paper: "https://github.com/jacobgil/pytorch-grad-cam",
        build: |settings| class_activation(EigenGradCam::default(), settings),
    },
    Method {
        name: "score-cam",
        title: "Score-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1910.01279",
        build: |settings| class_activation(ScoreCam::default(), settings),
    },
    Method {
        name: "ablation-cam",
        title: "Ablation-CAM",
        family: Family::ClassActivation,
        paper: "https://doi.org/10.1109/WACV45572.2020.9093360",
        build: |settings| class_activation(AblationCam::default(), settings),
    },
    Method {
        name: "guided-grad-cam",
        title: "Guided Grad-CAM",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1610.02391",
        build: |settings| {
            Ok(Box::new(settings.layers.iter().fold(GuidedGradCam::default(), GuidedGradCam::and)))
        },
    },
    Method {
        name: "full-grad",
        title: "FullGrad",
        family: Family::ClassActivation,
        paper: "https://arxiv.org/abs/1905.00780",
        build: |_| Ok(Box::new(FullGrad::default())),
    },
    Method {
        name: "layer-gradient-x-activation",
        title: "Layer Gradient x Activation",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1711.06104",
        build: |settings| {
            let method = LayerGradientXActivation::default();
            Ok(Box::new(set(method, &settings.layer()?, |_, layer| LayerGradientXActivation::at(layer))))
        },
    },
    Method {
        name: "layer-integrated-gradients",
        title: "Layer Integrated Gradients",
        family: Family::Layer,
        paper: "https://arxiv.org/abs/1703.01365",
        build: |settings| {
            let method = LayerIntegratedGradients::default();
            let method = set(method, &settings.layer()?, |_, layer| LayerIntegratedGradients::at(layer));
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
            let method = set(method, &settings.layer()?, |_, layer| LayerConductance::at(layer));
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
            let method = set(method, &settings.layer()?, |_, layer| InternalInfluence::at(layer));
            Ok(Box::new(set(method, &settings.steps, InternalInfluence::steps)))
        },
    },
    Method {
        name: "neuron-saliency",
        title: "Neuron Gradient",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1312.6034",
        build: |settings| Ok(Box::new(set(Neuron::default(), &settings.layer()?, Neuron::at))),
    },
    Method {
        name: "neuron-integrated-gradients",
        title: "Neuron Integrated Gradients",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1703.01365",
        build: |settings| {
            let inner = set(IntegratedGradients::default(), &settings.steps, IntegratedGradients::steps);
            Ok(Box::new(set(Neuron::over(inner), &settings.layer()?, Neuron::at)))
        },
    },
    Method {
        name: "neuron-conductance",
        title: "Neuron Conductance",
        family: Family::Neuron,
        paper: "https://arxiv.org/abs/1805.12233",
        build: |settings| {
            let method = set(NeuronConductance::default(), &settings.layer()?, NeuronConductance::at);
            Ok(Box::new(set(method, &settings.steps, NeuronConductance::steps)))
        },
    },
    Method {
        name: "raw-attention",
        title: "Raw Attention",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/1706.03762",
        build: |settings| raw_attention(RawAttention::default(), settings),
    },
    Method {
        name: "gradient-attention",
        title: "Gradient-weighted Attention",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2103.15679",
        build: |settings| raw_attention(RawAttention::default().weight(HeadWeight::Gradient), settings),
    },
    Method {
        name: "attention-grad-cam",
        title: "Attention Grad-CAM",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2012.09838",
        build: |settings| {
            let method = AttentionGradCam::default();
            Ok(Box::new(set(method, &settings.layer()?, |_, layer| AttentionGradCam::at(layer))))
        },
    },
    Method {
        name: "attention-rollout",
        title: "Attention Rollout",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2005.00928",
        build: |_| Ok(Box::new(AttentionRollout::default())),
    },
    Method {
        name: "gradient-attention-rollout",
        title: "Gradient Attention Rollout",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2012.09838",
        build: |_| Ok(Box::new(AttentionRollout::default().weight(HeadWeight::Gradient))),
    },
    Method {
        name: "attention-flow",
        title: "Attention Flow",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2005.00928",
        build: |_| Ok(Box::new(AttentionFlow::default())),
    },
    Method {
        name: "transformer-relevance",
        title: "Transformer Relevance",
        family: Family::Attention,
        paper: "https://arxiv.org/abs/2103.15679",
        build: |_| Ok(Box::new(TransformerRelevance)),
    },
];

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
