//! What was done, line by line, so that nothing of it is lost or done twice whenever the program ends.

use super::row::Row;
use crate::failure::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An append-only file: the first line says what is run, every other has the rows of one sample. A line counts once its end
/// is there.
pub struct Journal {
    file: File,
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
    /// The journal at `path` of a run that `header` describes, begun if there is none; a last line without an end is cut off.
    pub fn open(path: &Path, header: &str) -> Result<Self> {
        let unwritable = |error| Failure::unwritable(path, error);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(unwritable)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unwritable)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(unwritable)?;
            file.seek(SeekFrom::End(0)).map_err(unwritable)?;
            bytes.truncate(whole);
        }
        let mut journal = Self { file, path: path.to_path_buf(), done: BTreeMap::new() };
        let text = String::from_utf8(bytes).map_err(|_| journal.damaged(0))?;
        let mut lines = text.lines().enumerate();
        match lines.next() {
            None => journal.append(header)?,
            Some((_, found)) if found == header => {}
            Some(_) => return Err(journal.of_another_run()),
        }
        for (number, line) in lines {
            let line: Line = serde_json::from_str(line).map_err(|_| journal.damaged(number))?;
            if journal.done.insert(line.sample, line.rows).is_some() {
                return Err(journal.twice(line.sample));
            }
        }
        Ok(journal)
    }

    /// Whether a sample is done.
    pub fn has(&self, sample: usize) -> bool {
        self.done.contains_key(&sample)
    }

    /// Writes down the rows of a sample. They are on the disk when this returns.
    pub fn add(&mut self, sample: usize, rows: Vec<Row>) -> Result<()> {
        let line = Line { sample, rows };
        let text = serde_json::to_string(&line).map_err(|error| Failure::unwritable(&self.path, error))?;
        self.append(&text)?;
        self.done.insert(sample, line.rows);
        Ok(())
    }

    /// All rows, in the order of the samples.
    pub fn into_rows(self) -> Vec<Row> {
        self.done.into_values().flatten().collect()
    }

    fn append(&mut self, line: &str) -> Result<()> {
        let write = self.file.write_all(format!("{line}\n").as_bytes());
        write.and_then(|()| self.file.sync_data()).map_err(|error| Failure::unwritable(&self.path, error))
    }

    fn of_another_run(&self) -> Failure {
        let message = format!(
            "`{}` belongs to another run: its data set, model, methods, metrics, target or seed differ",
            self.path.display()
        );
        Failure::input(
            message,
            "repeat that command to finish it, remove the journal to begin anew, or name another `--out`",
        )
    }

    fn damaged(&self, line: usize) -> Failure {
        let message = format!("line {} of `{}` is no line of a journal", line + 1, self.path.display());
        Failure::input(message, "remove the file to begin anew")
    }

    fn twice(&self, sample: usize) -> Failure {
        let message = format!("`{}` has sample {sample} twice: two runs wrote into it", self.path.display());
        Failure::input(message, "remove the file, and start one run of each shard only")
    }
}
