//! What a host takes away from a virtual machine while it is measured.

use std::fs;

/// The share of the processors' time from which a row is not to be believed.
const DISTURBED: f64 = 0.02;

/// The processors' time so far, in the kernel's ticks.
#[derive(Clone, Copy)]
pub struct Ticks {
    all: f64,
    stolen: f64,
}

impl Ticks {
    /// Now; nothing where the kernel does not count them.
    pub fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let counts = stat.lines().next()?.split_whitespace().skip(1).take(8);
        let counts: Vec<f64> = counts.map(|count| count.parse().ok()).collect::<Option<_>>()?;
        Some(Self { all: counts.iter().sum(), stolen: *counts.get(7)? })
    }

    /// The share stolen since then, if it is worth a warning.
    pub fn stolen_since(self, before: Self) -> Option<f64> {
        let share = (self.stolen - before.stolen) / (self.all - before.all).max(1.0);
        (share > DISTURBED).then_some(share)
    }
}
