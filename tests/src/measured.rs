//! The cases of a folder of reference data of metrics.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use candlelight_core::Model;
use serde::Deserialize;
use serde_json::Value;

use crate::{folders, zoo};

/// A folder of reference data of metrics.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

/// One score that a peer, or the definition, gives.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// What the case is called.
    pub id: String,
    /// The metric, as the generator calls it.
    pub metric: String,
    /// The model's architecture.
    pub arch: String,
    /// Its weights.
    pub model: PathBuf,
    /// `x` and `y`.
    pub inputs: BTreeMap<String, Stored>,
    /// The rows of all of these that are used.
    pub rows: Vec<u32>,
    /// The maps that are measured; none where the metric makes them.
    pub attribution: Option<Stored>,
    /// Everything that the metric was told.
    pub params: Value,
    /// Random choices.
    pub choices: Option<BTreeMap<String, Stored>>,
    /// What came out.
    pub expected: BTreeMap<String, Stored>,
    /// How near is near enough.
    pub tolerance: Tolerance,
}

/// A tensor in a file.
#[derive(Debug, Deserialize)]
pub struct Stored {
    file: PathBuf,
    key: String,
}

/// How far a value may be off.
#[derive(Debug, Deserialize)]
pub struct Tolerance {
    /// In double precision.
    pub f64: Limit,
    /// In single precision.
    pub f32: Limit,
}

/// A distance, and a share of the expected magnitude.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Limit {
    /// In units of the value.
    pub abs: f64,
    /// As a share of it.
    #[serde(default)]
    pub rel: f64,
}

impl Folder {
    /// Whether the manifest in `root` is one of metrics; what cannot be read is none.
    pub fn is(root: &Path) -> bool {
        let manifest = read(root).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let format = manifest.as_ref().and_then(|manifest| manifest["format"].as_str());
        format.is_some_and(|format| format.starts_with("golden-metrics/"))
    }

    /// Reads the manifest in `root`.
    ///
    /// # Errors
    /// If it cannot be read or is no manifest of metrics.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_path_buf(), manifest: serde_json::from_str(&read(root)?)? })
    }

    /// What its cases are called after.
    pub fn label(&self) -> String {
        folders::label(&self.root)
    }

    /// Every case, in the manifest's order.
    pub fn cases(&self) -> &[Case] {
        &self.manifest.cases
    }

    /// The case's model.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn model(&self, case: &Case, dtype: DType) -> Result<Box<dyn Model + Send>> {
        zoo::described(&case.arch, &self.root.join(&case.model), dtype)
    }

    /// A stored tensor, as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn tensor(&self, stored: &Stored) -> Result<Tensor> {
        let path = self.root.join(&stored.file);
        let tensors = safetensors::load(&path, &Device::Cpu)?;
        let tensor = tensors.get(&stored.key);
        Ok(tensor.with_context(|| format!("{} has no `{}`", path.display(), stored.key))?.clone())
    }

    /// The case's rows of a stored tensor.
    ///
    /// # Errors
    /// If there is none.
    pub fn rows(&self, case: &Case, stored: &Stored) -> Result<Tensor> {
        Ok(self.tensor(stored)?.index_select(&Tensor::new(&case.rows[..], &Device::Cpu)?, 0)?)
    }
}

fn read(root: &Path) -> Result<String> {
    let path = root.join("manifest.json");
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}
