//! What a number over many samples is worth.
//!
//! A metric gives one number for each sample. Their mean is an estimate, and [`Bootstrap`] says between which values it
//! may lie; two methods are compared sample by sample, and one is called better only where the interval of the difference
//! says so.

mod bca;
mod bootstrap;
mod comparison;
mod samples;
#[cfg(test)]
mod tests;

pub use bootstrap::{Band, Bootstrap, Estimate};
pub use comparison::{Difference, Verdict};
pub use samples::LeftOut;
