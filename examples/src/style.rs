//! How curves look, the same in every chart.

use candlelight::image::{OKABE_ITO, Stroke};

/// A map at random.
pub const CONTROL: ([u8; 3], Stroke) = ([120; 3], Stroke::Dotted);

/// The method at a place: the colours once more in dashes where there are more methods than colours.
pub const fn of(place: usize) -> ([u8; 3], Stroke) {
    let stroke = if place < OKABE_ITO.len() { Stroke::Solid } else { Stroke::Dashed };
    (OKABE_ITO[place % OKABE_ITO.len()], stroke)
}
