//! What was done, line by line, so that nothing of it is lost or done twice whenever the program ends.

use crate::failure::{Failure, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// An append-only file: the first line says what is run, every other one what was done of it. A line counts once its end is
/// there.
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// The journal at `path` of a run that `header` describes, begun if there is none, and its lines. A last line without an
    /// end is cut off; a file of `another` run stays as it is.
    pub fn open<L: DeserializeOwned>(
        path: &Path,
        header: &str,
        another: impl FnOnce() -> Failure,
    ) -> Result<(Self, Vec<L>)> {
        let unwritable = |error| Failure::unwritable(path, error);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut journal = Self { file: file.map_err(unwritable)?, path: path.to_owned() };
        let mut bytes = Vec::new();
        journal.file.read_to_end(&mut bytes).map_err(unwritable)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let (whole, begun) = bytes.split_at(whole);
        let mut lines = whole.split_inclusive(|&byte| byte == b'\n');
        let header = format!("{header}\n");
        let mine = match lines.next() {
            Some(found) => found == header.as_bytes(),
            None => header.as_bytes().starts_with(begun),
        };
        if !mine {
            return Err(another());
        }
        let read = |(number, line)| serde_json::from_slice(line).map_err(|_| damaged(path, number));
        let read = (2..).zip(lines).map(read).collect::<Result<_>>()?;
        if !begun.is_empty() {
            journal.file.set_len(whole.len() as u64).map_err(unwritable)?;
        }
        if whole.is_empty() {
            journal.append(&header)?;
        }
        Ok((journal, read))
    }

    /// Writes lines down, and gives them as a later run reads them, which rounds the last bit of some numbers. They are on
    /// the disk when this returns.
    pub fn add<L: Serialize + DeserializeOwned>(&mut self, lines: &[L]) -> Result<Vec<L>> {
        let wrong = |error| Failure::unwritable(&self.path, error);
        let texts = lines.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let read = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>();
        let read = read.map_err(wrong)?;
        self.append(&texts.iter().map(|text| format!("{text}\n")).collect::<String>())?;
        Ok(read)
    }

    fn append(&mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Failure::unwritable(&self.path, error))
    }
}

fn damaged(path: &Path, line: usize) -> Failure {
    let message = format!("line {line} of `{}` is no line of a journal", path.display());
    Failure::input(message, "remove the file to begin anew")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    type Line = (u64, f64);

    fn open(path: &Path, header: &str) -> Result<(Journal, Vec<Line>)> {
        Journal::open(path, header, || Failure::input("another run", "name another"))
    }

    #[test]
    fn lines_come_back_as_they_were_kept_and_one_that_was_cut_short_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path, "\"run\"").unwrap().0;
        let kept = journal.add(&[(0, 0.1 + 0.2), (1, -2.002_703_503_953_713_8), (2, -1e-300)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for cut in 0..text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let (mut journal, lines) = open(&path, "\"run\"").unwrap();
            let whole = text[..cut].matches('\n').count().saturating_sub(1);
            assert_eq!(lines, kept[..whole], "cut at {cut}");
            journal.add(&kept[whole..]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4, "cut at {cut}");
        }
    }

    #[test]
    fn a_journal_of_another_run_and_a_file_that_is_none_are_refused_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for text in ["\"other\"\n[0,1.0]\n[1,", "something else\n", "something else", "\"run\"\nelse\n[0"] {
            fs::write(&path, text).unwrap();
            assert!(open(&path, "\"run\"").is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
