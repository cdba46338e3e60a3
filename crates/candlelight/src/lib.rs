//! Explain the predictions of models written on Hugging Face candle, and measure whether the explanations can be
//! trusted. Pure Rust; CPU, CUDA and Metal through candle's own features.
//!
//! # A picture in five lines
//! ```
//! # #[cfg(all(feature = "image", feature = "models"))] {
//! use candlelight::prelude::*;
//!
//! let model = candlelight::models::bundled::resnet()?;
//! let scene = candlelight::models::scenes::Scene::single(7).tensor(&Device::Cpu)?;
//! let image = scene.affine(2.0, -1.0)?; // as the model was trained: pixels from -1 to 1
//! let map = IntegratedGradients::default().explain(&model.model, &image)?; // the top class
//! println!("{}, residual {:.1e}", model.labels.name(map.classes()[0]), map.convergence().worst());
//! let picture = Heatmap::of(&map).over(&scene).to_image()?; // or `.save("explained.png")`
//! # assert_eq!(picture.dimensions(), (64, 64));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Any closure is a model
//! ```
//! use candlelight::prelude::*;
//!
//! let model = |x: &Tensor| x.sqr()?.sum(1);
//! let x = Tensor::new(&[[1.0f64, 2.0]], &Device::Cpu)?;
//! let map = IntegratedGradients::default().explain(&model, &x)?;
//! assert!((map.values().to_vec2::<f64>()?[0][1] - 4.0).abs() < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # An own model
//! Write `use candlelight::nn` for `use candle_nn`: the layers have the same names and signatures, the right
//! gradients, and report to whoever watches. [`check_gradients`] says whether something was missed.
//!
//! # Where things are
//! | what | where | feature |
//! |---|---|---|
//! | methods, queries, targets, taps, layers | here and in [`nn`] | |
//! | decoding, preprocessing, pictures | `image` | `image` |
//! | numbers against a ground truth | `metrics` | `metrics` |
//! | ResNet, ViT, their loading, bundled models | `models` | `models` |
//! | models by hub id | `models::hub` | `hub` |
//!
//! `image`, `metrics` and `models` are on by default; without default features only the explainers are built.
//! `accelerate`, `cuda`, `cudnn`, `metal` and `mkl` are candle's own.
#![forbid(unsafe_code)]

pub use candle_core;
pub use candlelight_core::*;

#[cfg(feature = "image")]
pub use candlelight_image as image;
#[cfg(feature = "metrics")]
pub use candlelight_metrics as metrics;
#[cfg(feature = "models")]
pub use candlelight_models as models;

/// What most programs need, in one `use`.
pub mod prelude {
    pub use candle_core::{DType, Device, Module, Tensor};
    pub use candlelight_core::{
        AblationCam, AttentionFlow, AttentionGradCam, AttentionPass, AttentionRollout, AttnLrp, Attribution,
        Augmented, Baseline, BlurIntegratedGradients, Bounds, Budget, Cam, Composite, Convergence, Cost,
        Coverage, Deconvnet, DeepLift, DeepLiftShap, DeepTaylor, Draw, EigenCam, EigenGradCam,
        ElementWiseGradCam, ExcitationBackprop, ExpectedGradients, Explain, FeatureAblation,
        FeaturePermutation, Features, FullGrad, GradCam, GradCamPlusPlus, GradientCheck, GuidedBackprop,
        GuidedGradCam, GuidedIntegratedGradients, HeadFusion, HeadWeight, HiResCam, HsicIndices, Idgi,
        InputXGradient, IntegratedGradients, InternalInfluence, Joining, KernelShap, Kind, LayerCam,
        LayerConductance, LayerGradientXActivation, LayerInfo, LayerIntegratedGradients, Lime, Lrp, METHODS,
        Method, Neuron, NeuronConductance, Noise, Occlusion, PartitionShap, Progress, Proximity, Psi,
        Quadrature, Query, RawAttention, References, Remembered, Rise, Rule, Saliency, ScoreCam,
        Segmentation, Selector, Settings, ShapleyValues, Shrinkage, SmoothGrad, SobolIndices, Statistic,
        Tape, Target, TransformerRelevance, Upsampling, XGradCam, Xrai, check_gradients, layers, method, nn,
        tap,
    };

    #[cfg(feature = "image")]
    pub use candlelight_image::{ColorMap, Heatmap, Mask, Normalize, Panel, Preprocess, SideBySide};
    #[cfg(feature = "metrics")]
    pub use candlelight_metrics::{METRICS, Metric, PointingGame, RelevanceMassAccuracy};
    #[cfg(feature = "models")]
    pub use candlelight_models::{Labels, LoadedModel, Loader, load};
}
