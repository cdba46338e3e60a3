//! Rules: what an operation hands back in place of its gradient, as pure functions on tensors.

pub(crate) mod pair;
pub(crate) mod rescale;
