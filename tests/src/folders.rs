//! Where reference data is looked for.

use std::env;
use std::path::{Path, PathBuf};

use crate::measured;

/// The variable that names the folders, separated by colons, in place of the usual ones.
pub const VARIABLE: &str = "CANDLELIGHT_GOLDEN";

/// The folders of reference data, relative to the workspace.
const USUAL: [&str; 5] =
    ["tests/golden", "tests/full-grad", "../shared/golden", "../shared/real", "../shared/golden-metrics"];

/// One folder of reference data, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is there.
    Found(PathBuf),
    /// It is there, and about metrics.
    Metrics(PathBuf),
    /// It was asked for and is not there.
    Missing(PathBuf),
    /// It is one of the usual folders, and not there: its cases cannot run.
    Absent(PathBuf),
}

/// The folders that [`VARIABLE`] names, else the usual ones.
pub fn places() -> Vec<Place> {
    match env::var_os(VARIABLE) {
        Some(folders) => env::split_paths(&folders).map(|folder| place(folder, Place::Missing)).collect(),
        None => USUAL.iter().map(|folder| place(workspace().join(folder), Place::Absent)).collect(),
    }
}

/// The committed folder, which is always there.
pub fn committed() -> PathBuf {
    workspace().join(USUAL[0])
}

/// The last two parts of a path: what its cases are called after.
pub fn label(folder: &Path) -> String {
    let parts: Vec<_> = folder.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

fn place(folder: PathBuf, otherwise: fn(PathBuf) -> Place) -> Place {
    match folder.join("manifest.json").is_file() {
        true if measured::Folder::is(&folder) => Place::Metrics(folder),
        true => Place::Found(folder),
        false => otherwise(folder),
    }
}

fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}
