//! Ratios of activations and signals, elementwise.

use crate::nn::elements::{Number, has_kernels, lend, with_element, zip_map};
use candle_core::{DType, Result, Tensor};
use candlelight_kernels::{self as kernels, CARRIER, Element, carrying, stabilised};
use rayon::prelude::*;

/// c(y) / c(x).
#[inline(always)]
pub(crate) fn slope<T: Element>(y: T, x: T) -> T {
    carrying(y) / carrying(x)
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
    if epsilon == 0.0 {
        return Ok(g.clone());
    }
    if !has_kernels(z) {
        return over(&relevance(z, g)?, z, epsilon);
    }
    with_element!(z, T => {
        let epsilon = <T as Element>::from_f64(epsilon);
        zip_map(z, g, #[inline(always)] move |z: T, g: T| g * (carrying(z) / stabilised(z, epsilon)))
    })
}

/// [`share`], and per row the relevance of the sum and what of it the stabiliser absorbs.
pub(super) fn share_counted(z: &Tensor, g: &Tensor, epsilon: f64) -> Result<(Tensor, [Vec<f64>; 2])> {
    if epsilon == 0.0 {
        let received = carrying_sums(z, g)?;
        let none = vec![0.0; received.len()];
        return Ok((g.clone(), [received, none]));
    }
    if !has_kernels(z) {
        let s = share(z, g, epsilon)?;
        let counts = [carrying_sums(z, g)?, stabiliser_sums_by_candle(z, &s, epsilon)?];
        return Ok((s, counts));
    }
    with_element!(z, T => {
        let epsilon = <T as Element>::from_f64(epsilon);
        counted(z, g, #[inline(always)] move |z: T, g: T| {
            let r = carrying(z) * g;
            let s = r / stabilised(z, epsilon);
            (s, [r.to_f64(), (stabilised(z, epsilon) - z).to_f64() * s.to_f64()])
        })
    })
}

/// [`over`], and per row what of the relevance the stabiliser absorbs; `z` has the shape of `r`.
pub(super) fn over_counted(r: &Tensor, z: &Tensor, epsilon: f64) -> Result<(Tensor, Vec<f64>)> {
    if !has_kernels(r) {
        let s = over(r, z, epsilon)?;
        let absorbed = stabiliser_sums_by_candle(z, &s, epsilon)?;
        return Ok((s, absorbed));
    }
    with_element!(r, T => {
        let epsilon = <T as Element>::from_f64(epsilon);
        let (s, [_, absorbed]) = counted(r, z, #[inline(always)] move |r: T, z: T| {
            let s = r / stabilised(z, epsilon);
            (s, [0.0, (stabilised(z, epsilon) - z).to_f64() * s.to_f64()])
        })?;
        Ok((s, absorbed))
    })
}

/// `r` where `y` is above 0, and where it is below; 0 elsewhere.
pub(super) fn by_sign(y: &Tensor, r: &Tensor) -> Result<(Tensor, Tensor)> {
    if !has_kernels(y) {
        let zeros = r.zeros_like()?;
        return Ok((y.gt(0.0)?.where_cond(r, &zeros)?, y.lt(0.0)?.where_cond(r, &zeros)?));
    }
    with_element!(y, T => {
        let above = zip_map(y, r, #[inline(always)] |y: T, r: T| if y > T::ZERO { r } else { T::ZERO })?;
        let below = zip_map(y, r, #[inline(always)] |y: T, r: T| if y < T::ZERO { r } else { T::ZERO })?;
        Ok((above, below))
    })
}

/// Whether an element is below 0.
pub(crate) fn any_negative(x: &Tensor) -> Result<bool> {
    if !has_kernels(x) {
        return Ok(x.lt(0.0)?.max_all()?.to_scalar::<u8>()? > 0);
    }
    with_element!(x, T => {
        lend(x, |x: &[T]| x.par_chunks(BLOCK).any(|x| x.iter().fold(false, |any, x| any | (*x < T::ZERO))))
    })
}

/// Elements that one sum takes: fixed, so that the number of threads does not change how sums are rounded.
const BLOCK: usize = 1 << 14;

/// `f` of every pair of elements, and per row the sums of two numbers that it counts.
fn counted<T: Number>(
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(T, T) -> (T, [f64; 2]) + Copy + Sync,
) -> Result<(Tensor, [Vec<f64>; 2])> {
    let width = width(a)?;
    let row = |(out, a): (&mut [T], &[T])| -> [f64; 2] {
        let blocks = out.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK));
        let blocks: Vec<[f64; 2]> = blocks.map(|(out, a)| kernels::replace_counted(a, out, f)).collect();
        [0, 1].map(|index| blocks.iter().map(|block| block[index]).sum())
    };
    let mut out = lend(b, |b: &[T]| b.to_vec())?;
    let rows: Vec<_> = lend(a, |a| out.chunks_mut(width).zip(a.chunks(width)).map(row).collect())?;
    let counts = [0, 1].map(|index| rows.iter().map(|row| row[index]).collect());
    Ok((Tensor::from_vec(out, a.shape(), a.device())?, counts))
}

/// Per row the sum of `f` over the pairs of elements of `a` and `b`, in double precision.
fn sums<T: Number>(a: &Tensor, b: &Tensor, f: impl Fn(T, T) -> f64 + Copy + Sync) -> Result<Vec<f64>> {
    let width = width(a)?;
    let row = |(a, b): (&[T], &[T])| -> f64 {
        let blocks = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK));
        let blocks: Vec<f64> = blocks.map(|(a, b)| kernels::sum_of_pairs(a, b, f)).collect();
        blocks.into_iter().sum()
    };
    lend(a, |a| lend(b, |b| a.chunks(width).zip(b.chunks(width)).map(row).collect()))?
}

/// Elements of a row; at least one, so that slices can be cut by it.
fn width(x: &Tensor) -> Result<usize> {
    Ok((x.elem_count() / x.dim(0)?.max(1)).max(1))
}

/// Per row the sum of all elements, by candle's operations.
fn sums_by_candle(x: &Tensor) -> Result<Vec<f64>> {
    x.flatten_from(1)?.sum(1)?.to_dtype(DType::F64)?.to_vec1()
}

/// Per row Σ c(a) · g.
pub(super) fn carrying_sums(a: &Tensor, g: &Tensor) -> Result<Vec<f64>> {
    match has_kernels(a) {
        true => {
            with_element!(a, T => sums(a, g, #[inline(always)] |a: T, g: T| carrying(a).to_f64() * g.to_f64()))
        }
        false => sums_by_candle(&relevance(a, g)?),
    }
}

/// Per row Σ (c(z) + ε sign z − z) · s, by candle's operations.
fn stabiliser_sums_by_candle(z: &Tensor, s: &Tensor, epsilon: f64) -> Result<Vec<f64>> {
    sums_by_candle(&stabilised_by_candle(z, epsilon)?.sub(z)?.broadcast_mul(s)?)
}

/// Per row Σ b · s for a `b` that broadcasts over `s`.
pub(super) fn constant_sums(b: &Tensor, s: &Tensor) -> Result<Vec<f64>> {
    if has_kernels(s) && b.elem_count() * s.dim(0)? <= s.elem_count() {
        return with_element!(s, T => constant_by_kernel::<T>(b, s));
    }
    let axes = (1..s.rank()).filter(|&axis| {
        let own = (b.rank() + axis).checked_sub(s.rank());
        own.is_none_or(|own| b.dims()[own] == 1)
    });
    let s = s.sum_keepdim(axes.collect::<Vec<_>>())?;
    sums_by_candle(&s.broadcast_mul(b)?.to_dtype(DType::F64)?)
}

/// [`constant_sums`] where the elements of `b` meet consecutive runs of those of `s`.
fn constant_by_kernel<T: Number>(b: &Tensor, s: &Tensor) -> Result<Vec<f64>> {
    let ones = b.dims().iter().rev().take_while(|&&size| size == 1).count();
    let area: usize = s.dims()[s.rank() - ones.min(s.rank() - 1)..].iter().product();
    let width = (s.elem_count() / s.dim(0)?.max(1)).max(1);
    let run =
        |(run, &b): (&[T], &T)| Element::to_f64(b) * run.iter().map(|&s| Element::to_f64(s)).sum::<f64>();
    lend(b, |b: &[T]| {
        lend(s, |s: &[T]| {
            let row = |row: &[T]| -> f64 {
                let parts = row.par_chunks(area * b.len());
                let sums: Vec<f64> = parts.map(|part| part.chunks(area).zip(b).map(run).sum()).collect();
                sums.into_iter().sum()
            };
            s.chunks(width).map(row).collect()
        })
    })?
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
