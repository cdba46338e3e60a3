//! How layers multiply their weights.

use candlelight_kernels::chain::Multiply;
use std::cell::Cell;

thread_local! {
    static WANTED: Cell<Multiply> = const { Cell::new(Multiply::Fast) };
}

/// Puts back what was wanted before, also when the closure panics.
struct Before(Multiply);

impl Drop for Before {
    fn drop(&mut self) {
        WANTED.set(self.0);
    }
}

/// Runs `f`, in which a model is built: its weights are multiplied as its layers are defined, every one with every element.
///
/// Elsewhere, in float32 on a CPU,
///
/// - [`Chain`](super::Chain)s take Winograd's F(2x2, 3x3) for windows of 3x3 that slide by one
///   ([Lavin and Gray 2015](https://arxiv.org/abs/1509.09308)): fewer multiplications, and sums whose rounding is about
///   twice as coarse;
/// - chains and [`Linear`](super::Linear) layers multiply frozen weights of 256 inputs and more on Intel's AMX, where the
///   processor has it (Linux): numbers become multiples of 2⁻²³ of the largest in 384 of their row, and the products of
///   these are added up without rounding ([Ootomo, Ozaki and Yokota 2024](https://arxiv.org/abs/2306.11975)). The result
///   is as near to double precision as a product in single precision, unless what is small in a row counts as much as what
///   is more than 1000 times as large.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candlelight_core::nn::{Chain, Conv2d, Conv2dConfig, as_defined};
///
/// let weight = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// let conv = Conv2d::new(weight, None, Conv2dConfig::default());
/// let exact = as_defined(|| Chain::record(|chain| chain.conv(chain.input(), &conv, None)));
/// assert!(exact.is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn as_defined<R>(f: impl FnOnce() -> R) -> R {
    let before = Before(WANTED.replace(Multiply::Directly));
    let result = f();
    drop(before);
    result
}

/// What models that are built on this thread do.
pub(super) fn wanted() -> Multiply {
    WANTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_ends_with_its_closure_even_if_that_panics() {
        assert_eq!(as_defined(wanted), Multiply::Directly);
        assert!(std::panic::catch_unwind(|| as_defined(|| panic!("as planned"))).is_err());
        assert_eq!(wanted(), Multiply::Fast);
    }
}
