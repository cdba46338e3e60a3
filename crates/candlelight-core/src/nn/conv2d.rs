//! Two-dimensional convolution.

use super::elements::{Number, has_kernels, lend, with_element};
use super::{Conv2dConfig, Module, VarBuilder, arguments, tracked};
use crate::scope::{Kind, report, slides};
use crate::vjp::{Gradients, vjp_of_fresh};
use candle_core::{D, Result, Tensor};
use candlelight_kernels::{self as kernels, Window};

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

    fn geometry(&self, x: &Tensor) -> Result<Geometry> {
        let (batch, in_channels, h, w) = x.dims4()?;
        let (out_channels, per_group, kh, kw) = self.weight.dims4()?;
        let Conv2dConfig { padding, stride, dilation, groups, .. } = self.config;
        if in_channels != per_group * groups {
            candle_core::bail!(
                "convolution `{}` takes {} channels, the input has {in_channels}",
                self.name,
                per_group * groups
            )
        }
        let window = Window {
            kernel: (kh, kw),
            stride: (stride, stride),
            padding: (padding, padding),
            dilation: (dilation, dilation),
        };
        let Some(places) = window.places((h, w)) else {
            candle_core::bail!(
                "convolution `{}` with a {kh}x{kw} kernel does not fit an input of {h}x{w}",
                self.name
            )
        };
        let conv = kernels::Conv2d { batch, in_channels, out_channels, groups, input: (h, w), window };
        Ok(Geometry { conv, places, per_group, config: self.config })
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x)?;
        slides(&geometry.conv.window, geometry.conv.input, geometry.places);
        let (input, weight) = (x.detach(), self.weight.detach());
        let bias = self.bias.as_ref().map(Tensor::detach);
        let y = geometry.forward(&input, &weight, bias.as_ref())?;
        let tracked = tracked(x, &self.weight, &self.bias);
        let pullback = move |_: &Tensor, g: &Tensor| geometry.pull_back(g, &input, &weight, tracked);
        let y = vjp_of_fresh(&arguments(x, &self.weight, &self.bias), y, pullback)?;
        report(&self.name, Kind::Conv, geometry.macs(), y)
    }
}

#[derive(Clone, Copy)]
struct Geometry {
    conv: kernels::Conv2d,
    places: (usize, usize),
    per_group: usize,
    config: Conv2dConfig,
}

impl Geometry {
    fn macs(&self) -> u64 {
        let taps = self.per_group * self.conv.window.kernel.0 * self.conv.window.kernel.1;
        (self.conv.batch * self.conv.out_channels * self.places.0 * self.places.1 * taps) as u64
    }

    fn forward(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if has_kernels(x) {
            return with_element!(x, T => self.forward_by_kernel::<T>(x, weight, bias));
        }
        let Conv2dConfig { padding, stride, dilation, groups, .. } = self.config;
        let y = x.conv2d(weight, padding, stride, dilation, groups)?;
        match bias {
            Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?),
            None => Ok(y),
        }
    }

    fn forward_by_kernel<T: Number>(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let bias = bias.map(|bias| lend(bias, |b: &[T]| b.to_vec())).transpose()?;
        let run = |x: &[T], w: &[T]| kernels::conv2d(&self.conv, x, w, bias.as_deref());
        let y = lend(x, |x| lend(weight, |w| run(x, w)))??;
        Tensor::from_vec(
            y,
            (self.conv.batch, self.conv.out_channels, self.places.0, self.places.1),
            x.device(),
        )
    }

    /// Gradients of input, weight and bias, each only where it is tracked.
    fn pull_back(&self, g: &Tensor, x: &Tensor, weight: &Tensor, tracked: [bool; 3]) -> Result<Gradients> {
        let input = tracked[0].then(|| self.input_gradient(g, weight)).transpose()?;
        let weight = tracked[1].then(|| self.weight_gradient(g, x)).transpose()?;
        let bias = tracked[2].then(|| g.sum((0, 2, 3))).transpose()?;
        Ok(vec![input, weight, bias])
    }

    fn input_gradient(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        if !has_kernels(g) {
            return self.input_gradient_by_candle(g, weight);
        }
        let shape = (self.conv.batch, self.conv.in_channels, self.conv.input.0, self.conv.input.1);
        with_element!(g, T => {
            let run = |g: &[T], w: &[T]| kernels::conv2d_input_gradient(&self.conv, g, w);
            Tensor::from_vec(lend(g, |g| lend(weight, |w| run(g, w)))??, shape, g.device())
        })
    }

    fn weight_gradient(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        if !has_kernels(g) {
            return self.weight_gradient_by_candle(g, x);
        }
        let (kh, kw) = self.conv.window.kernel;
        let shape = (self.conv.out_channels, self.per_group, kh, kw);
        with_element!(g, T => {
            let run = |g: &[T], x: &[T]| kernels::conv2d_weight_gradient(&self.conv, g, x);
            Tensor::from_vec(lend(g, |g| lend(x, |x| run(g, x)))??, shape, g.device())
        })
    }

    /// The transposed convolution, group by group; what the stride left over on the far side is padded with zeros.
    fn input_gradient_by_candle(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { padding, stride, dilation, groups, .. } = self.config;
        let (h, w) = self.conv.input;
        let per_group = |(g, weight): (&Tensor, &Tensor)| {
            let full = g.contiguous()?.conv_transpose2d(&weight.contiguous()?, 0, 0, stride, dilation)?;
            let grow = |size: usize, have: usize| (size + 2 * padding).saturating_sub(have);
            let full = full.pad_with_zeros(D::Minus2, 0, grow(h, full.dim(2)?))?;
            let full = full.pad_with_zeros(D::Minus1, 0, grow(w, full.dim(3)?))?;
            full.narrow(D::Minus2, padding, h)?.narrow(D::Minus1, padding, w)
        };
        let gradients = g.chunk(groups, 1)?;
        let weights = weight.chunk(groups, 0)?;
        let parts = gradients.iter().zip(&weights).map(per_group).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 1)
    }

    /// The convolution of input and gradient with batch and channels exchanged, group by group.
    fn weight_gradient_by_candle(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { padding, stride, dilation, groups, .. } = self.config;
        let (kh, kw) = self.conv.window.kernel;
        let per_group = |(g, x): (&Tensor, &Tensor)| {
            let (g, x) = (g.transpose(0, 1)?.contiguous()?, x.transpose(0, 1)?.contiguous()?);
            let w = x.conv2d(&g, padding, dilation, stride, 1)?.transpose(0, 1)?;
            w.narrow(D::Minus2, 0, kh)?.narrow(D::Minus1, 0, kw)
        };
        let (gradients, inputs) = (g.chunk(groups, 1)?, x.chunk(groups, 1)?);
        let parts = gradients.iter().zip(&inputs).map(per_group).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }
}

/// A convolution with bias, its parameters from `vb`: `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    config: Conv2dConfig,
    vb: VarBuilder,
) -> Result<Conv2d> {
    let name = vb.prefix();
    let conv = candle_nn::conv2d(in_channels, out_channels, kernel_size, config, vb)?;
    Ok(Conv2d::new(conv.weight().clone(), conv.bias().cloned(), config).at(name))
}

/// A convolution without bias, its `weight` from `vb`.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn conv2d_no_bias(
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    config: Conv2dConfig,
    vb: VarBuilder,
) -> Result<Conv2d> {
    let name = vb.prefix();
    let conv = candle_nn::conv2d_no_bias(in_channels, out_channels, kernel_size, config, vb)?;
    Ok(Conv2d::new(conv.weight().clone(), None, config).at(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Rounding of sums of a few dozen products in double precision.
    const TOLERANCE: f64 = 1e-12;

    fn wave(shape: (usize, usize, usize, usize), step: f64) -> Result<Tensor> {
        let n = shape.0 * shape.1 * shape.2 * shape.3;
        let values: Vec<f64> = (0..n).map(|i| (i as f64 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }

    fn assert_close(a: &Tensor, b: &Tensor) -> Result<()> {
        assert_eq!(a.dims(), b.dims());
        assert!((a - b)?.abs()?.max_all()?.to_scalar::<f64>()? < TOLERANCE);
        Ok(())
    }

    #[test]
    fn gradients_by_candle_equal_gradients_by_kernel() -> Result<()> {
        for (stride, padding, dilation, groups) in
            [(1, 0, 1, 1), (1, 1, 1, 2), (2, 1, 1, 1), (2, 0, 1, 4), (3, 2, 1, 1), (1, 2, 2, 1), (2, 3, 2, 2)]
        {
            for (h, w) in [(7, 7), (8, 7), (9, 10)] {
                let config = Conv2dConfig { stride, padding, dilation, groups, ..Conv2dConfig::default() };
                let (x, weight) = (wave((2, 4, h, w), 0.37)?, wave((8, 4 / groups, 3, 3), 0.71)?);
                let geometry = Conv2d::new(weight.clone(), None, config).geometry(&x)?;
                let y = geometry.forward(&x, &weight, None)?;
                assert_close(&y, &x.conv2d(&weight, padding, stride, dilation, groups)?)?;
                let g = (y.sin()? + 0.1)?;
                let input = geometry.input_gradient_by_candle(&g, &weight)?;
                assert_close(&geometry.input_gradient(&g, &weight)?, &input)?;
                let weights = geometry.weight_gradient_by_candle(&g, &x)?;
                assert_close(&geometry.weight_gradient(&g, &x)?, &weights)?;
            }
        }
        Ok(())
    }

    #[test]
    fn an_input_that_does_not_fit_is_an_error_that_names_the_layer() -> Result<()> {
        let conv = Conv2d::new(wave((8, 4, 3, 3), 0.7)?, None, Conv2dConfig::default()).at("layer1.conv1");
        for shape in [(1, 3, 8, 8), (1, 4, 2, 8)] {
            assert!(conv.forward(&wave(shape, 0.1)?).unwrap_err().to_string().contains("layer1.conv1"));
        }
        Ok(())
    }
}
