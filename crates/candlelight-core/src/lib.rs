//! Explain the predictions of models written on candle: layers with right gradients, taps and methods.
//!
//! Tensors in, attribution out: no file, no print, no clock, no global random numbers.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use candlelight_core::{Explain, IntegratedGradients};
//!
//! let model = |x: &Tensor| x.sqr()?.sum(1); // any closure or module
//! let x = Tensor::new(&[[1.0f64, 2.0]], &Device::Cpu)?;
//! let map = IntegratedGradients::default().explain(&model, &x)?;
//! assert!((map.values().to_vec2::<f64>()?[0][1] - 4.0).abs() < 1e-12);
//! assert!(map.convergence().worst() < 1e-12);
//! # Ok::<(), candlelight_core::Error>(())
//! ```
#![forbid(unsafe_code)]

mod attribution;
mod baseline;
mod behind;
mod blur;
mod bounds;
mod check;
mod convergence;
mod error;
mod evaluation;
mod explain;
mod features;
mod methods;
mod model;
pub mod nn;
pub mod peers;
mod perturb;
mod placement;
mod query;
mod random;
mod references;
mod remembered;
mod resize;
mod rules;
mod sampled;
mod schedule;
mod scope;
mod segmentation;
mod target;
mod vjp;

pub use attribution::{Attribution, Reading};
pub use baseline::Baseline;
pub use bounds::Bounds;
pub use check::{GradientCheck, check_gradients};
pub use convergence::{Completeness, Convergence, Cost, Fit, Reuse, Sampling};
pub use error::{Error, Result};
pub use evaluation::{Answer, Evaluation};
pub use explain::Explain;
pub use features::{Features, Grouping};
pub use methods::{
    AblationCam, AttentionFlow, AttentionGradCam, AttentionPass, AttentionRollout, Attentions, AttnLrp,
    Augmented, BlurIntegratedGradients, Cam, ClassActivation, Coverage, Deconvnet, DeepLift, DeepLiftShap,
    DeepTaylor, Draw, EigenCam, EigenGradCam, ElementWiseGradCam, ExcitationBackprop, ExpectedGradients,
    Family, FeatureAblation, FeaturePermutation, FullGrad, GradCam, GradCamPlusPlus, GuidedBackprop,
    GuidedGradCam, GuidedIntegratedGradients, HeadFusion, HeadWeight, HiResCam, HsicIndices, Idgi,
    InputXGradient, IntegratedGradients, InternalInfluence, Joining, KernelShap, LayerCam, LayerConductance,
    LayerGradientXActivation, LayerIntegratedGradients, Lime, Lrp, METHODS, Method, Neuron,
    NeuronConductance, Noise, Occlusion, PartitionShap, Path, Proximity, Psi, Quadrature, RawAttention,
    ReadsAttention, Rise, Saliency, ScoreCam, Settings, ShapleyValues, Shrinkage, SmoothGrad, SobolIndices,
    Statistic, StepGradient, TransformerRelevance, Unit, XGradCam, Xrai, method,
};
pub use model::Model;
pub use placement::{Axis, Placement};
pub use query::{Budget, OnProgress, Output, Progress, Query};
pub use references::References;
pub use remembered::Remembered;
pub use resize::{Upsampling, bilinear, place};
pub use rules::{Bias, Composite, Ledger, LedgerLine, PRESETS, PlannedLayer, Preset, Rule, STABILISER};
pub use sampled::VarianceShare;
pub use schedule::Scale;
pub use scope::{Kind, LayerInfo, Selector, Tape, TokenGrid, Watched, layers, layers_like, tap, token_grid};
pub use segmentation::Segmentation;
pub use target::{Score, Target};
pub use vjp::{Gradients, vjp};
