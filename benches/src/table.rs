//! Files of comma-separated values, a line for each record.

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;

/// Reads a file; one that is not there has no lines.
///
/// # Errors
/// If it is no such file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let lines = csv::Reader::from_path(path)?.into_deserialize().collect::<Result<_, _>>();
    lines.with_context(|| format!("reading {}", path.display()))
}

/// Writes a file; one that was there stays whole until this one is.
///
/// # Errors
/// If it cannot be written.
pub fn write<T: Serialize>(path: &Path, lines: &[T]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut writer = csv::Writer::from_writer(NamedTempFile::new_in(folder)?);
    lines.iter().try_for_each(|line| writer.serialize(line))?;
    let file = writer.into_inner().map_err(|error| error.into_error())?;
    file.persist(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
