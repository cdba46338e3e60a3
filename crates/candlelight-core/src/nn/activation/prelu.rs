//! The rectifier whose slope is learned.

use super::super::{Module, VarBuilder};
use crate::rules::pair::{Pair, both};
use crate::rules::{Form, ratio};
use crate::scope::{Asking, Kind, report, rule_for};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};

/// x for x > 0, else x times a weight: one for all, or one per channel
/// ([He et al. 2015](https://arxiv.org/abs/1502.01852)). At 0 the derivative is the weight.
///
/// # Shapes
/// Input and output alike: any, or `[N, channels, …]`.
#[derive(Clone, Debug)]
pub struct PReLU {
    weight: Tensor,
    is_scalar: bool,
    name: String,
}

impl PReLU {
    /// A layer with this weight: `[1]` for all channels, or `[channels]`.
    pub fn new(weight: Tensor, is_scalar: bool) -> Self {
        Self { weight, is_scalar, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The weight.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Whether one weight stands for all channels.
    pub fn is_scalar(&self) -> bool {
        self.is_scalar
    }

    /// The weight as a tensor that broadcasts over `x`.
    fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.detach();
        let mut shape = vec![1; x.rank()];
        if self.is_scalar {
            return weight.reshape(shape);
        }
        let axis = usize::from(x.rank() > 1);
        if x.dims().get(axis) != Some(&weight.elem_count()) {
            candle_core::bail!(
                "prelu `{}` has {} weights, the input is {:?}",
                self.name,
                weight.elem_count(),
                x.dims()
            )
        }
        shape[axis] = weight.elem_count();
        weight.reshape(shape)
    }
}

impl Module for PReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (input, weight) = (x.detach(), self.spread(x)?);
        let y = input.gt(0.0)?.where_cond(&input, &input.broadcast_mul(&weight)?)?;
        if let Some(rule) = rule_for(Asking::new(&self.name, &Kind::Activation, Form::Curve)) {
            let of_pairs = rule.is_of_pairs();
            let pullback = move |y: &Tensor, g: &Tensor| match of_pairs {
                true => rescaled(&input, &weight, g),
                false => ratio::signal(&ratio::relevance(&y.detach(), g)?, &input),
            };
            let y = vjp_of_fresh(&[x], y, move |y, g| Ok(vec![Some(pullback(y, g)?)]))?;
            return report(&self.name, Kind::Activation, 0, y);
        }
        let (trained, shape) = (self.weight.track_op(), self.weight.shape().clone());
        let pullback = move |_: &Tensor, g: &Tensor| {
            let positive = input.gt(0.0)?;
            let dx = positive.where_cond(g, &g.broadcast_mul(&weight)?)?;
            if !trained {
                return Ok(vec![Some(dx)]);
            }
            let below = positive.where_cond(&g.zeros_like()?, &(g * &input)?)?;
            Ok(vec![Some(dx), Some(sum_to(&below, &weight)?.reshape(&shape)?)])
        };
        let y = vjp_of_fresh(&[x, &self.weight], y, pullback)?;
        report(&self.name, Kind::Activation, 0, y)
    }
}

/// The signal before the layer on a batch of pairs, for that behind it: times the slope from reference to input. On one
/// side of the kink the slope is the derivative.
fn rescaled(batch: &Tensor, weight: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (batch, g) = (Pair::of(batch)?, Pair::of(g)?);
    let (above, above_before) = (batch.x.gt(0.0)?, batch.reference.gt(0.0)?);
    let slope = above.where_cond(&g.x.ones_like()?, &weight.broadcast_as(g.x.shape())?)?;
    let value = |x: &Tensor| x.maximum(0.0)? + x.minimum(0.0)?.broadcast_mul(weight)?;
    let (crosses, gap) = (above.ne(&above_before)?, batch.difference()?);
    let quotient =
        (value(&batch.x)? - value(&batch.reference)?)? / crosses.where_cond(&gap, &gap.ones_like()?)?;
    both(&(crosses.where_cond(&quotient?, &slope)? * g.x)?)
}

/// The sum of `x` over every axis along which `like` has one element.
fn sum_to(x: &Tensor, like: &Tensor) -> Result<Tensor> {
    let axes: Vec<usize> = (0..x.rank()).filter(|&axis| like.dims()[axis] == 1).collect();
    x.sum_keepdim(axes)
}

/// A layer with its `weight` from `vb`: one for each of `num_channels`, or one for all.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn prelu(num_channels: Option<usize>, vb: VarBuilder) -> Result<PReLU> {
    let weight = vb.get_with_hints(num_channels.unwrap_or(1), "weight", candle_nn::Init::Const(0.25))?;
    Ok(PReLU::new(weight, num_channels.is_none()).at(vb.prefix()))
}
