//! What can be explained.

use candle_core::Module;

/// Anything that maps a batch of inputs to a batch of outputs, and may be called from several threads: every
/// `candle_core::Module + Sync`, closures `Fn(&Tensor) -> candle_core::Result<Tensor>` included.
///
/// # Shapes
/// Input `[N, …]`, output `[N, classes]`, or `[N]` for a model with one score.
pub trait Model: Module + Sync {}

impl<M: Module + Sync + ?Sized> Model for M {}
