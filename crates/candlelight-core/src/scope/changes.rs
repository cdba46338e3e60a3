//! Batches whose rows are one row with a rectangle changed.

use super::{Scope, with_scope, within};
use crate::Reuse;
use candle_core::{Tensor, TensorId};
use candlelight_kernels::chain::{Known, Region, Together, Work};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One row, what chains make of it, and the work that this saved so far.
#[derive(Clone)]
pub(crate) struct Original {
    row: Tensor,
    together: Together,
    record: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    known: Vec<KnownValues>,
    work: Work,
    recalled: bool,
}

/// All values of some chains.
#[derive(Clone)]
pub(crate) enum KnownValues {
    F32(Arc<Known<f32>>),
    F64(Arc<Known<f64>>),
}

/// A batch that is on its way through a model.
#[derive(Clone)]
pub(crate) struct Changes {
    original: Original,
    points: TensorId,
    regions: Arc<[Region]>,
}

impl Original {
    /// The row `[1, C, H, W]`, and which of its versions go through together.
    pub(crate) fn new(row: &Tensor, together: Together) -> Self {
        Self { row: row.clone(), together, record: Arc::default() }
    }

    /// Runs `pass` on `points`, of which point k differs from the row in rectangle `regions[k]` at most.
    pub(crate) fn hold<R>(&self, points: &Tensor, regions: &[Region], pass: impl FnOnce() -> R) -> R {
        let changes = Changes { original: self.clone(), points: points.id(), regions: regions.into() };
        within(Scope { changes: Some(changes), ..Scope::default() }, pass).0
    }

    /// An order of points that differ from the row in these rectangles in which they go well together; as they are if no
    /// chain has run on the row yet.
    pub(crate) fn arranged(&self, regions: &[Region]) -> Vec<usize> {
        match self.record().known.first() {
            Some(KnownValues::F32(known)) => known.arranged(regions),
            Some(KnownValues::F64(known)) => known.arranged(regions),
            None => (0..regions.len()).collect(),
        }
    }

    /// The work of all passes so far; nothing if no chain could use what is known.
    pub(crate) fn reuse(&self) -> Option<Reuse> {
        let Work { done, reached, whole } = self.record().work;
        (whole > 0).then_some(Reuse { done, reached, whole })
    }

    /// Whether evaluations need not run whole: chains used what is known, or somebody remembers what they made of it.
    pub(crate) fn is_reused(&self) -> bool {
        let record = self.record();
        record.work.whole > 0 || record.recalled
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// The row that all points are versions of, `[1, …]`.
    pub(crate) fn row(&self) -> &Tensor {
        &self.original.row
    }

    /// Which points go through together.
    pub(crate) fn together(&self) -> Together {
        self.original.together
    }

    /// Where each point differs from it.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The first of what is known that `pick` can use; else what `make` finds out, which is known from then on.
    pub(crate) fn known<K>(
        &self,
        pick: impl Fn(&KnownValues) -> Option<K>,
        make: impl FnOnce() -> candle_core::Result<Option<KnownValues>>,
    ) -> candle_core::Result<Option<K>> {
        if let Some(known) = self.original.record().known.iter().find_map(&pick) {
            return Ok(Some(known));
        }
        let Some(made) = make()? else { return Ok(None) };
        let picked = pick(&made);
        self.original.record().known.push(made);
        Ok(picked)
    }

    /// Whether this batch is `x`.
    pub(super) fn are_of(&self, x: &Tensor) -> bool {
        self.points == x.id()
    }

    /// Runs `pass` on `some` of the points: those with the numbers in `which`.
    pub(crate) fn hold<R>(&self, some: &Tensor, which: &[usize], pass: impl FnOnce() -> R) -> R {
        let regions: Vec<Region> = which.iter().map(|&point| self.regions[point].clone()).collect();
        self.original.hold(some, &regions, pass)
    }

    /// Whether chains could use what is known.
    pub(crate) fn are_used(&self) -> bool {
        self.original.reuse().is_some()
    }

    /// Notes that somebody remembered what chains made of some of the points.
    pub(crate) fn recalled(&self) {
        self.original.record().recalled = true;
    }

    /// Notes what a pass saved.
    pub(crate) fn worked(&self, work: Work) {
        self.original.record().work += work;
    }
}

/// How `x` differs from one row, if it is a batch of which that is known.
pub(crate) fn changes_of(x: &Tensor) -> Option<Changes> {
    with_scope(|scope| scope.changes.clone()).flatten().filter(|changes| changes.are_of(x))
}
