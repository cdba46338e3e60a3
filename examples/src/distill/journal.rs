//! What is measured already: one line for each scene, so that an interrupted run goes on.

use crate::args;
use crate::failure::{Failure, Result};
use crate::journal;
use crate::model::Opened;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What must be the same for lines to belong together.
#[derive(Serialize)]
pub struct Setting {
    model: String,
    weights: String,
    steps: usize,
    samples: usize,
    seed: u64,
    version: String,
}

impl Setting {
    pub fn of(args: &args::Distill, model: &Opened) -> Result<Self> {
        Ok(Self {
            model: model.loaded.name.clone(),
            weights: model.fingerprint()?,
            steps: args.steps,
            samples: args.samples,
            seed: args.seed,
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }
}

/// One scene: for each contender and test the heights of the curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub scene: u64,
    pub curves: Vec<Vec<Vec<f64>>>,
}

impl Line {
    pub fn new(scene: u64) -> Self {
        Self { scene, curves: Vec::new() }
    }
}

/// The lines of a file, and the file that gets more.
pub struct Journal {
    file: journal::Journal,
    /// Scenes from 0, without a gap.
    pub lines: Vec<Line>,
}

impl Journal {
    /// The journal at `path`, begun if there is none.
    pub fn open(path: &Path, setting: &Setting) -> Result<Self> {
        let header = serde_json::to_string(setting).map_err(|error| Failure::unwritable(path, error))?;
        let another = || unreadable(path, "it belongs to another run");
        let (file, lines) = journal::Journal::open::<Line>(path, &header, another)?;
        match (0..).zip(&lines).all(|(scene, line)| line.scene == scene) {
            true => Ok(Self { file, lines }),
            false => Err(unreadable(path, "its scenes are not in their order")),
        }
    }

    /// Adds lines, to the file first.
    pub fn add(&mut self, lines: &[Line]) -> Result<()> {
        self.lines.extend(self.file.add(lines)?);
        Ok(())
    }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    let message = format!("`{}` cannot be continued: {why}", path.display());
    Failure::input(message, "remove the file, or name another folder with `--out`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(seed: u64) -> Setting {
        let (model, weights, version) = ("a".into(), "b".into(), "c".into());
        Setting { model, weights, steps: 1, samples: 2, seed, version }
    }

    #[test]
    fn lines_of_another_run_and_lines_with_a_gap_are_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, &setting(1)).unwrap();
        journal.add(&[Line::new(0), Line::new(1)]).unwrap();
        assert_eq!(Journal::open(&path, &setting(1)).unwrap().lines, journal.lines);
        assert!(Journal::open(&path, &setting(2)).is_err());
        journal.add(&[Line::new(3)]).unwrap();
        assert!(Journal::open(&path, &setting(1)).is_err());
    }
}
