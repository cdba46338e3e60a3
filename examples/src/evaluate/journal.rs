//! The samples that are done, and their rows.

use super::row::Row;
use crate::failure::{Failure, Result};
use crate::journal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A line for each sample that is done.
pub struct Journal {
    file: journal::Journal,
    path: PathBuf,
    done: BTreeMap<usize, Vec<Row>>,
}

/// The line of a sample.
#[derive(Serialize, Deserialize)]
struct Line {
    sample: usize,
    rows: Vec<Row>,
}

impl Journal {
    /// The journal at `path` of a run that `header` describes, begun if there is none.
    pub fn open(path: &Path, header: &str) -> Result<Self> {
        let (file, lines) = journal::Journal::open(path, header, || of_another_run(path))?;
        let mut journal = Self { file, path: path.to_path_buf(), done: BTreeMap::new() };
        lines.into_iter().try_for_each(|line| journal.keep(line))?;
        Ok(journal)
    }

    /// Whether a sample is done.
    pub fn has(&self, sample: usize) -> bool {
        self.done.contains_key(&sample)
    }

    /// Writes down the rows of a sample. They are on the disk when this returns.
    pub fn add(&mut self, sample: usize, rows: Vec<Row>) -> Result<()> {
        let lines = self.file.add(&[Line { sample, rows }])?;
        lines.into_iter().try_for_each(|line| self.keep(line))
    }

    /// All rows, in the order of the samples.
    pub fn into_rows(self) -> Vec<Row> {
        self.done.into_values().flatten().collect()
    }

    fn keep(&mut self, Line { sample, rows }: Line) -> Result<()> {
        match self.done.insert(sample, rows) {
            None => Ok(()),
            Some(_) => Err(twice(&self.path, sample)),
        }
    }
}

fn of_another_run(path: &Path) -> Failure {
    let message = format!(
        "`{}` belongs to another run: its data set, model, methods, metrics, target or seed differ",
        path.display()
    );
    Failure::input(
        message,
        "repeat that command to finish it, remove the journal to begin anew, or name another `--out`",
    )
}

fn twice(path: &Path, sample: usize) -> Failure {
    let message = format!("`{}` has sample {sample} twice: two runs wrote into it", path.display());
    Failure::input(message, "remove the file, and start one run of each shard only")
}
