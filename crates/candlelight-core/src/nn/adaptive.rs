//! Pools that are told the size of their output.

use super::Module;
use super::elements::{lend, with_element};
use super::resample::Resample;
use super::ruled;
use crate::scope::slides;
use candle_core::{DType, Device, Result, Tensor};
use candlelight_kernels::{self as kernels, Window};
use std::ops::Range;

/// The mean of each of `height` x `width` windows that share out the input (PyTorch's `AdaptiveAvgPool2d`).
///
/// # Shapes
/// Input `[N, C, H, W]`, output `[N, C, height, width]`.
#[derive(Clone, Debug)]
pub struct AdaptiveAvgPool2d {
    size: (usize, usize),
    name: String,
}

impl AdaptiveAvgPool2d {
    /// A pool to maps of this size.
    pub fn new(height: usize, width: usize) -> Self {
        Self { size: (height, width), name: String::new() }
    }

    /// The same pool, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }
}

impl Module for AdaptiveAvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (h, w) = sides(x, &self.name)?;
        show((h, w), self.size);
        let shares = |from: usize, to: usize| -> Vec<Vec<(usize, f64)>> {
            let mean = |range: Range<usize>| {
                let share = 1.0 / range.len() as f64;
                range.map(|i| (i, share)).collect()
            };
            (0..to).map(|place| mean(kernels::adaptive_range(from, to, place))).collect()
        };
        let resample = Resample::new(&shares(h, self.size.0), &shares(w, self.size.1), x)?;
        ruled::averaged(&self.name, || resample.apply(x))
    }
}

/// The largest value of each of `height` x `width` windows that share out the input (PyTorch's `AdaptiveMaxPool2d`);
/// its gradient goes to the first of equal maxima.
///
/// # Shapes
/// Input `[N, C, H, W]`, output `[N, C, height, width]`.
#[derive(Clone, Debug)]
pub struct AdaptiveMaxPool2d {
    size: (usize, usize),
    name: String,
}

impl AdaptiveMaxPool2d {
    /// A pool to maps of this size.
    pub fn new(height: usize, width: usize) -> Self {
        Self { size: (height, width), name: String::new() }
    }

    /// The same pool, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }
}

impl Module for AdaptiveMaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (h, w) = sides(x, &self.name)?;
        show((h, w), self.size);
        let indices = first_maxima(x, self.size)?;
        let (input, shape) = (x.detach().flatten_from(2)?.contiguous()?, x.shape().clone());
        let y = input.gather(&indices, 2)?.reshape((x.dim(0)?, x.dim(1)?, self.size.0, self.size.1))?;
        ruled::maxima(&self.name, x, y, move |_, g| {
            let zeros = input.zeros_like()?;
            zeros.scatter_add(&indices, &g.reshape(indices.shape())?, 2)?.reshape(&shape)
        })
    }
}

/// Height and width of the input.
fn sides(x: &Tensor, name: &str) -> Result<(usize, usize)> {
    match x.dims4()? {
        (_, _, h, w) if h > 0 && w > 0 => Ok((h, w)),
        (_, _, h, w) => candle_core::bail!("adaptive pool `{name}` got an empty map of {h}x{w}"),
    }
}

/// Tells the scope where the cells lie, if all windows are alike.
fn show(from: (usize, usize), to: (usize, usize)) {
    let step = |from: usize, to: usize| from.checked_div(to).filter(|step| step * to == from);
    if let (Some(rows), Some(columns)) = (step(from.0, to.0), step(from.1, to.1)) {
        let (kernel, none) = ((rows, columns), (0, 0));
        slides(&Window { kernel, stride: kernel, padding: none, dilation: (1, 1) }, from, to);
    }
}

/// The index in its plane of each window's first maximum, `[N, C, places]`; found on the host, from where the values
/// are gathered on any device.
fn first_maxima(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let host = x.detach().to_device(&Device::Cpu)?;
    let host = if host.dtype() == DType::F64 { host } else { host.to_dtype(DType::F32)? };
    let indices = with_element!(host, T => {
        lend(&host, |x: &[T]| kernels::adaptive_maxima(x, n * c, (h, w), size))?
    });
    Tensor::from_vec(indices, (n, c, size.0 * size.1), x.device())
}
