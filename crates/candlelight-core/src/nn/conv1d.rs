//! One-dimensional convolution: the two-dimensional one on maps of height 1.

use super::conv_maps::{Direct, Lines, with_channels};
use super::convolution::{Convolution, along_a_line, builders};
use super::ruled;
use super::{Conv1dConfig, Module, VarBuilder};
use crate::scope::Kind;
use candle_core::{Result, Tensor};

/// A one-dimensional convolution; the same configuration as candle_nn's, groups and dilation included.
///
/// # Shapes
/// Input `[N, in, L]`, output `[N, out, L']`.
#[derive(Clone, Debug)]
pub struct Conv1d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: Conv1dConfig,
    name: String,
}

impl Conv1d {
    /// A convolution with these parameters: `weight` `[out, in / groups, k]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: Conv1dConfig) -> Self {
        Self { weight, bias, config, name: String::new() }
    }

    /// The same convolution, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[out, in / groups, k]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, dilation and groups.
    pub fn config(&self) -> &Conv1dConfig {
        &self.config
    }
}

impl Module for Conv1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.dims3()?;
        let Conv1dConfig { padding, stride, dilation, groups, .. } = self.config;
        let window = along_a_line(self.weight.dim(2)?, stride, padding, dilation);
        let (maps, weight) = (x.unsqueeze(2)?, self.weight.unsqueeze(2)?);
        let conv = Convolution::fit(maps.dims4()?, &weight, window, groups, &self.name)?;
        let affine = || with_channels(Lines(Direct(conv)), &self.weight, &self.bias, 3);
        let plain = || conv.forward(&maps, &weight, &self.bias)?.squeeze(2);
        ruled::affine((&self.name, Kind::Conv, conv.macs()), x, affine, plain)
    }
}

builders! {
    conv1d, Conv1d, Conv1dConfig, "A convolution with bias";
    conv1d_no_bias, Conv1d, Conv1dConfig, "A convolution without bias";
}
