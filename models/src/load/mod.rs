//! From a folder, bytes or a hub id to a model: one entry, [`load`].
//!
//! The configuration says which architecture it is; every tensor is checked (there, of the right shape, finite)
//! before a layer is made of it.

mod cifar;
mod hugging_face;
mod model;
mod preprocessor;
pub(crate) mod source;
mod spec;
mod timm;
mod weights;

use candle_core::{DType, Device};
use candlelight_core::nn::VarBuilder;
use serde_json::Value;
use std::path::PathBuf;

pub use model::Model;
pub use source::{ModelBytes, Source};

use crate::labels::Labels;
use crate::{Error, Result};
use source::{CONFIG, Files};
use spec::Spec;
use weights::Weights;

/// A model with all that came with it.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    /// The model.
    pub model: Model,
    /// What its classes are called.
    pub labels: Labels,
    /// The text of `preprocessor_config.json`, or the same made from what timm's configuration says.
    pub preprocessor: Option<String>,
    /// The text of `config.json`.
    pub config: String,
    /// The folder's name, or the hub id.
    pub name: String,
    /// The files that the weights were read from, in their order; none for weights from memory.
    pub weight_files: Vec<PathBuf>,
}

/// Loads a model in float32 on the CPU.
///
/// ```no_run
/// let loaded = candlelight_models::load("models/my-resnet")?;
/// println!("{} with {} classes", loaded.name, loaded.labels.len());
/// # Ok::<(), candlelight_models::Error>(())
/// ```
///
/// # Errors
///
/// See [`Loader::load`].
pub fn load(source: impl Into<Source>) -> Result<LoadedModel> {
    Loader::default().load(source)
}

/// How to load a model: its type, its device, and the hub client.
#[derive(Clone, Debug)]
pub struct Loader {
    dtype: DType,
    device: Device,
    #[cfg(feature = "hub")]
    hub: crate::hub::Hub,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            dtype: DType::F32,
            device: Device::Cpu,
            #[cfg(feature = "hub")]
            hub: crate::hub::Hub::from_env(),
        }
    }
}

impl Loader {
    /// Converts the weights to `dtype`.
    pub fn dtype(self, dtype: DType) -> Self {
        Self { dtype, ..self }
    }

    /// Puts the weights on `device`.
    pub fn device(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// Takes hub ids from `hub` instead of the one that the environment describes.
    #[cfg(feature = "hub")]
    pub fn hub(self, hub: crate::hub::Hub) -> Self {
        Self { hub, ..self }
    }

    /// Reads, checks and builds the model.
    ///
    /// # Errors
    ///
    /// What is missing, damaged, unknown or does not fit, by name: see [`Error`].
    pub fn load(&self, source: impl Into<Source>) -> Result<LoadedModel> {
        match source.into() {
            Source::Folder(folder) => self.build(Files::of_folder(&folder)?),
            Source::Bytes(bytes) => self.build(Files::of_bytes(bytes)),
            Source::Hub(id) => self.load_from_hub(&id),
        }
    }

    #[cfg(not(feature = "hub"))]
    fn load_from_hub(&self, id: &str) -> Result<LoadedModel> {
        Err(Error::NoHub { id: id.to_string() })
    }

    #[cfg(feature = "hub")]
    fn load_from_hub(&self, id: &str) -> Result<LoadedModel> {
        let snapshot = self.hub.snapshot(id)?;
        let loaded = snapshot.files().and_then(|files| self.build(files));
        if let Err(error) = &loaded {
            snapshot.forget_damaged(error);
        }
        loaded
    }

    fn build(&self, files: Files) -> Result<LoadedModel> {
        let json = |source| Error::BadJson { file: CONFIG.to_string(), source };
        let config: Value = serde_json::from_str(&files.config).map_err(json)?;
        let labels = Labels::of(&config)?;
        let spec = Spec::of(&config, labels.as_ref().map(Labels::len))?;
        let labels = labels.unwrap_or_else(|| Labels::numbered(spec.classes()));
        let weight_files = files.shards.iter().filter_map(|shard| shard.path.clone()).collect();
        let weights = Weights::parse(files.shards)?;
        Ok(LoadedModel {
            model: self.model(spec, &weights)?,
            labels,
            preprocessor: files.preprocessor.or_else(|| preprocessor::of(&config)),
            config: files.config,
            name: files.name,
            weight_files,
        })
    }

    fn model(&self, spec: Spec, weights: &Weights) -> Result<Model> {
        let vb = VarBuilder::from_backend(Box::new(weights), self.dtype, self.device.clone());
        Model::new(spec, vb).map_err(|error| weights.explain(error))
    }
}
