//! Where a model comes from, and the bytes that are found there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::weights::Shard;
use crate::{Error, Result};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder with `config.json`, `*.safetensors` and perhaps `preprocessor_config.json`.
    Folder(PathBuf),
    /// Files that are in memory already.
    Bytes(ModelBytes),
    /// A hub id, `owner/name` or `owner/name@revision`.
    Hub(String),
}

/// The files of a model in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelBytes {
    /// What the model is called.
    pub name: String,
    /// The text of `config.json`.
    pub config: String,
    /// The text of `preprocessor_config.json`, if there is one.
    pub preprocessor: Option<String>,
    /// The bytes of each safetensors file.
    pub weights: Vec<Vec<u8>>,
}

/// What exists on disk is a folder; everything else is taken for a hub id.
impl From<&str> for Source {
    fn from(source: &str) -> Self {
        match Path::new(source).exists() || source.starts_with(['.', '/', '~']) {
            true => Self::Folder(source.into()),
            false => Self::Hub(source.to_string()),
        }
    }
}

impl From<&Path> for Source {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_path_buf())
    }
}

impl From<PathBuf> for Source {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<ModelBytes> for Source {
    fn from(bytes: ModelBytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// The bytes of a model, wherever they came from.
pub(crate) struct Files {
    pub name: String,
    pub config: String,
    pub preprocessor: Option<String>,
    pub shards: Vec<Shard>,
}

impl Files {
    pub fn of_bytes(bytes: ModelBytes) -> Self {
        let shard = |(i, bytes)| Shard { file: format!("weights[{i}]"), path: None, bytes };
        let shards = bytes.weights.into_iter().enumerate().map(shard).collect();
        Self { name: bytes.name, config: bytes.config, preprocessor: bytes.preprocessor, shards }
    }

    pub fn of_folder(folder: &Path) -> Result<Self> {
        let config = folder.join(CONFIG);
        if folder.is_dir() && !config.exists() {
            return Err(Error::MissingConfig { folder: folder.to_path_buf() });
        }
        let preprocessor = folder.join(PREPROCESSOR);
        Ok(Self {
            name: name_of(folder),
            config: text(&config)?,
            preprocessor: preprocessor.exists().then(|| text(&preprocessor)).transpose()?,
            shards: weight_files(folder)?.iter().map(|file| shard(file)).collect::<Result<_>>()?,
        })
    }
}

fn name_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    folder.file_name().map_or_else(|| "model".to_string(), |name| name.to_string_lossy().into_owned())
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// The bytes of a safetensors file.
pub(crate) fn shard(path: &Path) -> Result<Shard> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    Ok(Shard { file: path.display().to_string(), path: Some(path.to_path_buf()), bytes })
}

/// The shards that the index names, or `model.safetensors`, or every safetensors file there is.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (index, whole) = (folder.join(INDEX), folder.join(WEIGHTS));
    if index.exists() {
        let names = shard_names(&text(&index)?)?;
        return Ok(names.into_iter().map(|name| folder.join(name)).collect());
    }
    let files = if whole.exists() { vec![whole] } else { safetensors_in(folder)? };
    match files.is_empty() {
        true => Err(Error::MissingWeights { folder: folder.to_path_buf() }),
        false => Ok(files),
    }
}

fn safetensors_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).map_err(|source| Error::Read { path: folder.to_path_buf(), source })?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    files.sort();
    Ok(files)
}

/// The files that an index names. They must lie beside it: an index from a stranger must not reach elsewhere.
pub(crate) fn shard_names(index: &str) -> Result<BTreeSet<String>> {
    let json = |source| Error::BadJson { file: INDEX.to_string(), source };
    let index: Value = serde_json::from_str(index).map_err(json)?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let names = map.into_iter().flat_map(|map| map.values());
    let names: BTreeSet<_> = names.filter_map(Value::as_str).map(str::to_string).collect();
    let plain = |name: &String| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
    match !names.is_empty() && names.iter().all(plain) {
        true => Ok(names),
        false => Err(Error::bad("weight_map", "must map tensors to safetensors files beside the index")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_each_shard_once() {
        let index =
            r#"{"weight_map": {"a": "x-2.safetensors", "b": "x-1.safetensors", "c": "x-2.safetensors"}}"#;
        let names: Vec<_> = shard_names(index).into_iter().flatten().collect();
        assert_eq!(names, ["x-1.safetensors", "x-2.safetensors"]);
    }

    #[test]
    fn an_index_must_not_reach_out_of_its_folder() {
        for file in ["../x.safetensors", "/etc/passwd", "..\\x.safetensors", "x.bin"] {
            let index = serde_json::json!({ "weight_map": { "a": file } }).to_string();
            assert!(shard_names(&index).is_err(), "{file}");
        }
        assert!(shard_names("{}").is_err());
    }
}
