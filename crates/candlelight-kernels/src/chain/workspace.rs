use crate::Element;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that go round: a chain takes them and puts them back, so that no step waits for fresh pages.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    free: Vec<Vec<T>>,
    /// Unfolded rows.
    pub rows: Vec<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { free: Vec::new(), rows: Vec::new() }
    }
}

impl<T: Element> Workspace<T> {
    /// A buffer of this length, whatever it holds: the smallest that has room.
    pub fn take(&mut self, len: usize) -> Vec<T> {
        let fitting = self.free.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= len);
        let best = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(index, _)| index);
        let mut buffer = best
            .or(self.free.len().checked_sub(1))
            .map_or_else(Vec::new, |index| self.free.swap_remove(index));
        buffer.resize(len, T::ZERO);
        buffer
    }

    /// Puts a buffer back.
    pub fn put(&mut self, buffer: Vec<T>) {
        self.free.push(buffer);
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
    pub fn take(&self) -> Workspace<T> {
        self.with(Vec::pop).unwrap_or_default()
    }

    pub fn put(&self, space: Workspace<T>) {
        self.with(|spaces| spaces.push(space));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vec<Workspace<T>>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
