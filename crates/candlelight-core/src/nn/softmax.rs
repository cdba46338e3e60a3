//! Softmax over one axis.

use super::elements::{computed, has_kernels, lend, with_element};
use crate::rules::pair::{Pair, both};
use crate::rules::{Form, Rule, rescale};
use crate::scope::{Asking, Kind, report, rule_for};
use crate::vjp::vjp_of_fresh;
use candle_core::shape::Dim;
use candle_core::{D, Result, Tensor};
use candlelight_kernels as kernels;

/// Softmax over the axis `dim`.
///
/// # Errors
/// If there is no such axis.
pub fn softmax<A: Dim>(x: &Tensor, dim: A) -> Result<Tensor> {
    let axis = dim.to_index(x.shape(), "softmax")?;
    let last = x.rank() - 1;
    if axis == last {
        return softmax_last_dim(x);
    }
    let rule = rule_for(Asking::new("", &Kind::Softmax, Form::Softmax));
    let y = last_softmax(&x.transpose(axis, last)?.contiguous()?, rule)?;
    report("", Kind::Softmax, 0, y.transpose(axis, last)?.contiguous()?)
}

/// Softmax over the last axis, with its gradient (candle_nn's fused one has none).
///
/// # Errors
/// If candle fails.
pub fn softmax_last_dim(x: &Tensor) -> Result<Tensor> {
    let rule = rule_for(Asking::new("", &Kind::Softmax, Form::Softmax));
    report("", Kind::Softmax, 0, last_softmax(x, rule)?)
}

/// [`softmax_last_dim`] without a report, under a rule.
pub(super) fn last_softmax(x: &Tensor, rule: Option<Rule>) -> Result<Tensor> {
    computed([x], |[x]| joined(x, rule))
}

/// The softmax, joined to the graph.
fn joined(x: &Tensor, rule: Option<Rule>) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let input = x.detach();
    let y = match has_kernels(&input) {
        true => with_element!(input, T => {
            let y = lend(&input, |x: &[T]| kernels::softmax(x, width))?;
            Tensor::from_vec(y, input.shape(), input.device())?
        }),
        false => candle_nn::ops::softmax(&input, D::Minus1)?,
    };
    let pairs = rule.filter(Rule::is_of_pairs);
    vjp_of_fresh(&[x], y, move |y, g| {
        Ok(vec![Some(match pairs {
            Some(_) => both(&rescale::softmax(&Pair::of(&input)?, &Pair::of(g)?.x)?)?,
            None => gradient(y, g, width)?,
        })])
    })
}

fn gradient(y: &Tensor, g: &Tensor, width: usize) -> Result<Tensor> {
    let y = y.detach();
    if !has_kernels(&y) {
        let mean = (&y * g)?.sum_keepdim(D::Minus1)?;
        return y * g.broadcast_sub(&mean)?;
    }
    with_element!(y, T => {
        let run = |y: &[T], g: &[T]| kernels::softmax_gradient(y, g, width);
        Tensor::from_vec(lend(&y, |y| lend(g, |g| run(y, g)))??, y.shape(), y.device())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn any_axis_is_normalised() -> Result<()> {
        let x = Tensor::arange(0.0f64, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?.sin()?;
        for axis in 0..3 {
            let apart = (softmax(&x, axis)? - candle_nn::ops::softmax(&x, axis)?)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f64>()? < 1e-15);
        }
        Ok(())
    }

    #[test]
    fn large_scores_neither_overflow_nor_lose_their_gradient() -> Result<()> {
        let x = Var::new(&[[1e4f64, 1e4, -1e4]], &Device::Cpu)?;
        let y = softmax_last_dim(&x)?;
        assert_eq!(y.to_vec2::<f64>()?, [[0.5, 0.5, 0.0]]);
        let g = y.narrow(1, 0, 1)?.sum_all()?.backward()?;
        assert_eq!(g.get(&x).unwrap().to_vec2::<f64>()?, [[0.25, -0.25, 0.0]]);
        Ok(())
    }
}
