//! Two-dimensional convolution.

use super::conv_maps::{Direct, with_channels};
use super::convolution::{Convolution, builders, on_a_plane};
use super::ruled;
use super::{BatchNorm, Conv2dConfig, Module, VarBuilder};
use crate::scope::{Kind, slides};
use candle_core::{Result, Tensor};
use candlelight_kernels::Window;

/// A two-dimensional convolution; the same configuration as candle_nn's, groups and dilation included.
///
/// # Shapes
/// Input `[N, in, H, W]`, output `[N, out, H', W']`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) config: Conv2dConfig,
    pub(super) name: String,
}

impl Conv2d {
    /// A convolution with these parameters: `weight` `[out, in / groups, kh, kw]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: Conv2dConfig) -> Self {
        Self { weight, bias, config, name: String::new() }
    }

    /// The same convolution, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[out, in / groups, kh, kw]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, dilation and groups.
    pub fn config(&self) -> &Conv2dConfig {
        &self.config
    }

    /// The convolution and the batch norm that follows it in evaluation, as one convolution.
    ///
    /// # Errors
    /// If the batch norm has no weight and bias, or another number of channels.
    pub fn absorb_bn(&self, norm: &BatchNorm) -> Result<Self> {
        let Some((weight, bias)) = norm.weight_and_bias() else {
            candle_core::bail!(
                "convolution `{}` absorbs only a batch norm that has weight and bias",
                self.name
            )
        };
        let scale = (weight / (norm.running_var() + norm.eps())?.sqrt()?)?;
        let mean = match &self.bias {
            Some(bias) => (norm.running_mean() - bias)?,
            None => norm.running_mean().clone(),
        };
        let bias = (bias - (mean * &scale)?)?;
        let weight = self.weight.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        Ok(Self { weight, bias: Some(bias), ..self.clone() })
    }

    pub(super) fn window(&self) -> Result<Window> {
        let (_, _, kh, kw) = self.weight.dims4()?;
        let Conv2dConfig { padding, stride, dilation, .. } = self.config;
        Ok(on_a_plane((kh, kw), stride, padding, dilation))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (window, groups) = (self.window()?, self.config.groups);
        let conv = Convolution::fit(x.dims4()?, &self.weight, window, groups, &self.name)?;
        let (window, from, to) = conv.slide();
        slides(window, from, to);
        let affine = || with_channels(Direct(conv), &self.weight, &self.bias, 4);
        let plain = || conv.forward(x, &self.weight, &self.bias);
        ruled::affine((&self.name, Kind::Conv, conv.macs()), x, affine, plain)
    }
}

builders! {
    conv2d, Conv2d, Conv2dConfig, "A convolution with bias";
    conv2d_no_bias, Conv2d, Conv2dConfig, "A convolution without bias";
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn an_input_that_does_not_fit_is_an_error_that_names_the_layer() -> Result<()> {
        let zeros = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F64, &Device::Cpu);
        let conv = Conv2d::new(zeros((8, 4, 3, 3))?, None, Conv2dConfig::default()).at("layer1.conv1");
        for shape in [(1, 3, 8, 8), (1, 4, 2, 8)] {
            assert!(conv.forward(&zeros(shape)?).unwrap_err().to_string().contains("layer1.conv1"));
        }
        Ok(())
    }
}
