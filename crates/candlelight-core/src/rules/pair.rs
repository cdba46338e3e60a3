//! Inputs and their references in one batch. What flows back is a multiplier for each pair: the change of the score over
//! the change from reference to input. Both halves of the batch hold it, but where
//! [`reveal_cancel`](super::reveal_cancel) says otherwise.

use candle_core::{Result, Tensor};

/// A batch whose first half are inputs and whose second half are their references, in the same order.
pub(crate) struct Pair {
    pub(crate) x: Tensor,
    pub(crate) reference: Tensor,
}

impl Pair {
    /// The halves of a batch.
    ///
    /// # Errors
    /// If its rows do not come in pairs.
    pub(crate) fn of(batch: &Tensor) -> Result<Self> {
        let rows = batch.dim(0)?;
        if !rows.is_multiple_of(2) {
            candle_core::bail!("a rule for pairs of input and reference got {rows} rows, which are no pairs")
        }
        let half = |index: usize| batch.detach().narrow(0, index * rows / 2, rows / 2);
        Ok(Self { x: half(0)?, reference: half(1)? })
    }

    /// Both halves as one batch again.
    pub(crate) fn joined(&self) -> Result<Tensor> {
        Tensor::cat(&[&self.x, &self.reference], 0)
    }

    /// x − x′.
    pub(crate) fn difference(&self) -> Result<Tensor> {
        &self.x - &self.reference
    }

    /// (x + x′) / 2.
    pub(crate) fn middle(&self) -> Result<Tensor> {
        (&self.x + &self.reference)? * 0.5
    }

    /// Both halves after `f`.
    pub(crate) fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { x: f(&self.x)?, reference: f(&self.reference)? })
    }
}

/// Multipliers as the signal of a batch of pairs: the same for either half.
pub(crate) fn both(multipliers: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[multipliers, multipliers], 0)
}
