//! Fully connected layer.

use super::elements::{Number, computed, has_kernels, lend, matmul, with_element};
use super::ruled;
use super::{Module, VarBuilder, arguments, is_frozen, tracked};
use crate::behind;
use crate::rules::affine::{Affine, Map, Side, plus};
use crate::scope::Kind;
use crate::vjp::vjp_of_fresh;
use candle_core::{D, Result, Tensor};
use candlelight_kernels::{self as kernels, Matrix};

/// y = x·Wᵀ + b.
///
/// # Shapes
/// Input `[…, in]`, output `[…, out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) name: String,
}

impl Linear {
    /// A layer with these parameters: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight, `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Linear {
    /// The layer without a rule, joined to the graph.
    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let (input, weight) = (x.detach(), self.weight.detach());
        let y = Rows.output(&input, &weight, self.bias.as_ref().map(Tensor::detach).as_ref())?;
        if is_frozen(&self.weight, &self.bias) {
            return behind::linear(x, y, move |g: &Tensor| Rows.transpose(g, &weight));
        }
        let tracked = tracked(x, &self.weight, &self.bias);
        let pullback = move |_: &Tensor, g: &Tensor| {
            let dx = tracked[0].then(|| Rows.transpose(g, &weight)).transpose()?;
            let dw = tracked[1].then(|| matmul(&flat(g)?.t()?, &flat(&input)?)).transpose()?;
            let db = tracked[2].then(|| sum_rows(g)).transpose()?;
            Ok(vec![dx, dw, db])
        };
        vjp_of_fresh(&arguments(x, &self.weight, &self.bias), y, pullback)
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let macs = (x.elem_count() * self.weight.dim(0)?) as u64;
        let affine = || Ok(Affine::new(Rows, &self.weight, self.bias.clone()));
        ruled::affine((&self.name, Kind::Linear, macs), x, affine, || self.plain(x))
    }
}

/// The product of rows with a transposed weight.
struct Rows;

impl Map for Rows {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        multiplied(x, weight, Way::Forth(None))
    }

    fn output(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match bias {
            Some(bias) if bias.elem_count() == weight.dim(0)? && bias.dim(D::Minus1)? == weight.dim(0)? => {
                multiplied(x, weight, Way::Forth(Some(&bias.flatten_all()?)))
            }
            bias => plus(self.product(x, weight)?, bias),
        }
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        multiplied(g, weight, Way::Back)
    }

    fn scaled(&self, weight: &Tensor, scale: &Tensor, side: Side) -> Result<Option<Tensor>> {
        let (axis, shape) = match side {
            Side::Outputs => (0, (scale.elem_count(), 1)),
            Side::Inputs => (1, (1, scale.elem_count())),
        };
        let fits = weight.dim(axis)? == scale.elem_count() && scale.dim(D::Minus1)? == scale.elem_count();
        fits.then(|| weight.broadcast_mul(&scale.reshape(shape)?)).transpose()
    }
}

/// Which way a product with a weight `[out, in]` goes.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// `[…, in]` to `[…, out]`, with a bias `[out]`.
    Forth(Option<&'a Tensor>),
    /// `[…, out]` to `[…, in]`.
    Back,
}

/// `x` times `weight`.
fn multiplied(x: &Tensor, weight: &Tensor, way: Way) -> Result<Tensor> {
    let size = weight.dim(if matches!(way, Way::Back) { 1 } else { 0 })?;
    let shape: Vec<usize> = [&x.dims()[..x.rank() - 1], &[size]].concat();
    let product = |[x, weight]: [&Tensor; 2]| match has_kernels(x) && x.dtype() == weight.dtype() {
        true => with_element!(x, T => by_kernel::<T>(x, weight, way)),
        false => by_candle(x, weight, way),
    };
    computed([&flat(x)?, weight], product)?.reshape(shape)
}

fn by_kernel<T: Number>(x: &Tensor, weight: &Tensor, way: Way) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let (from, to) = if matches!(way, Way::Back) { (outputs, inputs) } else { (inputs, outputs) };
    if x.dim(1)? != from {
        candle_core::bail!(
            "a weight of shape {:?} does not fit rows of {} numbers",
            weight.dims(),
            x.dim(1)?
        );
    }
    let y = lend(x, |x: &[T]| {
        lend(weight, |weight| {
            let weight = Matrix::new(weight, outputs, inputs);
            match way {
                Way::Forth(Some(bias)) => {
                    let bias = bias.to_dtype(T::DTYPE)?;
                    lend(&bias, |bias| kernels::linear(x, weight.transposed(), Some(bias)))
                }
                Way::Forth(None) => Ok(kernels::linear(x, weight.transposed(), None)),
                Way::Back => Ok(kernels::linear(x, weight, None)),
            }
        })
    })???;
    Tensor::from_vec(y, (x.dim(0)?, to), x.device())
}

fn by_candle(x: &Tensor, weight: &Tensor, way: Way) -> Result<Tensor> {
    match way {
        Way::Forth(bias) => plus(x.matmul(&weight.t()?)?, bias),
        Way::Back => x.matmul(weight),
    }
}

/// All leading axes as one.
fn flat(x: &Tensor) -> Result<Tensor> {
    x.reshape(((), x.dim(D::Minus1)?))
}

/// The sum over all leading axes, as a product with ones: candle's own sum over a leading axis walks it by strides.
pub(super) fn sum_rows(x: &Tensor) -> Result<Tensor> {
    let x = flat(x)?;
    matmul(&Tensor::ones((1, x.dim(0)?), x.dtype(), x.device())?, &x)?.squeeze(0)
}

/// A layer with bias, its parameters from `vb`: `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn linear(in_dim: usize, out_dim: usize, vb: VarBuilder) -> Result<Linear> {
    let name = vb.prefix();
    let linear = candle_nn::linear(in_dim, out_dim, vb)?;
    Ok(Linear::new(linear.weight().clone(), linear.bias().cloned()).at(name))
}

/// A layer without bias, its `weight` from `vb`.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn linear_no_bias(in_dim: usize, out_dim: usize, vb: VarBuilder) -> Result<Linear> {
    let name = vb.prefix();
    let linear = candle_nn::linear_no_bias(in_dim, out_dim, vb)?;
    Ok(Linear::new(linear.weight().clone(), None).at(name))
}

/// [`linear`] or [`linear_no_bias`], as candle_nn has it.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn linear_b(in_dim: usize, out_dim: usize, bias: bool, vb: VarBuilder) -> Result<Linear> {
    if bias { linear(in_dim, out_dim, vb) } else { linear_no_bias(in_dim, out_dim, vb) }
}
