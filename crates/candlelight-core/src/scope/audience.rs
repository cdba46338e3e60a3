//! Who would miss a pass that does not happen.

use super::{Changes, Purpose, Scope, with_scope};
use candle_core::Tensor;

/// Who is there when a model is handed a batch.
pub(crate) enum Audience {
    Nobody,
    /// Who knows how the rows of the batch differ from one row, and wants the outputs alone.
    Changes(Changes),
    /// Who watches, weighs or lists layers, or has a rule for them; or tokens are absent.
    Somebody,
}

/// Who is there when a model is handed `x`.
pub(crate) fn audience(x: &Tensor) -> Audience {
    with_scope(|scope| scope.audience(x)).unwrap_or(Audience::Nobody)
}

impl Scope {
    fn audience(&self, x: &Tensor) -> Audience {
        let looks = self.purpose != Purpose::Watch || !self.watches.is_empty() || !self.rules.is_empty();
        match &self.changes {
            Some(changes) if !looks && self.absent.is_none() && changes.are_of(x) => {
                Audience::Changes(changes.clone())
            }
            _ => Audience::Somebody,
        }
    }
}
