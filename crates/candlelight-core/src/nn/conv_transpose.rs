//! Transposed convolutions: the input gradient of a convolution as a forward pass.

use super::conv_maps::{Lines, Transposed, with_channels};
use super::convolution::{Convolution, along_a_line, builders, on_a_plane};
use super::ruled;
use super::{ConvTranspose1dConfig, ConvTranspose2dConfig, Module, VarBuilder};
use crate::scope::Kind;
use candle_core::{Result, Tensor};
use candlelight_kernels::Window;

/// A two-dimensional transposed convolution; the same configuration as candle_nn's.
///
/// # Shapes
/// Input `[N, in, H, W]`, output `[N, out, H', W']` with
/// H' = (H − 1) · stride − 2 · padding + dilation · (kernel − 1) + output_padding + 1.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: ConvTranspose2dConfig,
    name: String,
}

impl ConvTranspose2d {
    /// A layer with these parameters: `weight` `[in, out, kh, kw]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: ConvTranspose2dConfig) -> Self {
        Self { weight, bias, config, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[in, out, kh, kw]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, output padding and dilation.
    pub fn config(&self) -> &ConvTranspose2dConfig {
        &self.config
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, kh, kw) = self.weight.dims4()?;
        let ConvTranspose2dConfig { padding, output_padding, stride, dilation } = self.config;
        let window = on_a_plane((kh, kw), stride, padding, dilation);
        let grown = (output_padding, output_padding);
        let conv = behind(x, &self.weight, window, grown, 1, &self.name)?;
        let affine = || with_channels(Transposed(conv), &self.weight, &self.bias, 4);
        let plain = || conv.transposed(x, &self.weight, &self.bias);
        ruled::affine((&self.name, Kind::Conv, conv.macs()), x, affine, plain)
    }
}

/// A one-dimensional transposed convolution; the same configuration as candle_nn's, groups included.
///
/// # Shapes
/// Input `[N, in, L]`, output `[N, out, L']`, L' as for [`ConvTranspose2d`].
#[derive(Clone, Debug)]
pub struct ConvTranspose1d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: ConvTranspose1dConfig,
    name: String,
}

impl ConvTranspose1d {
    /// A layer with these parameters: `weight` `[in, out / groups, k]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: ConvTranspose1dConfig) -> Self {
        Self { weight, bias, config, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[in, out / groups, k]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, output padding, dilation and groups.
    pub fn config(&self) -> &ConvTranspose1dConfig {
        &self.config
    }
}

impl Module for ConvTranspose1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.dims3()?;
        let ConvTranspose1dConfig { padding, output_padding, stride, dilation, groups } = self.config;
        let window = along_a_line(self.weight.dim(2)?, stride, padding, dilation);
        let (maps, weight) = (x.unsqueeze(2)?, self.weight.unsqueeze(2)?);
        let conv = behind(&maps, &weight, window, (0, output_padding), groups, &self.name)?;
        let affine = || with_channels(Lines(Transposed(conv)), &self.weight, &self.bias, 3);
        let plain = || conv.transposed(&maps, &weight, &self.bias)?.squeeze(2);
        ruled::affine((&self.name, Kind::Conv, conv.macs()), x, affine, plain)
    }
}

/// The convolution whose input gradient is the transposed convolution of `x`: it leads from the output's size back to
/// that of `x`.
fn behind(
    x: &Tensor,
    weight: &Tensor,
    window: Window,
    output_padding: (usize, usize),
    groups: usize,
    name: &str,
) -> Result<Convolution> {
    let (n, channels, h, w) = x.dims4()?;
    if channels != weight.dim(0)? {
        candle_core::bail!(
            "transposed convolution `{name}` takes {} channels, the input has {channels}",
            weight.dim(0)?
        )
    }
    if output_padding.0.max(output_padding.1) >= window.stride.1 {
        candle_core::bail!(
            "transposed convolution `{name}`: the output padding must be smaller than the stride of {}",
            window.stride.1
        )
    }
    let (Some(height), Some(width)) = (
        grown(h, window.kernel.0, window.stride.0, window.padding.0, window.dilation.0, output_padding.0),
        grown(w, window.kernel.1, window.stride.1, window.padding.1, window.dilation.1, output_padding.1),
    ) else {
        candle_core::bail!("transposed convolution `{name}`: nothing is left of an input of {h}x{w}")
    };
    Convolution::fit((n, weight.dim(1)? * groups, height, width), weight, window, groups, name)
}

/// The length to which a line of `size` elements grows; `None` where the padding eats all of it.
fn grown(
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    more: usize,
) -> Option<usize> {
    let full = size.checked_sub(1)? * stride + dilation * kernel.checked_sub(1)? + more + 1;
    full.checked_sub(2 * padding).filter(|&length| length > 0)
}

builders! {
    conv_transpose1d, ConvTranspose1d, ConvTranspose1dConfig, "A transposed convolution with bias";
    conv_transpose1d_no_bias, ConvTranspose1d, ConvTranspose1dConfig, "A transposed convolution without bias";
    conv_transpose2d, ConvTranspose2d, ConvTranspose2dConfig, "A transposed convolution with bias";
    conv_transpose2d_no_bias, ConvTranspose2d, ConvTranspose2dConfig, "A transposed convolution without bias";
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_layer() -> Result<()> {
        let zeros = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F64, &Device::Cpu);
        let layer = |padding, output_padding| {
            let config = ConvTranspose2dConfig { padding, output_padding, ..Default::default() };
            Ok::<_, candle_core::Error>(ConvTranspose2d::new(zeros((4, 2, 3, 3))?, None, config).at("up"))
        };
        for (layer, channels) in [(layer(0, 0)?, 3), (layer(9, 0)?, 4), (layer(0, 1)?, 4)] {
            let error = layer.forward(&zeros((1, channels, 5, 5))?).unwrap_err();
            assert!(error.to_string().contains("`up`"), "{error}");
        }
        Ok(())
    }
}
