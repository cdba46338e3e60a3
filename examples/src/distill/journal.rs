//! What is measured already: one line for each scene, so that an interrupted run goes on.

use crate::args;
use crate::failure::{Failure, Result};
use crate::model::Opened;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What must be the same for lines to belong together.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
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
    path: PathBuf,
    file: File,
    /// Scenes from 0, without a gap.
    pub lines: Vec<Line>,
}

impl Journal {
    /// The journal at `path`, which is made if it is not there. A last line that was not finished is taken away.
    pub fn open(path: &Path, setting: &Setting) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| unreadable(path, error.to_string()))?,
        };
        let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let head = match whole.next() {
            Some(head) => head.to_owned(),
            None => json(setting, path)? + "\n",
        };
        if serde_json::from_str::<Setting>(&head).ok().as_ref() != Some(setting) {
            return Err(unreadable(path, "it belongs to another run".into()));
        }
        let lines: Vec<&str> = whole.collect();
        let read = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<Vec<Line>, _>>();
        let read = read.map_err(|error| unreadable(path, error.to_string()))?;
        if (0..).zip(&read).any(|(scene, line)| line.scene != scene) {
            return Err(unreadable(path, "its scenes are not in their order".into()));
        }
        fs::write(path, head + &lines.concat()).map_err(|error| Failure::unwritable(path, error))?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|error| Failure::unwritable(path, error))?;
        Ok(Self { path: path.to_owned(), file, lines: read })
    }

    /// Adds lines, to the file first; what is kept is what a later run reads there, which rounds the last bit of some
    /// numbers.
    pub fn add(&mut self, lines: Vec<Line>) -> Result<()> {
        let texts =
            lines.iter().map(|line| Ok(json(line, &self.path)? + "\n")).collect::<Result<Vec<_>>>()?;
        let lines = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<Line>, _>>();
        let lines = lines.map_err(|error| Failure::unwritable(&self.path, error))?;
        let written = self.file.write_all(texts.concat().as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|error| Failure::unwritable(&self.path, error))?;
        self.lines.extend(lines);
        Ok(())
    }
}

fn json(value: &impl Serialize, path: &Path) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::unwritable(path, error))
}

fn unreadable(path: &Path, why: String) -> Failure {
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

    fn line(scene: u64) -> Line {
        Line { scene, curves: vec![vec![vec![0.1 + 0.2, -1e-300, -2.0027035039537138]]] }
    }

    #[test]
    fn lines_come_back_as_they_were_kept_and_one_that_was_cut_short_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, &setting(1)).unwrap();
        journal.add(vec![line(0), line(1)]).unwrap();
        let kept = journal.lines;
        let text = fs::read_to_string(&path).unwrap();
        for cut in 0..text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let journal = Journal::open(&path, &setting(1)).unwrap();
            let whole = text[..cut].matches('\n').count().saturating_sub(1);
            assert_eq!(journal.lines, kept[..whole], "cut at {cut}");
        }
    }

    #[test]
    fn a_journal_of_another_run_and_one_that_is_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path, &setting(1)).unwrap().add(vec![line(0)]).unwrap();
        assert!(Journal::open(&path, &setting(2)).is_err());
        fs::write(&path, "something else\n").unwrap();
        assert!(Journal::open(&path, &setting(1)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
    }
}
