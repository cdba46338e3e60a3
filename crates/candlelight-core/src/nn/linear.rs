//! Fully connected layer.

use super::elements::matmul;
use super::ruled;
use super::{Module, VarBuilder, arguments, is_frozen, tracked};
use crate::rules::affine::{Affine, Map, Side};
use crate::scope::Kind;
use crate::vjp::{self, vjp_of_fresh};
use candle_core::{D, Result, Tensor};

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
        let y = Matrix.output(&input, &weight, self.bias.as_ref().map(Tensor::detach).as_ref())?;
        if is_frozen(&self.weight, &self.bias) {
            return vjp::linear(x, y, move |g| Matrix.transpose(g, &weight));
        }
        let tracked = tracked(x, &self.weight, &self.bias);
        let pullback = move |_: &Tensor, g: &Tensor| {
            let dx = tracked[0].then(|| Matrix.transpose(g, &weight)).transpose()?;
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
        let affine = || Ok(Affine::new(Matrix, &self.weight, self.bias.clone()));
        ruled::affine((&self.name, Kind::Linear, macs), x, affine, || self.plain(x))
    }
}

/// The product of rows with a transposed weight.
struct Matrix;

impl Map for Matrix {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        multiplied(x, &weight.t()?)
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        multiplied(g, weight)
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

/// `x` `[…, in]` times `matrix` `[in, out]`.
fn multiplied(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let shape: Vec<usize> = [&x.dims()[..x.rank() - 1], &[matrix.dim(1)?]].concat();
    matmul(&flat(x)?, matrix)?.reshape(shape)
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
