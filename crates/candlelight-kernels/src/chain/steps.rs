//! What every step does by itself.

use super::blocks::{add, mark, rectify};
use super::run::{Keep, Left};
use super::workers::{Beside, Workers};
use super::{Convolve, End, Maps, Step};
use crate::linear::add_to_rows;
use crate::{Element, Window};

impl<T: Element> Step<T> {
    pub(super) fn from(&self) -> usize {
        match self {
            Self::Conv(step) => step.from,
            Self::MaxPool { from, .. }
            | Self::Subsample { from, .. }
            | Self::Encoder { from, .. }
            | Self::FirstToken { from, .. } => *from,
        }
    }

    pub(super) fn window(&self) -> Option<Window> {
        match self {
            Self::Conv(step) => Some(step.conv.window()),
            Self::MaxPool { pool, .. } => Some(pool.window()),
            Self::Subsample { subsample, .. } => Some(subsample.window()),
            Self::Encoder { .. } | Self::FirstToken { .. } => None,
        }
    }

    /// How often its value was changed in place.
    pub(super) fn changes(&self) -> usize {
        match self {
            Self::Conv(step) => usize::from(step.plus.is_some()) + usize::from(step.end == End::Rectified),
            _ => 0,
        }
    }

    pub(super) fn plus(&self) -> Option<usize> {
        match self {
            Self::Conv(step) => step.plus,
            _ => None,
        }
    }

    /// Whether it is one of a model's layers.
    pub(super) fn is_layer(&self) -> bool {
        !matches!(self, Self::Subsample { .. })
    }

    pub(super) fn uses(&self, value: usize) -> bool {
        self.from() == value || self.plus() == Some(value)
    }
}

impl<T: Element> Convolve<T> {
    pub(super) fn forward(
        &self,
        (from, x): (Maps, &[T]),
        plus: Option<&[T]>,
        out: &mut [T],
        (keep, workers): (Keep, Workers<T>),
    ) -> Left<T> {
        let len = out.len();
        let room = |wanted: bool| if wanted { vec![T::ZERO; len] } else { Vec::new() };
        let mut own = room(keep == Keep::ForRules && plus.is_some());
        let mut sum = room(keep == Keep::ForRules);
        let rectified = self.end == End::Rectified;
        let mut marks = if rectified && keep == Keep::ForBack { vec![0; len] } else { Vec::new() };
        let beside = Beside { marks: &mut marks, own: &mut own, sum: &mut sum };
        self.conv.forward((from, x), (out, beside), workers, self.end(plus));
        match keep {
            Keep::ForRules => Left::Sums { own, sum },
            Keep::ForBack if rectified => Left::Marks(marks),
            Keep::ForBack | Keep::Nothing => Left::Nothing,
        }
    }

    /// What finishes a block of the product that begins at an element, and keeps beside it what is asked for.
    pub(super) fn end(&self, plus: Option<&[T]>) -> impl Fn(&mut [T], Beside<T>, usize) + Sync {
        move |block, beside, first| {
            add_to_rows(block, &self.bias);
            if let Some(plus) = plus {
                keep_if_asked(block, beside.own);
                add(block, &plus[first..first + block.len()]);
            }
            keep_if_asked(block, beside.sum);
            if self.end == End::Rectified {
                mark(block, beside.marks);
                rectify(block);
            }
        }
    }
}

/// Copies `block` to where it is kept, if it is.
fn keep_if_asked<T: Copy>(block: &[T], kept: &mut [T]) {
    kept.copy_from_slice(&block[..kept.len()]);
}
