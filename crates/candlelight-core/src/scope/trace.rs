//! What a layer under a rule leaves for a batch norm that it is merged with.

use super::with_scope;
use crate::rules::Rule;
use crate::rules::affine::Affine;
use candle_core::Tensor;

/// How an output came about.
#[derive(Clone)]
pub(crate) struct Trace {
    /// The input as it hangs in the graph.
    pub input: Tensor,
    pub affine: Affine,
    pub rule: Rule,
}

/// Leaves the trace of `y`.
pub(crate) fn leave(y: &Tensor, trace: Trace) {
    with_scope(|scope| scope.traces.insert(y.id(), trace));
}

/// The trace of `x`, if a layer under a rule made it.
pub(crate) fn trace_of(x: &Tensor) -> Option<Trace> {
    with_scope(|scope| scope.traces.get(&x.id()).cloned()).flatten()
}
