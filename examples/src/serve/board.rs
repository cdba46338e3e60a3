//! What waits, what runs, and what is done.

use super::upload::Ticket;
use axum::body::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Explanations that are kept when they are done; the oldest go first.
const KEPT: usize = 32;
/// Bytes of pages that are kept; the last one is, whatever its size.
const KEPT_BYTES: usize = 64 << 20;

/// All explanations that are known.
pub struct Board {
    state: Mutex<State>,
    changed: Condvar,
    /// How many may wait.
    room: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Ticket>,
    entries: HashMap<String, Arc<Entry>>,
    /// What is done, the oldest first.
    done: VecDeque<Arc<Entry>>,
    closed: bool,
}

/// One explanation.
pub struct Entry {
    /// Not to be guessed: who knows it may see the image.
    pub id: String,
    status: Mutex<Status>,
    cancelled: AtomicBool,
}

/// How far an explanation is.
#[derive(Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Status {
    Waiting,
    Running {
        /// The method that runs, by its name in print.
        method: &'static str,
        done: usize,
        of: usize,
        /// How many methods came before.
        before: usize,
        methods: usize,
    },
    Done {
        #[serde(skip)]
        page: Bytes,
    },
    Failed {
        message: String,
        hint: String,
    },
    Cancelled,
}

impl Status {
    fn bytes(&self) -> usize {
        if let Self::Done { page } = self { page.len() } else { 0 }
    }
}

impl Entry {
    pub fn new() -> Self {
        let id = unguessable();
        Self { id, status: Mutex::new(Status::Waiting), cancelled: AtomicBool::new(false) }
    }

    pub fn status(&self) -> Status {
        held(&self.status).clone()
    }

    pub fn set(&self, status: Status) {
        *held(&self.status) = status;
    }

    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// 128 bits out of the keys that the system gives every hash map.
fn unguessable() -> String {
    let random = [(); 4].map(|()| RandomState::new().hash_one(0).to_le_bytes()).concat();
    crate::model::hex(&Sha256::digest(random)[..16])
}

impl Board {
    pub fn new(room: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), room }
    }

    pub fn is_full(&self) -> bool {
        held(&self.state).waiting.len() >= self.room
    }

    /// Takes what is to be explained, if there is room.
    pub fn put(&self, ticket: Ticket) -> Option<Arc<Entry>> {
        let mut state = held(&self.state);
        if state.waiting.len() >= self.room || state.closed {
            return None;
        }
        let entry = ticket.entry.clone();
        state.entries.insert(entry.id.clone(), entry.clone());
        state.waiting.push_back(ticket);
        self.changed.notify_one();
        Some(entry)
    }

    /// The next to be explained, as soon as there is one; none when the board is closed.
    pub fn next(&self) -> Option<Ticket> {
        let mut state = held(&self.state);
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(ticket) => return Some(ticket),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        held(&self.state).entries.get(id).cloned()
    }

    /// Stops an explanation; one that waits goes at once, and makes room.
    pub fn cancel(&self, entry: &Arc<Entry>) {
        entry.cancel();
        let mut state = held(&self.state);
        let before = state.waiting.len();
        state.waiting.retain(|ticket| ticket.entry.id != entry.id);
        if state.waiting.len() < before {
            state.finish(entry, Status::Cancelled);
        }
    }

    /// Says what became of an explanation, and drops the oldest ones that there is no room for.
    pub fn finish(&self, entry: &Arc<Entry>, status: Status) {
        held(&self.state).finish(entry, status);
    }

    /// Wakes and ends who waits for work.
    pub fn close(&self) {
        held(&self.state).closed = true;
        self.changed.notify_all();
    }
}

impl State {
    fn finish(&mut self, entry: &Arc<Entry>, status: Status) {
        entry.set(status);
        self.done.push_back(entry.clone());
        let bytes =
            |done: &VecDeque<Arc<Entry>>| done.iter().map(|it| held(&it.status).bytes()).sum::<usize>();
        while self.done.len() > KEPT || (self.done.len() > 1 && bytes(&self.done) > KEPT_BYTES) {
            if let Some(oldest) = self.done.pop_front() {
                self.entries.remove(&oldest.id);
            }
        }
    }
}

/// What a thread that panicked left is as good as any: every change here is one assignment.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: usize) -> Status {
        Status::Done { page: vec![0; bytes].into() }
    }

    fn finished(board: &Board, bytes: usize) -> Arc<Entry> {
        let entry = Arc::new(Entry::new());
        held(&board.state).entries.insert(entry.id.clone(), entry.clone());
        board.finish(&entry, done(bytes));
        entry
    }

    #[test]
    fn old_pages_go_when_there_are_too_many_or_they_are_too_large() {
        let board = Board::new(1);
        let first = finished(&board, 10);
        let rest: Vec<_> = (0..KEPT).map(|_| finished(&board, 10)).collect();
        assert!(board.get(&first.id).is_none() && board.get(&rest[0].id).is_some());
        let large = finished(&board, KEPT_BYTES);
        assert!(rest.iter().all(|it| board.get(&it.id).is_none()) && board.get(&large.id).is_some());
        assert!(board.get(&finished(&board, KEPT_BYTES + 1).id).is_some(), "the last page is kept");
    }

    #[test]
    fn no_two_explanations_have_one_id() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| unguessable()).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn a_closed_board_gives_nothing() {
        let board = Board::new(1);
        board.close();
        assert!(board.next().is_none());
    }
}
