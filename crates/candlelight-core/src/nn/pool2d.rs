//! Pools with PyTorch's semantics.

use super::elements::{computed, has_kernels, lend, with_element};
use super::ruled;
use super::{Module, windows};
use crate::scope::slides;
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};
use candlelight_kernels::{self as kernels, Pool2d, Window};

/// Where the last window of a pool may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Only windows that fit into the padded input (PyTorch's default).
    Floor,
    /// Also windows that start inside it and reach past its end (`ceil_mode=True`).
    Ceil,
}

impl Extent {
    fn places(self, size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
        let room = (size + 2 * padding).checked_sub(kernel)?;
        Some(match self {
            Self::Floor => room / stride + 1,
            Self::Ceil => {
                let places = room.div_ceil(stride) + 1;
                let last_starts_outside = (places - 1) * stride >= size + padding;
                places - usize::from(last_starts_outside)
            }
        })
    }
}

fn geometry(x: &Tensor, window: Window, extent: Extent, name: &str) -> Result<Pool2d> {
    let (n, c, h, w) = x.dims4()?;
    let (kernel, stride, padding) = (window.kernel.0, window.stride.0, window.padding.0);
    if stride == 0 || 2 * padding > kernel {
        candle_core::bail!(
            "pool `{name}`: the stride must be positive and the padding at most half of {kernel}"
        )
    }
    let places = |size| extent.places(size, kernel, stride, padding);
    match (places(h), places(w)) {
        (Some(oh), Some(ow)) => Ok(Pool2d { planes: n * c, input: (h, w), output: (oh, ow), window }),
        _ => candle_core::bail!(
            "pool `{name}` with a {kernel}x{kernel} window does not fit an input of {h}x{w}"
        ),
    }
}

/// The largest value of each window; its gradient goes to the first of equal maxima.
///
/// # Shapes
/// Input `[N, C, H, W]`, output `[N, C, H', W']`.
#[derive(Clone, Debug)]
pub struct MaxPool2d {
    window: Window,
    extent: Extent,
    name: String,
}

impl MaxPool2d {
    /// A pool with a square window.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { window: Window::square(kernel, stride, padding), extent: Extent::Floor, name: String::new() }
    }

    /// The same pool, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same pool with another rule for the last window.
    pub fn extent(self, extent: Extent) -> Self {
        Self { extent, ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The window, if only places that fit into the padded input count, and it is never all padding.
    pub(super) fn floor_window(&self) -> Option<Window> {
        let (kernel, padding) = (self.window.kernel.0, self.window.padding.0);
        let plain = self.extent == Extent::Floor && self.window.stride.0 > 0 && 2 * padding <= kernel;
        (plain && kernel * kernel <= usize::from(u8::MAX)).then_some(self.window)
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pool = geometry(x, self.window, self.extent, &self.name)?;
        slides(&pool.window, pool.input, pool.output);
        match has_kernels(x) {
            true => max_by_kernel(&self.name, pool, x),
            false => max_by_candle(&self.name, pool, x),
        }
    }
}

fn max_by_kernel(name: &str, pool: Pool2d, x: &Tensor) -> Result<Tensor> {
    let (shape, input_shape) = (output_shape(x, &pool), x.shape().clone());
    with_element!(x, T => {
        let (y, indices) = lend(x, |x: &[T]| kernels::max_pool2d(&pool, x))?;
        ruled::maxima(name, x, Tensor::from_vec(y, shape, x.device())?, move |_, g| {
            let dx = lend(g, |g: &[T]| kernels::max_pool2d_gradient(&pool, g, &indices))?;
            Tensor::from_vec(dx, &input_shape, g.device())
        })
    })
}

fn max_by_candle(name: &str, pool: Pool2d, x: &Tensor) -> Result<Tensor> {
    let input = x.detach();
    let y = windows::max(&pool, &input)?;
    ruled::maxima(name, x, y, move |y, g| windows::max_gradient(&pool, &input, y, g))
}

fn output_shape(x: &Tensor, pool: &Pool2d) -> (usize, usize, usize, usize) {
    (x.dims()[0], x.dims()[1], pool.output.0, pool.output.1)
}

/// What the average of a window that reaches into the padding divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padded {
    /// The window's size, padding included (PyTorch's `count_include_pad=True`).
    Counted,
    /// The number of input elements under the window.
    Ignored,
}

/// The mean of each window.
///
/// # Shapes
/// Input `[N, C, H, W]`, output `[N, C, H', W']`.
#[derive(Clone, Debug)]
pub struct AvgPool2d {
    window: Window,
    extent: Extent,
    padded: Padded,
    name: String,
}

impl AvgPool2d {
    /// A pool with a square window that counts the padding, as PyTorch does by default.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        let window = Window::square(kernel, stride, padding);
        Self { window, extent: Extent::Floor, padded: Padded::Counted, name: String::new() }
    }

    /// The same pool, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same pool with another rule for the last window.
    pub fn extent(self, extent: Extent) -> Self {
        Self { extent, ..self }
    }

    /// The same pool with another treatment of the padding.
    pub fn padded(self, padded: Padded) -> Self {
        Self { padded, ..self }
    }

    fn divisor(&self, pool: &Pool2d, place: usize) -> usize {
        let along = |place: usize, size: usize, axis: fn((usize, usize)) -> usize| {
            let (kernel, stride, padding) =
                (axis(self.window.kernel), axis(self.window.stride), axis(self.window.padding));
            let (low, high) = match self.padded {
                Padded::Counted => (0, size + 2 * padding),
                Padded::Ignored => (padding, size + padding),
            };
            let from = place * stride;
            (from + kernel).min(high) - from.max(low).min(high)
        };
        let (row, column) = (place / pool.output.1, place % pool.output.1);
        along(row, pool.input.0, |pair| pair.0) * along(column, pool.input.1, |pair| pair.1)
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pool = geometry(x, self.window, self.extent, &self.name)?;
        slides(&pool.window, pool.input, pool.output);
        let divisors: Vec<usize> =
            (0..pool.output.0 * pool.output.1).map(|place| self.divisor(&pool, place)).collect();
        let average = |[x]: [&Tensor; 1]| match has_kernels(x) {
            true => average_by_kernel(pool, divisors, x),
            false => average_by_candle(pool, divisors, x),
        };
        ruled::averaged(&self.name, || computed([x], average))
    }
}

fn average_by_kernel(pool: Pool2d, divisors: Vec<usize>, x: &Tensor) -> Result<Tensor> {
    let (shape, input_shape) = (output_shape(x, &pool), x.shape().clone());
    with_element!(x, T => {
        let y = lend(x, |x: &[T]| kernels::avg_pool2d(&pool, &|place| divisors[place], x))?;
        vjp_of_fresh(&[x], Tensor::from_vec(y, shape, x.device())?, move |_, g| {
            let dx = lend(g, |g: &[T]| kernels::avg_pool2d_gradient(&pool, &|place| divisors[place], g))?;
            Ok(vec![Some(Tensor::from_vec(dx, &input_shape, g.device())?)])
        })
    })
}

fn average_by_candle(pool: Pool2d, divisors: Vec<usize>, x: &Tensor) -> Result<Tensor> {
    let input = x.detach();
    let weights: Vec<f64> = divisors.iter().map(|&d| 1.0 / d as f64).collect();
    let weights = Tensor::from_vec(weights, pool.output, &candle_core::Device::Cpu)?;
    let weights = weights.to_dtype(x.dtype())?.to_device(x.device())?;
    let y = windows::average(&pool, &input, &weights)?;
    vjp_of_fresh(&[x], y, move |_, g| Ok(vec![Some(windows::average_gradient(&pool, &input, &weights, g)?)]))
}

/// The mean of every plane.
///
/// # Shapes
/// Input `[N, C, H, W]`, output `[N, C]`.
#[derive(Clone, Debug, Default)]
pub struct GlobalAvgPool {
    name: String,
}

impl GlobalAvgPool {
    /// A pool that the scope sees under this name.
    pub fn at(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl Module for GlobalAvgPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ruled::averaged(&self.name, || computed([x], |[x]| x.mean((2, 3))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    fn maps() -> Result<Tensor> {
        let values: Vec<f64> = (0..2 * 3 * 7 * 6).map(|i| (i as f64 * 0.37).sin().max(0.0)).collect();
        Tensor::from_vec(values, (2, 3, 7, 6), &Device::Cpu)
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
        (a - b)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar()
    }

    /// Output and input gradient of a pool.
    fn both(f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<(Tensor, Tensor)> {
        let x = Var::from_tensor(&maps()?)?;
        let y = f(&x)?;
        let weights = Tensor::arange(0.0, y.elem_count() as f64, &Device::Cpu)?.reshape(y.shape())?;
        let gradients = (&y * weights)?.sum_all()?.backward()?;
        Ok((y.detach(), gradients.get(&x).unwrap().clone()))
    }

    #[test]
    fn pools_by_candle_equal_pools_by_kernel() -> Result<()> {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (1, 1, 0)] {
            for extent in [Extent::Floor, Extent::Ceil] {
                let window = Window::square(kernel, stride, padding);
                let pool = geometry(&maps()?, window, extent, "")?;
                let divisors = vec![kernel * kernel; pool.output.0 * pool.output.1];
                let max = (both(|x| max_by_kernel("", pool, x))?, both(|x| max_by_candle("", pool, x))?);
                let average = (
                    both(|x| average_by_kernel(pool, divisors.clone(), x))?,
                    both(|x| average_by_candle(pool, divisors.clone(), x))?,
                );
                for (kernel, candle) in [max, average] {
                    assert!(largest_difference(&kernel.0, &candle.0)? < 1e-12);
                    assert!(largest_difference(&kernel.1, &candle.1)? < 1e-12);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn padding_is_counted_or_ignored_as_asked() -> Result<()> {
        let ones = Tensor::ones((1, 1, 4, 4), DType::F64, &Device::Cpu)?;
        let corner = |padded| -> Result<f64> {
            AvgPool2d::new(3, 2, 1).padded(padded).forward(&ones)?.flatten_all()?.get(0)?.to_scalar()
        };
        assert_eq!((corner(Padded::Counted)?, corner(Padded::Ignored)?), (4.0 / 9.0, 1.0));
        Ok(())
    }

    #[test]
    fn a_window_that_does_not_fit_is_an_error() -> Result<()> {
        assert!(MaxPool2d::new(9, 1, 0).forward(&maps()?).is_err());
        assert!(MaxPool2d::new(2, 0, 0).forward(&maps()?).is_err());
        assert!(AvgPool2d::new(2, 2, 2).forward(&maps()?).is_err());
        Ok(())
    }
}
