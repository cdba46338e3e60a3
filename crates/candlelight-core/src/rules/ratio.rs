//! Ratios of activations and signals, elementwise.

use super::CARRIER;
use crate::nn::elements::{has_kernels, with_element, zip_map};
use candle_core::{Result, Tensor};
use candlelight_kernels::Element;

/// The activation that carries relevance: `x`, kept away from 0.
#[inline(always)]
fn carrying<T: Element>(x: T) -> T {
    let least = T::from_f64(CARRIER);
    if x >= least || x <= -least {
        x
    } else if x >= T::ZERO {
        least
    } else {
        -least
    }
}

/// x + ε sign x of the carrying activation.
#[inline(always)]
fn stabilised<T: Element>(x: T, epsilon: T) -> T {
    if x >= T::ZERO { carrying(x) + epsilon } else { carrying(x) - epsilon }
}

fn carrying_by_candle(x: &Tensor) -> Result<Tensor> {
    stabilised_by_candle(x, 0.0)
}

fn stabilised_by_candle(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let sign = x.ge(0.0)?.to_dtype(x.dtype())?.affine(2.0, -1.0)?;
    let large = x.abs()?.maximum(CARRIER)?;
    (large + epsilon)? * sign
}

/// The relevance R = c(a) · g of the activations `a` under the signal `g`.
pub(crate) fn relevance(a: &Tensor, g: &Tensor) -> Result<Tensor> {
    match has_kernels(a) {
        true => with_element!(a, T => zip_map(a, g, #[inline(always)] |a: T, g: T| carrying(a) * g)),
        false => carrying_by_candle(a)? * g,
    }
}

/// R / (z + ε sign z).
pub(crate) fn over(r: &Tensor, z: &Tensor, epsilon: f64) -> Result<Tensor> {
    if !has_kernels(r) {
        return r.broadcast_div(&stabilised_by_candle(z, epsilon)?);
    }
    let z = z.broadcast_as(r.shape())?;
    with_element!(r, T => {
        let epsilon = <T as Element>::from_f64(epsilon);
        zip_map(r, &z, #[inline(always)] move |r: T, z: T| r / stabilised(z, epsilon))
    })
}

/// The signal R / c(a) of the relevance `r` on activations `a`.
pub(crate) fn signal(r: &Tensor, a: &Tensor) -> Result<Tensor> {
    over(r, a, 0.0)
}

/// g · c(z) / (z + ε sign z): the signal of a sum z, as its addends get it.
pub(crate) fn share(z: &Tensor, g: &Tensor, epsilon: f64) -> Result<Tensor> {
    if !has_kernels(z) {
        return over(&relevance(z, g)?, z, epsilon);
    }
    with_element!(z, T => {
        let epsilon = <T as Element>::from_f64(epsilon);
        zip_map(z, g, #[inline(always)] move |z: T, g: T| g * (carrying(z) / stabilised(z, epsilon)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn candles_operations_give_what_the_kernels_give() -> Result<()> {
        let x = Tensor::new(&[0.0f64, -0.0, 1e-30, -1e-30, 2.0, -3.0], &Device::Cpu)?;
        let by_kernel = over(&x.ones_like()?, &x, 0.5)?;
        let by_candle = stabilised_by_candle(&x, 0.5)?.recip()?;
        let apart = (by_kernel - by_candle)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(apart < 1e-15, "{apart:e}");
        Ok(())
    }

    #[test]
    fn relevance_on_a_dead_unit_survives_the_way_to_a_signal_and_back() -> Result<()> {
        for dtype in [DType::F32, DType::F64] {
            let a = Tensor::new(&[0.0f64, 0.5, -2.0], &Device::Cpu)?.to_dtype(dtype)?;
            let r = Tensor::new(&[3.0f64, -1.0, 0.25], &Device::Cpu)?.to_dtype(dtype)?;
            let back = relevance(&a, &signal(&r, &a)?)?;
            let apart = (back - r)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            assert!(apart < 1e-6, "{apart:e}");
        }
        Ok(())
    }
}
