//! Memory: what is used again and again, and what is new.

use crate::Element;
use rayon::prelude::*;
use std::cell::Cell;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};

/// Bytes that a thread keeps for the next kernel: what unfolds an image of a ResNet's first layers, not of a VGG's.
const KEPT_BYTES: usize = 1 << 23;

/// What a thread keeps.
pub(crate) type Room<T> = Cell<Vec<T>>;

/// The thread's room while a kernel works: fresh pages for every call would cost more than what is done in them. Another
/// kernel that starts on this thread in between finds none, and makes its own.
pub(crate) struct Scratch<T: Element>(Vec<T>);

impl<T: Element> Scratch<T> {
    pub fn take() -> Self {
        Self(T::room().take())
    }
}

impl<T: Element> Drop for Scratch<T> {
    fn drop(&mut self) {
        if mem::size_of_val(&self.0[..]) <= KEPT_BYTES {
            T::room().set(mem::take(&mut self.0));
        }
    }
}

impl<T: Element> Deref for Scratch<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Element> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

/// The first `len` elements, whatever they hold. Memory that has grown stays: shrinking it would mean to write zeros when
/// it grows back.
pub(crate) fn grown<T: Element>(room: &mut Vec<T>, len: usize) -> &mut [T] {
    if room.len() < len {
        room.resize(len, T::ZERO);
    }
    &mut room[..len]
}

/// `len` elements, made in parallel: `make` gets every `chunk` of them with its index and full of zeros, and `init` is
/// what a thread has for itself. Each thread touches the pages of its own chunks first and finds them in its cache, where
/// `vec![0.0; len]` would bring all of them through one. Where there is nothing to make, `chunk` may be 0.
pub(crate) fn made<T: Copy + Default + Send, S>(
    len: usize,
    chunk: usize,
    init: impl Fn() -> S + Send + Sync,
    make: impl Fn(&mut S, usize, &mut [T]) + Send + Sync,
) -> Vec<T> {
    written(len, chunk, init, |state, index, room| {
        let room = filled(room, T::default());
        make(state, index, room);
        room
    })
}

/// [`made`] where `make` writes the memory itself, and hands it back written: what fills it anyway saves the zeros.
///
/// # Panics
/// If `make` hands something else back.
pub(crate) fn written<T: Copy + Send, S>(
    len: usize,
    chunk: usize,
    init: impl Fn() -> S + Send + Sync,
    make: impl for<'a> Fn(&mut S, usize, &'a mut [MaybeUninit<T>]) -> &'a mut [T] + Send + Sync,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::with_capacity(len);
    let chunks = all.spare_capacity_mut()[..len].par_chunks_mut(chunk.max(1)).enumerate();
    chunks.for_each_init(init, |state, (index, room)| {
        let given = (room.as_ptr().cast::<T>(), room.len());
        let back = make(state, index, room);
        assert_eq!((back.as_ptr(), back.len()), given, "the memory that was given comes back written");
    });
    // SAFETY: the chunks were the first `len` elements of the capacity, and each came back as a slice of `T` at the same
    // place and of the same length, which only written memory can be.
    unsafe { all.set_len(len) };
    all
}

/// Memory in which every element is `value`.
pub(crate) fn filled<T: Copy>(room: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    room.fill(MaybeUninit::new(value));
    // SAFETY: the line above has written every element, and `MaybeUninit<T>` has the layout of `T`.
    unsafe { &mut *(std::ptr::from_mut(room) as *mut [T]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thread_keeps_its_room_and_not_too_much_of_it() {
        let size = |of: usize| {
            grown(&mut Scratch::<f64>::take(), of);
            Scratch::<f64>::take().len()
        };
        assert_eq!((size(10), size(4)), (10, 10));
        assert_eq!(size(KEPT_BYTES), 0, "eight times as much as it keeps");
        let outer = Scratch::<f64>::take();
        assert!(outer.is_empty() && Scratch::<f64>::take().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_made_is_what_each_chunk_was_given(len in 0usize..200, chunk in 1usize..40) {
            let found: Vec<f64> = made(len, chunk, || (), |_, index, out| {
                assert!(out.iter().all(|&v| v == 0.0), "zeros come in");
                out.iter_mut().enumerate().skip(1).for_each(|(k, v)| *v = (index * chunk + k) as f64);
            });
            let expected: Vec<f64> = (0..len).map(|i| if i % chunk == 0 { 0.0 } else { i as f64 }).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
