//! What a caller may set on a method by its name, and the methods that have much of it.

use super::{
    ClassActivation, DeepLift, DeepLiftShap, ExpectedGradients, FeatureAblation, HsicIndices,
    IntegratedGradients, KernelShap, Lime, Occlusion, PartitionShap, RawAttention, Rise, ShapleyValues,
    SmoothGrad, SobolIndices, Weighting,
};
use crate::{Baseline, Composite, Error, Explain, Features, References, Result};
use candle_core::Tensor;

/// What a caller may set on any method; a method ignores what it does not have.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Layers: names or patterns of class activation maps, the one name of methods of a layer, a neuron, or one layer's
    /// attention; found where none is said.
    pub layers: Vec<String>,
    /// The head of one layer's attention, counted from 0.
    pub head: Option<usize>,
    /// Samples of the training distribution, `[M, …]`: what Expected Gradients compares with.
    pub references: Option<Tensor>,
    /// What every method compares with that compares at all.
    pub baseline: Option<References>,
    /// What methods of perturbation take away together.
    pub features: Option<Features>,
    /// The window of an occlusion.
    pub window: Option<Vec<usize>>,
    /// How far the window moves.
    pub stride: Option<Vec<usize>>,
    /// The rules of Layer-wise Relevance Propagation.
    pub composite: Option<Composite>,
    /// Steps of a path, samples of a sampler; at most so many together with `until`.
    pub steps: Option<usize>,
    /// The residual of a path or the standard error of a sampler at which it stops by itself.
    pub until: Option<f64>,
}

impl Settings {
    /// What a method over a distribution compares with.
    fn distribution(&self) -> Option<References> {
        self.baseline.clone().or_else(|| self.references.clone().map(References::Samples))
    }

    /// The one baseline of a method that has no use for a distribution.
    fn one_baseline(&self) -> Result<Option<Baseline>> {
        match &self.baseline {
            None => Ok(None),
            Some(References::Fixed(baseline)) => Ok(Some(baseline.clone())),
            Some(several) => Err(Error::Setting {
                setting: "baseline of this method",
                value: format!("{several:?}"),
                expected: "one baseline, and no distribution of them",
            }),
        }
    }

    /// The layer of a method that has one.
    pub(super) fn layer(&self) -> Result<Option<String>> {
        match &self.layers[..] {
            [] => Ok(None),
            [layer] if !layer.contains('*') => Ok(Some(layer.clone())),
            several => Err(Error::Setting {
                setting: "layer of this method",
                value: several.join(", "),
                expected: "the name of one layer",
            }),
        }
    }
}

/// `method` with `value`, if there is one.
pub(super) fn set<M, V: Clone>(method: M, value: &Option<V>, with: impl FnOnce(M, V) -> M) -> M {
    match value {
        Some(value) => with(method, value.clone()),
        None => method,
    }
}

/// The map at the layer that is said, or where it is found.
pub(super) fn class_activation<W: Weighting + 'static>(
    method: ClassActivation<W>,
    settings: &Settings,
) -> Result<Box<dyn Explain>> {
    Ok(Box::new(settings.layers.iter().fold(method, ClassActivation::and)))
}

pub(super) fn raw_attention(method: RawAttention, settings: &Settings) -> Result<Box<dyn Explain>> {
    let method = set(method, &settings.layer()?, RawAttention::at);
    Ok(Box::new(set(method, &settings.head, RawAttention::head)))
}

pub(super) fn integrated_gradients(settings: &Settings) -> IntegratedGradients {
    let method = set(IntegratedGradients::default(), &settings.until, IntegratedGradients::until);
    let method = set(method, &settings.steps, IntegratedGradients::steps);
    set(method, &settings.baseline, IntegratedGradients::baseline)
}

pub(super) fn expected_gradients(settings: &Settings) -> ExpectedGradients {
    let method = set(ExpectedGradients::default(), &settings.until, ExpectedGradients::until);
    let method = set(method, &settings.steps, ExpectedGradients::samples);
    set(method, &settings.distribution(), ExpectedGradients::references)
}

/// DeepLIFT from a baseline; over a distribution of them it is DeepSHAP.
pub(super) fn deep_lift(settings: &Settings) -> Result<Box<dyn Explain>> {
    Ok(match &settings.baseline {
        None => Box::new(DeepLift::default()),
        Some(References::Fixed(baseline)) => Box::new(DeepLift::default().baseline(baseline.clone())),
        Some(references) => Box::new(DeepLiftShap::default().references(references.clone())),
    })
}

pub(super) fn deep_lift_shap(settings: &Settings) -> DeepLiftShap {
    let method = set(DeepLiftShap::default(), &settings.until, DeepLiftShap::until);
    let method = set(method, &settings.steps, DeepLiftShap::samples);
    set(method, &settings.distribution(), DeepLiftShap::references)
}

pub(super) fn smooth_grad(settings: &Settings) -> SmoothGrad {
    let method = set(SmoothGrad::default(), &settings.until, SmoothGrad::until);
    set(method, &settings.steps, SmoothGrad::samples)
}

pub(super) fn feature_ablation(settings: &Settings) -> Result<FeatureAblation> {
    let method =
        set(FeatureAblation::default(), &settings.features, |_, features| FeatureAblation::of(features));
    Ok(set(method, &settings.one_baseline()?, FeatureAblation::baseline))
}

pub(super) fn rise(settings: &Settings) -> Result<Rise> {
    let method = set(Rise::default(), &settings.until, Rise::until);
    let method = set(method, &settings.steps, Rise::samples);
    Ok(set(method, &settings.one_baseline()?, Rise::baseline))
}

/// A function that makes a sampler over features as the settings say.
macro_rules! over_features {
    ($name:ident, $method:ident) => {
        pub(super) fn $name(settings: &Settings) -> Result<$method> {
            let method = set($method::default(), &settings.until, $method::until);
            let method = set(method, &settings.steps, $method::samples);
            let method = set(method, &settings.features, $method::features);
            Ok(set(method, &settings.one_baseline()?, $method::baseline))
        }
    };
}
over_features!(lime, Lime);
over_features!(kernel_shap, KernelShap);
over_features!(shapley_values, ShapleyValues);
over_features!(partition_shap, PartitionShap);
over_features!(sobol_indices, SobolIndices);
over_features!(hsic_indices, HsicIndices);

pub(super) fn occlusion(settings: &Settings) -> Result<Occlusion> {
    let method = set(Occlusion::default(), &settings.window, Occlusion::window);
    let method = set(method, &settings.stride, Occlusion::stride);
    Ok(set(method, &settings.one_baseline()?, Occlusion::baseline))
}
