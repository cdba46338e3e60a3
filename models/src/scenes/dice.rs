//! The one source of chance of a scene.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::geometry::Point;

/// Which family of scenes a seed is for; the same seed gives unrelated scenes in each.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    Single,
    Pair,
}

/// Seeded dice, whose throws need nothing but `+ - * /` and the square root.
///
/// These are exact in IEEE 754 on every machine; sine and cosine aren't.
#[derive(Debug, Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64, family: Family) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(family as u64);
        Self(rng)
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number in `[low, high)`, one of 2²⁴.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.bits())
    }

    /// An integer in `0..end`. Its bias, `end` in 2³², is nothing for the few sides that a scene needs.
    pub fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.bits()) * end as u64) >> 32) as usize
    }

    /// A point in the square from -1 to 1.
    fn offset(&mut self) -> Point {
        Point::new(self.between(-1.0, 1.0), self.between(-1.0, 1.0))
    }

    /// A unit vector, every direction alike: a point of the unit disc pushed out to its rim.
    pub fn direction(&mut self) -> Point {
        loop {
            let p = self.offset();
            let length = p.length();
            if (0.1..=1.0).contains(&length) {
                return p * (1.0 / length);
            }
        }
    }
}

/// The upper 24 bits as a number in `[0, 1)`.
pub(super) fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// The nearest integer of a number from 0 to 2²²: adding 2²³ leaves no room for a fraction.
///
/// Several times faster than a cast, which must look after infinities and NaN.
pub(super) fn round(x: f32) -> u32 {
    const ROOM: f32 = (1 << 23) as f32;
    (x + ROOM).to_bits().wrapping_sub(ROOM.to_bits())
}

/// A cheap hash, for what is needed at every pixel: the finaliser `lowbias32`
/// (<https://nullprogram.com/blog/2018/07/31/>).
pub(super) fn hash(mut bits: u32) -> u32 {
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}
