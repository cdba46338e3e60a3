//! Everything that can go wrong on the way to a model.

use std::path::PathBuf;

/// The result of loading a model.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no model, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{}`: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model folder has no `config.json`.
    #[error("no `config.json` in `{}`: name the folder that holds it beside the weights", folder.display())]
    MissingConfig {
        /// The folder.
        folder: PathBuf,
    },
    /// A model folder has no safetensors file.
    #[error(
        "no safetensors file in `{}`: save the weights as `model.safetensors` (pickled `.bin` files are not read)",
        folder.display()
    )]
    MissingWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// A JSON file is no JSON, or a value in it has the wrong type.
    #[error("`{file}` cannot be understood: {source}; compare it with the one on the hub")]
    BadJson {
        /// The file.
        file: String,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// A value in the configuration makes no model.
    #[error("`{key}` in the configuration {reason}")]
    BadConfig {
        /// The key of the value.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration is of a model that is not built in.
    #[error("no model is known for `{found}`; known are {}", known.join(", "))]
    UnknownModel {
        /// What the configuration says.
        found: String,
        /// What it could say.
        known: &'static [&'static str],
    },
    /// A weights file is not safetensors, or is cut off.
    #[error("`{file}` is no whole safetensors file ({reason}): copy or download it again")]
    CorruptWeights {
        /// The file.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// The model needs a tensor that the weights do not have.
    #[error(
        "no tensor `{name}` in the weights; {}: check that configuration and weights belong together",
        nearest_hint(nearest)
    )]
    MissingTensor {
        /// The tensor.
        name: String,
        /// Tensors that the weights do have, nearest first.
        nearest: Vec<String>,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error(
        "tensor `{name}` has the shape `{found:?}` where the configuration asks for `{expected:?}`: \
         check that they belong together"
    )]
    TensorShape {
        /// The tensor.
        name: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has a type that is no floating point number of 16, 32 or 64 bits.
    #[error("tensor `{name}` is stored as `{found}`: save it as f32, f16 or bf16")]
    TensorType {
        /// The tensor.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error(
        "tensor `{name}` holds `{value}` at element `{index}`: the weights are damaged or training diverged"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such value.
        value: f64,
        /// Its place in row-major order.
        index: usize,
    },
    /// The image has not the size that the model was trained for.
    #[error(
        "an image of `{}x{}` pixels for a model of `{}x{}`: positions are not interpolated, resize the image",
        found.0, found.1, expected.0, expected.1
    )]
    ImageSize {
        /// Height and width that the model takes.
        expected: (usize, usize),
        /// Height and width of the image.
        found: (usize, usize),
    },
    /// A hub id was given to a build that has no hub client, or something that is neither folder nor id.
    #[error(
        "`{id}` is no folder, and hub ids need the `hub` feature: check the path, or build with `--features hub`"
    )]
    NoHub {
        /// What was given.
        id: String,
    },
    /// What was given is neither a folder nor a hub id.
    #[error("`{id}` is neither a folder nor a hub id of the form `owner/name`: check the spelling")]
    BadId {
        /// What was given.
        id: String,
    },
    /// The hub has no such repository or file, or does not show it.
    #[error(
        "the hub has no `{file}` in `{id}`: check the id, and set `HF_TOKEN` if the repository is private"
    )]
    NotOnHub {
        /// The hub id.
        id: String,
        /// The file in it.
        file: String,
    },
    /// The hub refuses.
    #[error(
        "the hub refuses `{file}` of `{id}` (status `{status}`): check the id, and set `HF_TOKEN` to a token that may read it"
    )]
    Unauthorized {
        /// The hub id.
        id: String,
        /// The file in it.
        file: String,
        /// 401 or 403.
        status: u16,
    },
    /// Offline mode, and the cache does not hold the file.
    #[error("`{file}` of `{id}` is not in `{}`: unset `HF_HUB_OFFLINE` once to download it", cache.display())]
    NotCached {
        /// The hub id.
        id: String,
        /// The file in it.
        file: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The file did not come, or not all of it.
    #[error(
        "downloading `{file}` of `{id}` failed: {reason}; check the network and try again, the cache is in order"
    )]
    Download {
        /// The hub id.
        id: String,
        /// The file in it.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// No label of this name.
    #[error("no class is called `{name}`; nearest: {}", nearest.join(", "))]
    UnknownLabel {
        /// What was asked for.
        name: String,
        /// Labels of the model, nearest first.
        nearest: Vec<String>,
    },
    /// Anything that candle says.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn bad(key: &'static str, reason: impl Into<String>) -> Self {
        Self::BadConfig { key, reason: reason.into() }
    }
}

fn nearest_hint(nearest: &[String]) -> String {
    match nearest {
        [] => "there are none".to_string(),
        _ => format!("nearest are `{}`", nearest.join("`, `")),
    }
}
