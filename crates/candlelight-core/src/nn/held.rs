//! Frozen weights of fully connected layers as the processor's matrix unit multiplies them.

use super::elements::{lend, wide, widened};
use super::multiply;
use candle_core::{DType, Tensor};
use candlelight_kernels::chain::Multiply;
use candlelight_kernels::{Matrix, Split};
use std::sync::{Arc, OnceLock};

/// Which way a product with a weight `[out, in]` goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// `[…, in]` to `[…, out]`.
    Forth,
    /// `[…, out]` to `[…, in]`.
    Back,
}

impl Way {
    /// The weight as a right factor.
    pub fn view<T>(self, weight: Matrix<T>) -> Matrix<T> {
        match self {
            Self::Forth => weight.transposed(),
            Self::Back => weight,
        }
    }
}

/// A weight laid out for either way, each when it is first asked for; nothing where there is no unit, or nobody wants it.
#[derive(Clone, Debug)]
pub(super) struct Held(Option<Arc<[OnceLock<Option<Split>>; 2]>>);

impl Held {
    /// Nothing yet, for a model as it is wanted where it is built.
    pub fn new() -> Self {
        Self((multiply::wanted() == Multiply::Fast).then(Arc::default))
    }

    /// What numbers like those of `x` are multiplied by, if the unit does that.
    pub fn split(&self, x: &Tensor, weight: &Tensor, way: Way) -> Option<&Split> {
        let is_single = x.device().is_cpu() && wide(x.dtype()) == DType::F32 && x.dtype() == weight.dtype();
        let make = || {
            let (outputs, inputs) = weight.dims2()?;
            lend(&widened(weight)?, |weight| Split::new(way.view(Matrix::new(weight, outputs, inputs))))
        };
        // What cannot be lent is an error where the layer multiplies without a unit.
        let held = self.0.as_ref().filter(|_| is_single)?[way as usize].get_or_init(|| make().ok().flatten());
        held.as_ref().filter(|split| x.dims().last() == Some(&split.size().0))
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::{Linear, Module, as_defined};
    use candle_core::{DType, Device, Result, Tensor, Var};

    fn wave(shape: (usize, usize), step: f64) -> Result<Tensor> {
        let values = (0..shape.0 * shape.1).map(|i| (i as f64 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }

    /// What a layer gives, and the gradient of its squares.
    fn both_ways(linear: &Linear, x: &Tensor) -> Result<[Tensor; 2]> {
        let x = Var::from_tensor(x)?;
        let y = linear.forward(&x)?;
        let gradient = y.sqr()?.sum_all()?.backward()?.get(&x).expect("a gradient of the input").clone();
        Ok([y.detach(), gradient])
    }

    fn apart(x: &Tensor, exact: &Tensor) -> Result<f64> {
        let off = (x.to_dtype(DType::F64)? - exact)?.abs()?.max_all()?.to_scalar::<f64>()?;
        Ok(off / exact.abs()?.max_all()?.to_scalar::<f64>()?)
    }

    #[test]
    fn a_frozen_weight_gives_what_a_trained_one_gives_also_without_a_unit() -> Result<()> {
        let (weight, bias, x) =
            (wave((270, 300), 0.3)?, wave((1, 270), 0.9)?.squeeze(0)?, wave((5, 300), 0.7)?);
        for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::BF16, 1e-2)] {
            let stored = |tensor: &Tensor| tensor.to_dtype(dtype);
            let (weight, bias, x) = (stored(&weight)?, stored(&bias)?, stored(&x)?);
            let exactly = |tensor: &Tensor| tensor.to_dtype(DType::F64);
            let exact = both_ways(&Linear::new(exactly(&weight)?, Some(exactly(&bias)?)), &exactly(&x)?)?;
            let frozen = || Linear::new(weight.clone(), Some(bias.clone()));
            let trained = Linear::new(Var::from_tensor(&weight)?.into_inner(), Some(bias.clone()));
            for linear in [frozen(), as_defined(frozen), trained] {
                for (found, exact) in both_ways(&linear, &x)?.iter().zip(&exact) {
                    assert!(apart(found, exact)? < tolerance, "{dtype:?}: {}", apart(found, exact)?);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn rows_that_do_not_fit_are_an_error() -> Result<()> {
        let linear = Linear::new(wave((270, 300), 0.3)?.to_dtype(DType::F32)?, None);
        assert!(linear.forward(&wave((5, 299), 0.7)?.to_dtype(DType::F32)?).is_err());
        assert!(linear.forward(&wave((5, 300), 0.7)?).is_err(), "numbers of another type");
        Ok(())
    }
}
