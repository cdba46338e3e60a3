//! What was measured, a line for each row, in a file of comma-separated values.

use crate::table;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What became of a row.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Both sides computed the same.
    Agrees,
    /// Nobody else has it.
    NoPeer,
    /// Nobody was asked.
    NotCompared,
    /// The peer's side did not run.
    PeerFailed,
    /// The results are too far apart.
    Differs,
    /// Our side did not run.
    #[default]
    Failed,
}

impl State {
    /// Whether the times are what they should be.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Agrees | Self::NoPeer)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::NoPeer => "no peer",
            Self::NotCompared => "not compared",
            Self::PeerFailed => "peer failed",
            Self::Differs => "differs",
            Self::Failed => "failed",
        }
    }
}

/// One row of the table; what does not apply is empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// `work/model/rows`.
    pub row: String,
    /// Where the model ran.
    pub device: String,
    /// Whose time is compared.
    pub rival: String,
    /// What became of it.
    pub state: State,
    /// Median of our times, in seconds.
    pub ours_s: Option<f64>,
    /// The smallest.
    pub ours_min_s: Option<f64>,
    /// The largest.
    pub ours_max_s: Option<f64>,
    /// Median of the peer's times, in seconds.
    pub peer_s: Option<f64>,
    /// The smallest.
    pub peer_min_s: Option<f64>,
    /// The largest.
    pub peer_max_s: Option<f64>,
    /// The peer's time over ours, the median of the pairs.
    pub ratio: Option<f64>,
    /// The smallest of the pairs.
    pub ratio_min: Option<f64>,
    /// The largest.
    pub ratio_max: Option<f64>,
    /// Images in a second, ours.
    pub ours_images_per_s: Option<f64>,
    /// Images in a second, the peer's.
    pub peer_images_per_s: Option<f64>,
    /// Our largest resident size, in MiB.
    pub ours_mib: Option<f64>,
    /// The peer's.
    pub peer_mib: Option<f64>,
    /// How far both are apart in double precision, relative L2.
    pub float64: Option<f64>,
    /// How far our result in the timed precision is from double precision.
    pub ours_rounding: Option<f64>,
    /// The same of the peer.
    pub peer_rounding: Option<f64>,
    /// How far our result on the device is from that on the CPU, in single precision.
    pub device_apart: Option<f64>,
    /// The share of the processors that the host took away meanwhile, where it is worth a warning.
    pub stolen: Option<f64>,
    /// Pairs, or runs without a peer.
    pub runs: Option<f64>,
    /// Threads of each side.
    pub threads: Option<f64>,
    /// What there is to say: why there is no peer, what is compared, what went wrong.
    pub note: String,
}

/// Reads a file; one that is not there has no lines.
///
/// # Errors
/// If it is no such file.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    table::read(path)
}

/// Writes a line, in the place of the row's older one if there is one.
///
/// # Errors
/// If the file cannot be read or written.
pub fn put(path: &Path, line: Line) -> Result<()> {
    let mut lines = read(path)?;
    match lines.iter_mut().find(|old| old.row == line.row && old.device == line.device) {
        Some(old) => *old = line,
        None => lines.push(line),
    }
    table::write(path, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_takes_the_place_of_an_older_one() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("record.csv");
        let line = |row: &str, note: &str| Line {
            row: row.to_owned(),
            ours_s: Some(0.25),
            float64: Some(3e-15),
            note: note.to_owned(),
            ..Line::default()
        };
        put(&path, line("a", "one, two"))?;
        put(&path, line("b", ""))?;
        put(&path, line("a", "three"))?;
        assert_eq!(read(&path)?, [line("a", "three"), line("b", "")]);
        put(&path, line("a", "\"one\", two"))?;
        assert_eq!(read(&path)?[0].note, "\"one\", two");
        Ok(())
    }
}
