//! The arithmetic that all convolutions share: the product, its two gradients, and both ways through it.

use super::elements::{Number, computed, has_kernels, lend, with_element};
use super::{arguments, is_frozen, tracked};
use crate::behind::{self, Back, ChannelScale};
use crate::vjp::{Gradients, vjp_of_fresh};
use candle_core::{D, Result, Tensor};
use candlelight_kernels::{self as kernels, Window};

/// A convolution of one input size with one weight `[out, in / groups, kh, kw]`.
#[derive(Clone, Copy)]
pub(super) struct Convolution {
    conv: kernels::Conv2d,
    places: (usize, usize),
}

impl Convolution {
    /// The convolution of an input `[N, in, H, W]` of these sizes with windows as in `window`.
    ///
    /// # Errors
    /// If the channels differ or the window does not fit; the message has the layer's `name`.
    pub fn fit(
        input: (usize, usize, usize, usize),
        weight: &Tensor,
        window: Window,
        groups: usize,
        name: &str,
    ) -> Result<Self> {
        let (batch, in_channels, h, w) = input;
        let (out_channels, per_group) = (weight.dim(0)?, weight.dim(1)?);
        if in_channels != per_group * groups || !out_channels.is_multiple_of(groups.max(1)) {
            candle_core::bail!(
                "convolution `{name}` of {groups} groups takes {} channels and makes {out_channels}, the input has \
                 {in_channels}",
                per_group * groups
            )
        }
        let Some(places) = window.places((h, w)) else {
            let (kh, kw) = window.kernel;
            candle_core::bail!(
                "convolution `{name}` with a {kh}x{kw} kernel does not fit an input of {h}x{w}"
            )
        };
        let conv = kernels::Conv2d { batch, in_channels, out_channels, groups, input: (h, w), window };
        Ok(Self { conv, places })
    }

    /// How the kernel slides, over maps of which size, to maps of which size.
    pub fn slide(&self) -> (&Window, (usize, usize), (usize, usize)) {
        (&self.conv.window, self.conv.input, self.places)
    }

    /// Multiply-adds of one product.
    pub fn macs(&self) -> u64 {
        let (kh, kw) = self.conv.window.kernel;
        let taps = self.conv.in_channels / self.conv.groups * kh * kw;
        (self.conv.batch * self.conv.out_channels * self.places.0 * self.places.1 * taps) as u64
    }

    /// The convolution of `x` `[N, in, H, W]` as a layer, joined to the graph.
    pub fn forward(self, x: &Tensor, weight: &Tensor, bias: &Option<Tensor>) -> Result<Tensor> {
        let (input, frozen) = (x.detach(), weight.detach());
        let y = self.product(&input, &frozen, bias.as_ref().map(Tensor::detach).as_ref())?;
        if is_frozen(weight, bias) {
            return behind::linear(x, y, Frozen { conv: self, weight: frozen });
        }
        let tracked = tracked(x, weight, bias);
        let pullback = move |_: &Tensor, g: &Tensor| self.pull_back(g, &input, &frozen, tracked);
        vjp_of_fresh(&arguments(x, weight, bias), y, pullback)
    }

    /// The transposed convolution of `x` `[N, out, oh, ow]` as a layer: the input gradient as a forward pass, whose own
    /// input gradient is the convolution again.
    pub fn transposed(self, x: &Tensor, weight: &Tensor, bias: &Option<Tensor>) -> Result<Tensor> {
        let (input, frozen) = (x.detach(), weight.detach());
        let y = with_bias(self.input_gradient(&input, &frozen)?, bias.as_ref().map(Tensor::detach).as_ref())?;
        let tracked = tracked(x, weight, bias);
        let pullback = move |_: &Tensor, g: &Tensor| {
            let dx = tracked[0].then(|| self.product(g, &frozen, None)).transpose()?;
            let dw = tracked[1].then(|| self.weight_gradient(&input, g)).transpose()?;
            let db = tracked[2].then(|| g.sum((0, 2, 3))).transpose()?;
            Ok(vec![dx, dw, db])
        };
        vjp_of_fresh(&arguments(x, weight, bias), y, pullback)
    }

    /// How many groups of channels do not see each other.
    pub fn groups(&self) -> usize {
        self.conv.groups
    }

    /// The same convolution of so many rows.
    pub fn of_rows(&self, batch: usize) -> Self {
        Self { conv: kernels::Conv2d { batch, ..self.conv }, ..*self }
    }

    /// The convolution without a graph.
    pub fn product(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        computed([x, weight], |[x, weight]| {
            let bias = bias.map(|bias| bias.to_dtype(x.dtype())).transpose()?;
            match has_kernels(x) {
                true => with_element!(x, T => self.product_by_kernel::<T>(x, weight, bias.as_ref())),
                false => with_bias(self.product_by_candle(x, weight)?, bias.as_ref()),
            }
        })
    }

    fn product_by_kernel<T: Number>(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let bias = bias.map(|bias| lend(bias, |b: &[T]| b.to_vec())).transpose()?;
        let run = |x: &[T], w: &[T]| kernels::conv2d(&self.conv, x, w, bias.as_deref());
        let y = lend(x, |x| lend(weight, |w| run(x, w)))??;
        let shape = (self.conv.batch, self.conv.out_channels, self.places.0, self.places.1);
        Tensor::from_vec(y, shape, x.device())
    }

    /// Gradients of input, weight and bias, each only where it is tracked.
    fn pull_back(&self, g: &Tensor, x: &Tensor, weight: &Tensor, tracked: [bool; 3]) -> Result<Gradients> {
        let input = tracked[0].then(|| self.input_gradient(g, weight)).transpose()?;
        let weight = tracked[1].then(|| self.weight_gradient(g, x)).transpose()?;
        let bias = tracked[2].then(|| g.sum((0, 2, 3))).transpose()?;
        Ok(vec![input, weight, bias])
    }

    /// The gradient with respect to the input.
    pub fn input_gradient(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        computed([g, weight], |[g, weight]| self.pulled_back(g, weight))
    }

    fn pulled_back(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
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
        computed([g, x], |[g, x]| self.correlated(g, x))
    }

    /// The weight's gradient: how gradient and input go together.
    fn correlated(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        if !has_kernels(g) {
            return self.weight_gradient_by_candle(g, x);
        }
        let (kh, kw) = self.conv.window.kernel;
        let shape = (self.conv.out_channels, self.conv.in_channels / self.conv.groups, kh, kw);
        with_element!(g, T => {
            let run = |g: &[T], x: &[T]| kernels::conv2d_weight_gradient(&self.conv, g, x);
            Tensor::from_vec(lend(g, |g| lend(x, |x| run(g, x)))??, shape, g.device())
        })
    }

    fn product_by_candle(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (x, padding) = self.evenly_padded(x)?;
        let (stride, dilation) = (self.conv.window.stride.1, self.conv.window.dilation.1);
        x.conv2d(weight, padding, stride, dilation, self.conv.groups)
    }

    /// What candle's square convolutions need of an input: it and its padding, or it padded already where the axes
    /// differ. Strides and dilations never differ, except along an axis of one element, where they have no effect.
    fn evenly_padded(&self, x: &Tensor) -> Result<(Tensor, usize)> {
        match self.conv.window.padding {
            (rows, columns) if rows == columns => Ok((x.clone(), rows)),
            (rows, columns) => {
                let x = x.pad_with_zeros(D::Minus2, rows, rows)?;
                Ok((x.pad_with_zeros(D::Minus1, columns, columns)?.contiguous()?, 0))
            }
        }
    }

    /// The transposed convolution, group by group; what the stride left over on the far side is padded with zeros.
    fn input_gradient_by_candle(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Window { stride, padding, dilation, .. } = self.conv.window;
        let (h, w) = self.conv.input;
        let per_group = |(g, weight): (&Tensor, &Tensor)| {
            let (g, weight) = (g.contiguous()?, weight.contiguous()?);
            let full = g.conv_transpose2d(&weight, 0, 0, stride.1, dilation.1)?;
            let grow = |size: usize, padding: usize, have: usize| (size + 2 * padding).saturating_sub(have);
            let full = full.pad_with_zeros(D::Minus2, 0, grow(h, padding.0, full.dim(2)?))?;
            let full = full.pad_with_zeros(D::Minus1, 0, grow(w, padding.1, full.dim(3)?))?;
            full.narrow(D::Minus2, padding.0, h)?.narrow(D::Minus1, padding.1, w)
        };
        let gradients = g.chunk(self.conv.groups, 1)?;
        let weights = weight.chunk(self.conv.groups, 0)?;
        let parts = gradients.iter().zip(&weights).map(per_group).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 1)
    }

    /// The convolution of input and gradient with batch and channels exchanged, group by group.
    fn weight_gradient_by_candle(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        let (x, padding) = self.evenly_padded(x)?;
        let Window { kernel: (kh, kw), stride, dilation, .. } = self.conv.window;
        let per_group = |(g, x): (&Tensor, &Tensor)| {
            let (g, x) = (g.transpose(0, 1)?.contiguous()?, x.transpose(0, 1)?.contiguous()?);
            let w = x.conv2d(&g, padding, dilation.1, stride.1, 1)?.transpose(0, 1)?;
            w.narrow(D::Minus2, 0, kh)?.narrow(D::Minus1, 0, kw)
        };
        let (gradients, inputs) = (g.chunk(self.conv.groups, 1)?, x.chunk(self.conv.groups, 1)?);
        let parts = gradients.iter().zip(&inputs).map(per_group).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }
}

/// A convolution with its frozen weight.
struct Frozen {
    conv: Convolution,
    weight: Tensor,
}

impl Back for Frozen {
    fn pull(&self, g: &Tensor) -> Result<Tensor> {
        self.conv.input_gradient(g, &self.weight)
    }

    /// Scales whichever is less, the weight's outputs or the gradient of one row: how many rows there are must not change
    /// what comes out.
    fn pull_scaled(&self, g: &Tensor, scale: &ChannelScale) -> Result<Tensor> {
        let (weight, channels) = (&self.weight, &scale.channels);
        if g.elem_count() <= g.dim(0)? * weight.elem_count() || channels.elem_count() != weight.dim(0)? {
            return self.pull(&(scale.scaled)(g, channels)?);
        }
        let weight = weight.broadcast_mul(&channels.to_dtype(weight.dtype())?.reshape(((), 1, 1, 1))?)?;
        self.conv.input_gradient(g, &weight)
    }
}

/// A window whose steps are alike along both axes.
pub(super) fn on_a_plane(kernel: (usize, usize), stride: usize, padding: usize, dilation: usize) -> Window {
    Window { kernel, dilation: (dilation, dilation), ..Window::square(1, stride, padding) }
}

/// A window of height 1.
pub(super) fn along_a_line(kernel: usize, stride: usize, padding: usize, dilation: usize) -> Window {
    Window { padding: (0, padding), ..on_a_plane((1, kernel), stride, padding, dilation) }
}

/// The functions that make a layer of what candle_nn's function of the same name reads.
macro_rules! builders {
    ($($name:ident, $layer:ident, $config:ident, $what:literal;)*) => { $(
        #[doc = concat!($what, ", its parameters from `vb`.")]
        ///
        /// # Errors
        /// If a parameter is missing or has another shape.
        pub fn $name(
            in_channels: usize,
            out_channels: usize,
            kernel_size: usize,
            config: $config,
            vb: VarBuilder,
        ) -> Result<$layer> {
            let name = vb.prefix();
            let conv = candle_nn::$name(in_channels, out_channels, kernel_size, config, vb)?;
            Ok($layer::new(conv.weight().clone(), conv.bias().cloned(), config).at(name))
        }
    )* };
}
pub(super) use builders;

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?),
        None => Ok(y),
    }
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

    fn assert_both_ways_agree(input: (usize, usize), window: Window, groups: usize) -> Result<()> {
        let shape = (2, 4, input.0, input.1);
        let x = wave(shape, 0.37)?;
        let weight = wave((8, 4 / groups, window.kernel.0, window.kernel.1), 0.71)?;
        let conv = Convolution::fit(shape, &weight, window, groups, "")?;
        let y = conv.product(&x, &weight, None)?;
        assert_close(&y, &conv.product_by_candle(&x, &weight)?)?;
        let g = (y.sin()? + 0.1)?;
        assert_close(&conv.input_gradient(&g, &weight)?, &conv.input_gradient_by_candle(&g, &weight)?)?;
        assert_close(&conv.weight_gradient(&g, &x)?, &conv.weight_gradient_by_candle(&g, &x)?)
    }

    #[test]
    fn everything_by_candle_equals_everything_by_kernel() -> Result<()> {
        for (stride, padding, dilation, groups) in
            [(1, 0, 1, 1), (1, 1, 1, 2), (2, 1, 1, 1), (2, 0, 1, 4), (3, 2, 1, 1), (1, 2, 2, 1), (2, 3, 2, 2)]
        {
            let square = Window { dilation: (dilation, dilation), ..Window::square(3, stride, padding) };
            for input in [(7, 7), (8, 7), (9, 10)] {
                assert_both_ways_agree(input, square, groups)?;
            }
            let line = Window { kernel: (1, 3), padding: (0, padding), ..square };
            assert_both_ways_agree((1, 9), line, groups)?;
        }
        Ok(())
    }
}
