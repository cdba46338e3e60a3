//! Layer normalisation, and the RMS normalisation that is its form without the mean.

pub use candle_nn::LayerNormConfig;

use super::linear::sum_rows;
use super::normalise::Rows;
use super::ruled::detached;
use super::{Module, VarBuilder, arguments};
use crate::rules::Form;
use crate::scope::{Asking, Kind, account, report, report_biased, rule_for};
use crate::vjp::{Gradients, vjp_of_fresh};
use candle_core::{Result, Tensor};

/// y = (x − mean) / √(variance + eps) · weight + bias over the last axis
/// ([Ba et al. 2016](https://arxiv.org/abs/1607.06450)); as [`rms_norm`](Self::rms_norm) without mean and bias.
///
/// # Shapes
/// Input and output `[…, features]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) rows: Rows,
    pub(super) eps: f64,
    pub(super) name: String,
}

impl LayerNorm {
    /// A layer with these parameters, both `[features]`.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias: Some(bias), rows: Rows::Standardized, eps, name: String::new() }
    }

    /// A layer without bias.
    pub fn new_no_bias(weight: Tensor, eps: f64) -> Self {
        Self { weight, bias: None, rows: Rows::Standardized, eps, name: String::new() }
    }

    /// y = x / √(mean(x²) + eps) · weight ([Zhang & Sennrich 2019](https://arxiv.org/abs/1910.07467)).
    pub fn rms_norm(weight: Tensor, eps: f64) -> Self {
        Self { weight, bias: None, rows: Rows::Scaled, eps, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[features]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[features]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// What is added to the variance.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// Whether the mean is taken away: not in an RMS norm.
    pub fn remove_mean(&self) -> bool {
        self.rows == Rows::Standardized
    }

    /// What `y` is beyond the derivative at `x` times `x`: nearly all of it, because a norm forgets how large its input
    /// is. The derivative of the rows is symmetric.
    fn beyond(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let x = x.detach();
        y.detach() - self.rows.gradient(&x, &x, self.eps)?.broadcast_mul(&self.weight.detach())?
    }

    fn pull_back(&self) -> impl Fn(&Tensor, &Tensor) -> Result<Gradients> + Send + Sync + 'static {
        let (weight, rows, eps) = (self.weight.detach(), self.rows, self.eps);
        let trained = self.weight.track_op() || self.bias.as_ref().is_some_and(Tensor::track_op);
        move |x, g| {
            let dx = rows.scaled_gradient(x, g, eps, Some(&weight))?;
            if !trained {
                return Ok(vec![Some(dx)]);
            }
            Ok(vec![Some(dx), Some(sum_rows(&(g * rows.of(x, eps)?)?)?), Some(sum_rows(g)?)])
        }
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let input = x.detach();
        let (weight, bias) = (self.weight.detach(), self.bias.as_ref().map(Tensor::detach));
        let y = self.rows.scaled(&input, self.eps, Some(&weight), bias.as_ref())?;
        if let Some(rule) = rule_for(Asking::new(&self.name, &Kind::LayerNorm, Form::Norm)) {
            let (rows, eps, frozen) = (self.rows, self.eps, input.clone());
            let back = rows.under(&rule);
            let back = move |g: &Tensor| back(rows, &frozen, &g.broadcast_mul(&weight)?, eps);
            let y = detached(x, y, self.bias.clone(), account(&self.name, Kind::LayerNorm, &rule), back)?;
            return report(&self.name, Kind::LayerNorm, 0, y);
        }
        let pull_back = self.pull_back();
        let pullback = move |_: &Tensor, g: &Tensor| pull_back(&input, g);
        let y = vjp_of_fresh(&arguments(x, &self.weight, &self.bias), y, pullback)?;
        report_biased(&self.name, Kind::LayerNorm, 0, y, |y| self.beyond(x, y).map(Some))
    }
}

/// A [`LayerNorm`] without mean and bias.
#[derive(Clone, Debug)]
pub struct RmsNorm(LayerNorm);

impl RmsNorm {
    /// A layer with this weight, `[features]`.
    pub fn new(weight: Tensor, eps: f64) -> Self {
        Self(LayerNorm::rms_norm(weight, eps))
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self(self.0.at(name))
    }

    /// The layer norm that it is.
    pub fn into_inner(self) -> LayerNorm {
        self.0
    }

    /// The weight, `[features]`.
    pub fn weight(&self) -> &Tensor {
        self.0.weight()
    }

    /// What is added to the mean square.
    pub fn eps(&self) -> f64 {
        self.0.eps()
    }

    /// The same as [`forward`](Module::forward); candle_nn's name for the variant that has a gradient.
    ///
    /// # Errors
    /// If the features differ from the weight's.
    pub fn forward_diff(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

/// A layer with its parameters from `vb`: `weight` and, where the configuration is affine, `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn layer_norm<C: Into<LayerNormConfig>>(size: usize, config: C, vb: VarBuilder) -> Result<LayerNorm> {
    let name = vb.prefix();
    let norm = candle_nn::layer_norm(size, config, vb)?;
    let rows = if norm.remove_mean() { Rows::Standardized } else { Rows::Scaled };
    Ok(LayerNorm { weight: norm.weight().clone(), bias: norm.bias().cloned(), rows, eps: norm.eps(), name })
}

/// A layer without bias, its `weight` from `vb`.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn layer_norm_no_bias(size: usize, eps: f64, vb: VarBuilder) -> Result<LayerNorm> {
    layer_norm(size, LayerNormConfig { eps, affine: false, ..Default::default() }, vb)
}

/// An RMS norm, its `weight` from `vb`.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn rms_norm(size: usize, eps: f64, vb: VarBuilder) -> Result<RmsNorm> {
    Ok(RmsNorm(layer_norm(size, LayerNormConfig { eps, remove_mean: false, affine: false }, vb)?))
}
