//! What every step does by itself.

use super::blocks::{add, mark, rectify};
use super::run::{Keep, Left};
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
        rows: &mut Vec<T>,
        keep: Keep,
    ) -> Left<T> {
        let sum = |block: &mut [T], first: usize| {
            add_to_rows(block, &self.bias);
            if let Some(plus) = plus {
                add(block, &plus[first..first + block.len()]);
            }
        };
        match (self.end, keep) {
            (end, Keep::ForRules) => {
                let mut own = Vec::with_capacity(plus.map_or(0, <[T]>::len));
                let mut kept = Vec::with_capacity(out.len());
                self.conv.forward(from, x, out, rows, |block, first| {
                    add_to_rows(block, &self.bias);
                    if let Some(plus) = plus {
                        own.extend_from_slice(block);
                        add(block, &plus[first..first + block.len()]);
                    }
                    kept.extend_from_slice(block);
                    if end == End::Rectified {
                        rectify(block);
                    }
                });
                Left::Sums { own, sum: kept }
            }
            (End::Linear, _) => {
                self.conv.forward(from, x, out, rows, sum);
                Left::Nothing
            }
            (End::Rectified, Keep::Nothing) => {
                self.conv.forward(from, x, out, rows, |block, first| {
                    sum(block, first);
                    rectify(block);
                });
                Left::Nothing
            }
            (End::Rectified, Keep::ForBack) => {
                let mut marks = Vec::with_capacity(out.len());
                self.conv.forward(from, x, out, rows, |block, first| {
                    sum(block, first);
                    mark(block, &mut marks);
                    rectify(block);
                });
                Left::Marks(marks)
            }
        }
    }
}
