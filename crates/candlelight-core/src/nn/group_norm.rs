//! Group normalisation.

use super::conv_maps::spread;
use super::normalise::Rows;
use super::planes::{plane_affine, sum_channels};
use super::ruled::detached;
use super::{Module, VarBuilder};
use crate::rules::Form;
use crate::scope::{Asking, Kind, account, report, report_biased, rule_for};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};

/// Standardises each group of channels of each image, then y = x · weight + bias per channel
/// ([Wu & He 2018](https://arxiv.org/abs/1803.08494)).
///
/// # Shapes
/// Input and output `[N, channels, …]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    channels: usize,
    groups: usize,
    name: String,
}

impl GroupNorm {
    /// A layer with these parameters, both `[num_channels]`.
    ///
    /// # Errors
    /// If the groups do not divide the channels.
    pub fn new(
        weight: Tensor,
        bias: Tensor,
        num_channels: usize,
        num_groups: usize,
        eps: f64,
    ) -> Result<Self> {
        if !num_channels.is_multiple_of(num_groups) {
            candle_core::bail!("a group norm of {num_groups} groups cannot divide {num_channels} channels")
        }
        Ok(Self { weight, bias, eps, channels: num_channels, groups: num_groups, name: String::new() })
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The elements that are standardised together.
    fn width(&self, x: &Tensor) -> Result<usize> {
        match x.dims() {
            [_, channels, rest @ ..] if *channels == self.channels && !rest.is_empty() => {
                Ok(channels / self.groups * rest.iter().product::<usize>())
            }
            dims => candle_core::bail!(
                "group norm `{}` takes [N, {}, …], the input has {dims:?}",
                self.name,
                self.channels
            ),
        }
    }

    /// What `y` is beyond the derivative at `x` times `x`, as of a layer norm.
    fn beyond(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let rows = (x.elem_count() / self.width(x)?.max(1), self.width(x)?);
        let (input, weight) = (x.detach().contiguous()?.reshape(rows)?, self.weight.detach());
        let along = Rows::Standardized.gradient(&input, &input, self.eps)?.reshape(x.shape())?;
        y.detach() - plane_affine(&along, &weight, &weight.zeros_like()?)?
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = (x.elem_count() / self.width(x)?.max(1), self.width(x)?);
        let (input, eps) = (x.detach().contiguous()?.reshape(rows)?, self.eps);
        let unit = Rows::Standardized.of(&input, eps)?.reshape(x.shape())?;
        let weight = self.weight.detach();
        let y = plane_affine(&unit, &weight, &self.bias.detach())?;
        if let Some(rule) = rule_for(Asking::new(&self.name, &Kind::LayerNorm, Form::Norm)) {
            let back = Rows::Standardized.under(&rule);
            let back = move |g: &Tensor| {
                let scaled = plane_affine(g, &weight, &weight.zeros_like()?)?.reshape(rows)?;
                back(Rows::Standardized, &input, &scaled, eps)?.reshape(g.shape())
            };
            let bias = Some(spread(&self.bias, x.rank())?);
            let y = detached(x, y, bias, account(&self.name, Kind::LayerNorm, &rule), back)?;
            return report(&self.name, Kind::LayerNorm, 0, y);
        }
        let trained = self.weight.track_op() || self.bias.track_op();
        let pullback = move |_: &Tensor, g: &Tensor| {
            let scaled = plane_affine(g, &weight, &weight.zeros_like()?)?.reshape(rows)?;
            let dx = Some(Rows::Standardized.gradient(&input, &scaled, eps)?.reshape(g.shape())?);
            if !trained {
                return Ok(vec![dx]);
            }
            Ok(vec![dx, Some(sum_channels(&(g * &unit)?)?), Some(sum_channels(g)?)])
        };
        let y = vjp_of_fresh(&[x, &self.weight, &self.bias], y, pullback)?;
        report_biased(&self.name, Kind::LayerNorm, 0, y, |y| self.beyond(x, y).map(Some))
    }
}

/// A layer with its parameters from `vb`: `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape, or if the groups do not divide the channels.
pub fn group_norm(num_groups: usize, num_channels: usize, eps: f64, vb: VarBuilder) -> Result<GroupNorm> {
    let weight = vb.get_with_hints(num_channels, "weight", candle_nn::Init::Const(1.0))?;
    let bias = vb.get_with_hints(num_channels, "bias", candle_nn::Init::Const(0.0))?;
    Ok(GroupNorm::new(weight, bias, num_channels, num_groups, eps)?.at(vb.prefix()))
}
