//! How many rows a budget lets through the model at once.

use super::{Run, whole_turns};
use crate::scope::bytes_held;
use crate::{Budget, Result};

/// Rows that [`Budget::Auto`] allows.
const AUTO_ROWS: usize = 64;
/// Bytes that rows may hold which one worker differentiates together, and how many they are at most: more fall out of the
/// cache, fewer leave its products small.
const TOGETHER_BYTES: usize = 1 << 26;
const MOST_TOGETHER: usize = 5;
/// A row's gradient pass in units of what it holds: the activations, and as much again for gradients and scratch space.
const PASS_PER_HELD: usize = 2;
/// Copies of a row that its pass needs beside that, in units of its input: point, baseline, path, gradient and map.
const COPIES_PER_INPUT: usize = 8;
/// Activations of a model that shows no layers, in units of its input: a guess on the safe side.
const UNSEEN_PER_INPUT: usize = 64;

impl Run<'_> {
    /// Settles the batch by a pass of one row that serves nothing else. Where the query's rows go through the model once,
    /// the first of them are weighed on their way ([`part`](Self::part)).
    pub(super) fn weigh(&mut self) -> Result<()> {
        if self.unweighed.is_some() {
            let held = bytes_held(&self.rules, self.model, &self.input().narrow(0, 0, 1)?)?;
            self.settle(held);
        }
        Ok(())
    }

    /// The batch that fits, if the pass of a row holds so many bytes, and what of it a worker differentiates together.
    pub(super) fn settle(&mut self, held: usize) {
        let Some(bytes) = self.unweighed.take() else { return };
        if let Some(together) = TOGETHER_BYTES.checked_div(held) {
            self.together = together.clamp(1, MOST_TOGETHER);
        }
        let most = if self.query.budget_asked() == Budget::Auto { AUTO_ROWS } else { usize::MAX };
        let fits = (bytes / self.row_bytes(held)).clamp(1, most);
        self.batch = if self.input().device().is_cpu() {
            whole_turns(fits, rayon::current_num_threads(), self.together)
        } else {
            fits
        };
    }

    /// Bytes of a row of the input.
    pub(super) fn input_bytes(&self) -> usize {
        self.input().elem_count() / self.rows() * self.input().dtype().size_in_bytes()
    }

    /// Bytes that one row's gradient pass holds at its peak, by what its layers held.
    pub(super) fn row_bytes(&self, held: usize) -> usize {
        let input = self.input_bytes();
        let held = if held == 0 { UNSEEN_PER_INPUT * input } else { held + input };
        PASS_PER_HELD * held + COPIES_PER_INPUT * input
    }
}
