//! A model that remembers what it said.

use crate::Model;
use crate::scope::{Audience, Changes, audience};
use candle_core::{Device, Module, Result, Tensor};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are remembered unless others are asked for.
const BYTES: usize = 256 << 20;
/// Bytes that a row takes beside its outputs: key, tensor, room in the map.
const PER_ROW: usize = 512;

/// A model that remembers the outputs of every row it has evaluated (memoisation), so that several methods, and several
/// targets of one input, share their passes: f(x) and the baselines are evaluated once, so is every coalition that
/// Feature Ablation, LIME, KernelSHAP or Shapley values ask about alike, and a second target of the same method costs no
/// pass (but for the one that weighs a row, where the budget is not in rows). It is a model itself, and goes wherever one
/// goes.
///
/// A row is known if one of its shape and type was evaluated whose values are the same to the last bit; it is looked up by the
/// SHA-256 of these, and no two rows with one SHA-256 are known to anybody. The unknown rows of a batch go through the model
/// together, each once. What is remembered are the outputs, of all classes, where the model left them: beyond its bytes all are
/// forgotten.
///
/// Only passes that nobody looks into are answered from memory. Gradients, taps, rules, removed tokens and trained weights are
/// the model's own. Evaluations of an occlusion that compute only what a window reaches are remembered beside the whole
/// ones, since they are rounded differently.
///
/// A method's map is that of the model itself up to the rounding that differs with the rows that go through together, and
/// so is its [`Cost`](crate::Cost): it counts what was asked. [`asked`](Self::asked) and [`computed`](Self::computed)
/// tell what became of that. Several threads may share one; a row that two ask about at the same time may be computed
/// by both.
///
/// **When not to use it:** for a model whose outputs are random, depend on the other rows of the batch, or change while it is
/// remembered. And where no row comes twice (one sampler, one target): every row is copied to the host and hashed, which
/// costs time there.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{Budget, Explain, FeatureAblation, KernelShap, Query, Remembered};
///
/// let model = |x: &Tensor| Tensor::cat(&[x.sqr()?.sum_keepdim(1)?, x.sum_keepdim(1)?], 1);
/// let x = Tensor::new(&[[1.0f64, 2.0, 3.0, 4.0]], &Device::Cpu)?;
/// let about = |class| Query::from((&x, class)).budget(Budget::Rows(16));
///
/// let model = Remembered::new(&model);
/// KernelShap::default().explain(&model, about(0))?; // all 16 coalitions of four values
/// KernelShap::default().explain(&model, about(1))?; // another class: no pass
/// FeatureAblation::default().explain(&model, about(1))?; // x and four of those coalitions: no pass
/// assert_eq!((model.asked(), model.computed()), (16 + 16 + 5, 16));
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub struct Remembered<'a> {
    model: &'a dyn Model,
    bytes: usize,
    memory: Mutex<Memory>,
}

/// What is known, and how it came about.
#[derive(Default)]
struct Memory {
    outputs: HashMap<Key, Tensor>,
    bytes: usize,
    asked: usize,
    computed: usize,
}

/// The digest of a row.
type Sha = [u8; 32];

/// One row, evaluated in one way.
type Key = (Way, Sha);

/// How a row was evaluated, which decides how its outputs are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Whole,
    /// From what was known of a row that differs in a rectangle.
    Changed,
}

impl<'a> Remembered<'a> {
    /// Remembers up to 256 MiB of what `model` says.
    pub fn new(model: &'a dyn Model) -> Self {
        Self { model, bytes: BYTES, memory: Mutex::default() }
    }

    /// Remembers up to so many bytes, about.
    pub fn within(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// How many rows were asked about.
    pub fn asked(&self) -> usize {
        self.memory().asked
    }

    /// How many rows the model computed.
    pub fn computed(&self) -> usize {
        self.memory().computed
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `x` through the model as it came.
    fn through(&self, x: &Tensor) -> Result<Tensor> {
        self.memory().computed += rows(x);
        self.model.forward(x)
    }

    /// The outputs of `x`, known ones from memory; `changes` says how its rows differ from one row.
    fn remember(&self, x: &Tensor, changes: Option<&Changes>) -> Result<Tensor> {
        let digests = digests(x)?;
        let way = if changes.is_some() { Way::Changed } else { Way::Whole };
        let mut known = self.memory().known(way, &digests);
        let new = unknown(&digests, &known);
        if new.len() == digests.len() {
            return self.learn(x, &digests, changes);
        }
        if let Some(changes) = changes.filter(|_| !known.is_empty()) {
            changes.recalled();
        }
        if !new.is_empty() {
            let asked: Vec<Sha> = new.iter().map(|&row| digests[row]).collect();
            let outputs = self.learn_some(x, (&new, &asked), changes)?;
            if rows(&outputs) != new.len() {
                return self.through(x);
            }
            for (row, &digest) in asked.iter().enumerate() {
                known.insert(digest, outputs.narrow(0, row, 1)?);
            }
        }
        Tensor::cat(&digests.iter().map(|digest| &known[digest]).collect::<Vec<_>>(), 0)
    }

    /// The outputs of the rows of `x` with these numbers and digests, remembered.
    fn learn_some(
        &self,
        x: &Tensor,
        (which, digests): (&[usize], &[Sha]),
        changes: Option<&Changes>,
    ) -> Result<Tensor> {
        let index: Vec<u32> = which.iter().map(|&row| row as u32).collect();
        let some = x.contiguous()?.index_select(&Tensor::new(index, x.device())?, 0)?;
        let learn = || self.learn(&some, digests, changes);
        changes.map_or_else(learn, |changes| changes.hold(&some, which, learn))
    }

    /// The outputs of `x`, remembered if they are one for each row and nobody trains the model.
    fn learn(&self, x: &Tensor, digests: &[Sha], changes: Option<&Changes>) -> Result<Tensor> {
        let outputs = self.through(x)?;
        if outputs.track_op() || rows(&outputs) != digests.len() {
            return Ok(outputs);
        }
        let way = match changes {
            Some(changes) if changes.are_used() => Way::Changed,
            _ => Way::Whole,
        };
        // A copy: what the model hands out may be a small view of much that it held.
        self.memory().note(way, digests, &outputs.force_contiguous()?, self.bytes)?;
        Ok(outputs)
    }
}

impl Module for Remembered<'_> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.memory().asked += rows(x);
        if x.track_op() || x.elem_count() == 0 || x.rank() == 0 {
            return self.through(x);
        }
        match audience(x) {
            Audience::Nobody => self.remember(x, None),
            Audience::Changes(changes) => self.remember(x, Some(&changes)),
            Audience::Somebody => self.through(x),
        }
    }
}

impl Memory {
    fn known(&self, way: Way, digests: &[Sha]) -> HashMap<Sha, Tensor> {
        let known = |&digest: &Sha| Some((digest, self.outputs.get(&(way, digest))?.clone()));
        digests.iter().filter_map(known).collect()
    }

    /// Keeps at most `most` bytes.
    fn note(&mut self, way: Way, digests: &[Sha], outputs: &Tensor, most: usize) -> Result<()> {
        let bytes = outputs.elem_count() * outputs.dtype().size_in_bytes() + digests.len() * PER_ROW;
        if self.bytes + bytes > most {
            (self.outputs, self.bytes) = (HashMap::new(), 0);
        }
        if bytes > most {
            return Ok(());
        }
        self.bytes += bytes;
        for (row, &digest) in digests.iter().enumerate() {
            self.outputs.insert((way, digest), outputs.narrow(0, row, 1)?);
        }
        Ok(())
    }
}

/// How many rows a batch has.
fn rows(x: &Tensor) -> usize {
    x.dims().first().copied().unwrap_or(0)
}

/// The SHA-256 of type, shape and values of every row.
fn digests(x: &Tensor) -> Result<Vec<Sha>> {
    let x = x.to_device(&Device::Cpu)?;
    let digest = |row| {
        let mut bytes = format!("{:?} {:?} ", x.dtype(), &x.dims()[1..]).into_bytes();
        x.get(row)?.write_bytes(&mut bytes)?;
        Ok(Sha256::digest(&bytes).into())
    };
    (0..rows(&x)).into_par_iter().map(digest).collect()
}

/// The numbers of the rows that nothing is known of, of equal ones the first.
fn unknown(digests: &[Sha], known: &HashMap<Sha, Tensor>) -> Vec<usize> {
    let mut seen = HashSet::new();
    let is_new = |row: &usize| !known.contains_key(&digests[*row]) && seen.insert(digests[*row]);
    (0..digests.len()).filter(is_new).collect()
}
