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
