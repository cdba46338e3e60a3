//! Relevance R = c(a) · g of an activation a under a signal g, and its denominators.

use crate::Element;

/// What is taken in place of an activation that is smaller, with its sign: relevance on a dead unit is a signal of
/// R / 2⁻⁶⁰ there, which single precision can hold, and 2⁻⁶⁰ is nothing beside a stabiliser.
pub const CARRIER: f64 = 1.0 / (1u64 << 60) as f64;

/// The activation that carries relevance: `x`, kept away from 0. Selections instead of branches, so that loops over it
/// are compiled for vectors.
#[inline(always)]
pub fn carrying<T: Element>(x: T) -> T {
    let least = T::from_f64(CARRIER);
    let signed = if x >= T::ZERO { least } else { -least };
    if (x < least) & (x > -least) { signed } else { x }
}

/// x + ε sign x of the carrying activation.
#[inline(always)]
pub fn stabilised<T: Element>(x: T, epsilon: T) -> T {
    carrying(x) + if x >= T::ZERO { epsilon } else { -epsilon }
}
