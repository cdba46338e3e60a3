//! The bridge from tensors to the CPU kernels.

use candle_core::{DType, Result, Storage, Tensor, WithDType};
use candlelight_kernels::Element;

/// The element types of kernels as candle knows them.
pub(crate) trait Number: Element + WithDType + Default {}
impl<T: Element + WithDType + Default> Number for T {}

/// Whether the CPU kernels can compute on this tensor; elsewhere candle's own operations do.
pub(crate) fn has_kernels(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// The type in which numbers of a type are computed: single for half precision, every other in itself.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// Half precision as single, everything else as it is.
pub(crate) fn widened(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(wide(x.dtype()))
}

/// `f` of `tensors`. Half precision is a way to store on a CPU, not to compute: there `f` gets single, and what it gives is
/// rounded back.
pub(crate) fn computed<const N: usize>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&Tensor; N]) -> Result<Tensor>,
) -> Result<Tensor> {
    let (dtype, device) = (tensors[0].dtype(), tensors[0].device());
    if !device.is_cpu() || wide(dtype) == dtype {
        return f(tensors);
    }
    let tensors = tensors.into_iter().map(widened).collect::<Result<Vec<_>>>()?;
    f(std::array::from_fn(|i| &tensors[i]))?.to_dtype(dtype)
}

/// The product of matrices.
pub(crate) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    computed([a, b], |[a, b]| a.matmul(b))
}

/// Evaluates an expression with `$T` bound to the tensor's element type; only after [`has_kernels`].
macro_rules! with_element {
    ($x:expr, $T:ident => $body:expr) => {
        match $x.dtype() {
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// Lends the elements of a CPU tensor to `f`, in row-major order.
pub(crate) fn lend<T: Number, R>(x: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { candle_core::bail!("a CPU kernel needs a CPU tensor") };
    let from = layout.start_offset();
    Ok(f(&storage.as_slice::<T>()?[from..from + layout.shape().elem_count()]))
}

/// [`lend`] of a tensor that may not be there.
pub(super) fn lend_some<T: Number, R>(x: Option<&Tensor>, f: impl FnOnce(Option<&[T]>) -> R) -> Result<R> {
    match x {
        Some(x) => lend(x, |x| f(Some(x))),
        None => Ok(f(None)),
    }
}

/// Applies `f` to every element.
pub(super) fn map<T: Number>(x: &Tensor, f: impl Fn(T) -> T + Sync) -> Result<Tensor> {
    let y = lend(x, |x: &[T]| candlelight_kernels::map(x, f))?;
    Tensor::from_vec(y, x.shape(), x.device())
}

/// Applies `f` to every pair of elements.
pub(crate) fn zip_map<T: Number>(a: &Tensor, b: &Tensor, f: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let y = lend(a, |a: &[T]| lend(b, |b: &[T]| candlelight_kernels::zip_map(a, b, f)))??;
    Tensor::from_vec(y, a.shape(), a.device())
}
