use super::workers::Workers;
use crate::room::grown;
use crate::{Element, Threads};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that go round: a chain takes them and puts them back, so that no step waits for fresh pages.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    free: Vec<Vec<T>>,
    /// Unfolded rows.
    rows: Vec<T>,
    /// Who works with it.
    pub threads: Threads,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { free: Vec::new(), rows: Vec::new(), threads: Threads::One }
    }
}

impl<T: Element> Workspace<T> {
    /// Who works, with room for unfolded rows.
    pub fn workers(&mut self) -> Workers<'_, T> {
        Workers { threads: self.threads, room: &mut self.rows }
    }

    /// A buffer of this length, whatever it holds: the smallest that has room.
    pub fn take(&mut self, len: usize) -> Buffer<T> {
        let fitting = self.free.iter().enumerate().filter(|(_, room)| room.len() >= len);
        let best = fitting.min_by_key(|(_, room)| room.len()).map(|(index, _)| index);
        let mut room = best
            .or(self.free.len().checked_sub(1))
            .map_or_else(Vec::new, |index| self.free.swap_remove(index));
        grown(&mut room, len);
        Buffer { room, len }
    }

    /// Puts a buffer back.
    pub fn put(&mut self, buffer: Buffer<T>) {
        self.free.push(buffer.room);
    }
}

/// A slice that a [`Workspace`] lends.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    room: Vec<T>,
    len: usize,
}

impl<T: Element> Buffer<T> {
    /// A buffer of its own, full of zeros.
    pub fn new(len: usize) -> Self {
        Self { room: vec![T::ZERO; len], len }
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { room: Vec::new(), len: 0 }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.room[..self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.room[..self.len]
    }
}

/// The workspaces of a chain: one for every thread that has run it.
#[derive(Clone, Debug)]
pub(super) struct Spaces<T>(Arc<Mutex<Vec<Workspace<T>>>>);

impl<T> Default for Spaces<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Spaces<T> {
    pub fn take(&self, threads: Threads) -> Workspace<T> {
        Workspace { threads, ..self.with(Vec::pop).unwrap_or_default() }
    }

    pub fn put(&self, space: Workspace<T>) {
        self.with(|spaces| spaces.push(space));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vec<Workspace<T>>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
