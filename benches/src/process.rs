//! What the kernel counts of this process. Linux only.

use anyhow::{Context, Result};
use std::fs;

/// The resident size, in KiB.
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident() -> Result<u64> {
    status("VmRSS:")
}

/// The largest resident size so far, in KiB.
///
/// # Errors
/// Where there is no `/proc`.
pub fn peak() -> Result<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("there is no /proc: Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number =
        line.and_then(|line| line.split_whitespace().next()).context("no such line in the status")?;
    Ok(number.parse()?)
}
