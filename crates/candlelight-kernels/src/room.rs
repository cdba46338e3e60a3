//! Memory that is used again and again.

use crate::Element;

/// The first `len` elements, whatever they hold. Memory that has grown stays: shrinking it would mean to write zeros when
/// it grows back.
pub(crate) fn grown<T: Element>(room: &mut Vec<T>, len: usize) -> &mut [T] {
    if room.len() < len {
        room.resize(len, T::ZERO);
    }
    &mut room[..len]
}
