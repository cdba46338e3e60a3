//! The cases of a folder of reference data: `manifest.json` and the tensors that it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device, Tensor};
use candlelight_core::Model;
use serde::Deserialize;
use serde_json::Value;

use crate::{folders, zoo};

/// A folder of reference data.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    models: BTreeMap<String, ModelFiles>,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct ModelFiles {
    config: PathBuf,
}

/// One explanation that a peer computed.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// `model/case`.
    pub id: String,
    /// The model's id.
    pub model: String,
    /// The method, as the generator calls it.
    pub method: String,
    /// Everything that the method was told.
    pub params: Value,
    /// What it explained.
    pub input: Input,
    /// The class explained in each row.
    pub target: Vec<usize>,
    /// What came out, by the output's name.
    pub expected: BTreeMap<String, Expected>,
    /// How near is near enough.
    pub tolerance: Tolerance,
    /// `f32-sensitive`, `informational`.
    pub tags: Vec<String>,
}

/// The input of a case.
#[derive(Clone, Debug, Deserialize)]
pub struct Input {
    /// The file of all its tensors.
    pub file: PathBuf,
    /// The tensor that is explained.
    pub x: String,
    /// The rows of it that are used.
    pub samples: Vec<u32>,
}

/// An expected tensor.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// Its file.
    pub file: PathBuf,
    /// Its name there.
    pub tensor: String,
    /// For a sum with cancellation: how far it may be off, in units of the score.
    pub atol: Option<f64>,
}

/// The largest |actual − expected| as a share of the largest |expected|.
#[derive(Clone, Debug, Deserialize)]
pub struct Tolerance {
    /// What is measured, in words.
    pub metric: String,
    /// In double precision.
    pub f64: f64,
    /// In single precision.
    pub f32: f64,
}

impl Tolerance {
    /// The one that belongs to `dtype`.
    pub fn at(&self, dtype: DType) -> f64 {
        if dtype == DType::F64 { self.f64 } else { self.f32 }
    }

    /// Whether a row may be turned round: a principal component has no sign.
    pub fn is_up_to_sign(&self) -> bool {
        self.metric.contains("up to sign")
    }
}

impl Case {
    /// Whether the case has this tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tags.iter().any(|have| have == tag)
    }

    /// The parameter `name` as text.
    ///
    /// # Errors
    /// If it is missing or no text.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.params[name].as_str().with_context(|| format!("parameter `{name}` is no text"))
    }

    /// The parameter `name` as a number.
    ///
    /// # Errors
    /// If it is missing or no number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.params[name].as_f64().with_context(|| format!("parameter `{name}` is no number"))
    }
}

impl Folder {
    /// Reads the manifest in `root`.
    ///
    /// # Errors
    /// If it cannot be read or is no manifest.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("manifest.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest =
            serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))?;
        Ok(Self { root: root.to_path_buf(), manifest })
    }

    /// What its cases are called after.
    pub fn label(&self) -> String {
        folders::label(&self.root)
    }

    /// Every case, in the manifest's order.
    pub fn cases(&self) -> &[Case] {
        &self.manifest.cases
    }

    /// The ids of its models.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.manifest.models.keys().map(String::as_str)
    }

    /// The folder of a model's weights and configuration.
    ///
    /// # Errors
    /// If the manifest does not know the model.
    pub fn model_folder(&self, id: &str) -> Result<PathBuf> {
        match self.manifest.models.get(id).and_then(|files| files.config.parent()) {
            Some(folder) => Ok(self.root.join(folder)),
            None => bail!("the manifest has no model `{id}`"),
        }
    }

    /// A model with its weights.
    ///
    /// # Errors
    /// If it cannot be read or built.
    pub fn model(&self, id: &str, dtype: DType) -> Result<Box<dyn Model + Send>> {
        zoo::open(&self.model_folder(id)?, dtype)
    }

    /// The tensors in one of its files.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn tensors(&self, file: &Path) -> Result<Tensors> {
        let path = self.root.join(file);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Tensors(BufferedSafetensors::new(bytes)?))
    }

    /// The rows that a case explains.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn input(&self, case: &Case, dtype: DType) -> Result<Tensor> {
        let x = self.tensors(&case.input.file)?.get(&case.input.x, dtype)?;
        Ok(x.index_select(&Tensor::new(&case.input.samples[..], &Device::Cpu)?, 0)?)
    }

    /// The input of the model's plain forward case: every row that there is.
    ///
    /// # Errors
    /// If the model has no such case, or its tensors cannot be read.
    pub fn sample(&self, model: &str, dtype: DType) -> Result<Tensor> {
        let forward = |case: &&Case| case.model == model && case.method == "forward";
        let case = self.cases().iter().find(forward).context("the model has no forward case")?;
        self.input(case, dtype)
    }
}

/// The tensors of one file.
pub struct Tensors(BufferedSafetensors);

impl Tensors {
    /// The tensor `name`, converted.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str, dtype: DType) -> Result<Tensor> {
        Ok(self.0.load(name, &Device::Cpu)?.to_dtype(dtype)?)
    }
}
