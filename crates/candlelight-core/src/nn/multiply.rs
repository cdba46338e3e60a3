//! How chains multiply out their convolutions.

use candlelight_kernels::chain::Multiply;
use std::cell::Cell;

thread_local! {
    static WANTED: Cell<Multiply> = const { Cell::new(Multiply::Winograd) };
}

/// Puts back what was wanted before, also when the closure panics.
struct Before(Multiply);

impl Drop for Before {
    fn drop(&mut self) {
        WANTED.set(self.0);
    }
}

/// Runs `f`, in which a model is built: its [`Chain`](super::Chain)s multiply out their convolutions as they are
/// defined.
///
/// Elsewhere chains of float32 take Winograd's F(2x2, 3x3) for windows of 3x3 that slide by one
/// ([Lavin and Gray 2015](https://arxiv.org/abs/1509.09308)): fewer multiplications, and sums whose rounding is about
/// twice as coarse. Float64, layers that run on their own and devices are exact in this sense anyway.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candlelight_core::nn::{Chain, Conv2d, Conv2dConfig, without_winograd};
///
/// let weight = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// let conv = Conv2d::new(weight, None, Conv2dConfig::default());
/// let exact = without_winograd(|| Chain::record(|chain| chain.conv(chain.input(), &conv, None)));
/// assert!(exact.is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn without_winograd<R>(f: impl FnOnce() -> R) -> R {
    let before = Before(WANTED.replace(Multiply::Directly));
    let result = f();
    drop(before);
    result
}

/// What chains of float32 that are recorded on this thread do.
pub(super) fn wanted() -> Multiply {
    WANTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_ends_with_its_closure_even_if_that_panics() {
        assert_eq!(without_winograd(wanted), Multiply::Directly);
        assert!(std::panic::catch_unwind(|| without_winograd(|| panic!("as planned"))).is_err());
        assert_eq!(wanted(), Multiply::Winograd);
    }
}
