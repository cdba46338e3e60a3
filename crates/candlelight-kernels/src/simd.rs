//! Loops for the vector unit that is there.

/// Runs `f` compiled for the widest vectors of this processor: plain loops inside are vectorised for them, where
/// otherwise they would be for the oldest processor of the architecture. Write `#[inline(always)]` before the closure: one
/// that is not inlined is compiled as if it stood outside.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}
