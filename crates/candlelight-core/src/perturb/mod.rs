//! What methods that take features away have in common: who is present, and one plan of model calls.

mod calls;
mod coalition;
mod tokens;

pub(crate) use calls::Calls;
pub(crate) use coalition::Coalition;
