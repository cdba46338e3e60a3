//! Convolutions as rules see them.

use super::convolution::Convolution;
use crate::rules::affine::{Affine, Map, Side, plus};
use candle_core::{Result, Tensor};

/// A convolution as a map of its input.
pub(super) struct Direct(pub Convolution);

impl Map for Direct {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.of_rows(x.dim(0)?).product(x, weight, None)
    }

    fn output(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match bias {
            Some(bias) if bias.elem_count() == weight.dim(0)? => {
                self.0.of_rows(x.dim(0)?).product(x, weight, Some(&bias.flatten_all()?))
            }
            bias => plus(self.product(x, weight)?, bias),
        }
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.of_rows(g.dim(0)?).input_gradient(g, weight)
    }

    fn scaled(&self, weight: &Tensor, scale: &Tensor, side: Side) -> Result<Option<Tensor>> {
        scaled(weight, scale, self.0.groups(), side)
    }
}

/// A transposed convolution as a map of its input: the weight has inputs first.
pub(super) struct Transposed(pub Convolution);

impl Map for Transposed {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.of_rows(x.dim(0)?).input_gradient(x, weight)
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.of_rows(g.dim(0)?).product(g, weight, None)
    }

    fn scaled(&self, weight: &Tensor, scale: &Tensor, side: Side) -> Result<Option<Tensor>> {
        let side = if side == Side::Inputs { Side::Outputs } else { Side::Inputs };
        scaled(weight, scale, self.0.groups(), side)
    }
}

/// A map of maps as one of lines.
pub(super) struct Lines<M>(pub M);

impl<M: Map> Map for Lines<M> {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.product(&x.unsqueeze(2)?, &weight.unsqueeze(2)?)?.squeeze(2)
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.transpose(&g.unsqueeze(2)?, &weight.unsqueeze(2)?)?.squeeze(2)
    }

    fn scaled(&self, weight: &Tensor, scale: &Tensor, side: Side) -> Result<Option<Tensor>> {
        self.0.scaled(weight, scale, side)
    }
}

/// `weight` `[out, in / groups, …]` with its outputs or inputs scaled.
fn scaled(weight: &Tensor, scale: &Tensor, groups: usize, side: Side) -> Result<Option<Tensor>> {
    let (out, per_group, count) = (weight.dim(0)?, weight.dim(1)?, scale.elem_count());
    let shape = match side {
        _ if scale.dim(1)? != count => return Ok(None),
        Side::Outputs if count == out => (groups, out / groups, 1, 1),
        Side::Inputs if count == groups * per_group => (groups, 1, per_group, 1),
        _ => return Ok(None),
    };
    let grouped = weight.reshape((groups, out / groups, per_group, ()))?;
    Ok(Some(grouped.broadcast_mul(&scale.reshape(shape)?)?.reshape(weight.shape())?))
}

/// One number per channel, in the shape in which it broadcasts over maps of this rank.
pub(super) fn spread(channels: &Tensor, rank: usize) -> Result<Tensor> {
    let size = |axis| if axis == 1 { channels.elem_count() } else { 1 };
    channels.detach().reshape((0..rank).map(size).collect::<Vec<_>>())
}

/// What rules see of a convolution, whose `bias` is one number per channel of maps of this rank.
pub(super) fn with_channels(
    map: impl Map + 'static,
    weight: &Tensor,
    bias: &Option<Tensor>,
    rank: usize,
) -> Result<Affine> {
    let bias = bias.as_ref().map(|bias| spread(bias, rank)).transpose()?;
    Ok(Affine::new(map, weight, bias))
}
