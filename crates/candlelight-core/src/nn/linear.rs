//! Fully connected layer.

use super::elements::{Number, computed, has_kernels, lend, lend_some, matmul, with_element};
use super::held::{Held, Way};
use super::ruled;
use super::{Module, VarBuilder, arguments, is_frozen, tracked};
use crate::behind;
use crate::rules::affine::{Affine, Map, Side, plus};
use crate::scope::Kind;
use crate::vjp::vjp_of_fresh;
use candle_core::{D, Result, Tensor};
use candlelight_kernels::{self as kernels, Factor, Matrix, Split};

/// y = x·Wᵀ + b.
///
/// On a processor with a matrix unit (Intel's AMX) a frozen weight is laid out for it when it is first multiplied, and once
/// more for the first gradient: it must not be changed in place afterwards.
///
/// # Shapes
/// Input `[…, in]`, output `[…, out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) name: String,
    held: Held,
}

impl Linear {
    /// A layer with these parameters: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, name: String::new(), held: Held::new() }
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
        let (input, weight, bias) =
            (x.detach(), self.weight.detach(), self.bias.as_ref().map(Tensor::detach));
        if is_frozen(&self.weight, &self.bias) {
            let y = match self.held.split(&input, &weight, Way::Forth) {
                Some(split) => by_split(&input, split, bias.as_ref())?,
                None => Rows.output(&input, &weight, bias.as_ref())?,
            };
            let held = self.held.clone();
            return behind::linear(x, y, move |g: &Tensor| match held.split(g, &weight, Way::Back) {
                Some(split) => by_split(g, split, None),
                None => Rows.transpose(g, &weight),
            });
        }
        let y = Rows.output(&input, &weight, bias.as_ref())?;
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
        multiplied(x, weight, (Way::Forth, None))
    }

    fn output(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match row(bias, weight.dim(0)?)? {
            Some(bias) => multiplied(x, weight, (Way::Forth, Some(&bias))),
            None => plus(self.product(x, weight)?, bias),
        }
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        multiplied(g, weight, (Way::Back, None))
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

/// A bias that is one number for each of so many outputs.
fn row(bias: Option<&Tensor>, outputs: usize) -> Result<Option<Tensor>> {
    let fits = |bias: &&Tensor| bias.elem_count() == outputs && bias.dims().last() == Some(&outputs);
    bias.filter(fits).map(Tensor::flatten_all).transpose()
}

/// `x` times `weight` one way, plus a bias `[out]`.
fn multiplied(x: &Tensor, weight: &Tensor, (way, bias): (Way, Option<&Tensor>)) -> Result<Tensor> {
    let product = |[x, weight]: [&Tensor; 2]| match has_kernels(x) && x.dtype() == weight.dtype() {
        true => with_element!(x, T => by_matrix::<T>(x, weight, (way, bias))),
        false => by_candle(x, weight, (way, bias)),
    };
    unflat(computed([&flat(x)?, weight], product)?, x)
}

fn by_matrix<T: Number>(x: &Tensor, weight: &Tensor, (way, bias): (Way, Option<&Tensor>)) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let from = if let Way::Forth = way { inputs } else { outputs };
    if x.dim(1)? != from {
        candle_core::bail!(
            "a weight of shape {:?} does not fit rows of {} numbers",
            weight.dims(),
            x.dim(1)?
        );
    }
    lend(weight, |weight| {
        by_kernel::<T>(x, Factor::Matrix(way.view(Matrix::new(weight, outputs, inputs))), bias)
    })?
}

/// Rows `x` times a weight that was split, plus a bias.
fn by_split(x: &Tensor, split: &Split, bias: Option<&Tensor>) -> Result<Tensor> {
    let own = row(bias, split.size().1)?;
    let y = computed([&flat(x)?], |[x]| by_kernel::<f32>(x, Factor::Split(split), own.as_ref()))?;
    plus(unflat(y, x)?, bias.filter(|_| own.is_none()))
}

fn by_kernel<T: Number>(x: &Tensor, factor: Factor<T>, bias: Option<&Tensor>) -> Result<Tensor> {
    let bias = bias.map(|bias| bias.to_dtype(T::DTYPE)).transpose()?;
    let y = lend(x, |x: &[T]| lend_some(bias.as_ref(), |bias| kernels::linear(x, factor, bias)))??;
    Tensor::from_vec(y, (x.dim(0)?, factor.size().1), x.device())
}

fn by_candle(x: &Tensor, weight: &Tensor, (way, bias): (Way, Option<&Tensor>)) -> Result<Tensor> {
    match way {
        Way::Forth => plus(x.matmul(&weight.t()?)?, bias),
        Way::Back => x.matmul(weight),
    }
}

/// Rows with the leading axes of `x` again.
fn unflat(rows: Tensor, x: &Tensor) -> Result<Tensor> {
    let size = rows.dim(1)?;
    rows.reshape([&x.dims()[..x.rank() - 1], &[size]].concat())
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
