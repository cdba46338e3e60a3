//! Loops for the vector unit that is there.

/// Runs `f` compiled for the widest vectors of this processor: plain loops inside are vectorised for them, where
/// otherwise they would be for the oldest processor of the architecture.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}
