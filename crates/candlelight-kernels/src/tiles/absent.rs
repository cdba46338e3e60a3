//! No unit: another processor or system, or an interpreter.

use super::Multiply;
use super::block::{Step, Sums};

/// A unit that is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit(());

/// Whether there is one.
const THERE: bool = false;

impl Unit {
    pub fn here() -> Option<Self> {
        THERE.then_some(Self(()))
    }

    pub fn configured(self) -> Self {
        self
    }
}

impl Multiply for Unit {
    fn multiply(&self, _: &[Step], _: &[Step], _: &mut Sums, _: &[Step]) {
        unreachable!("a unit that is not there is handed to nobody")
    }
}
