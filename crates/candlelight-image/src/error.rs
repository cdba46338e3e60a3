//! What can go wrong between a file and a picture.

use std::path::{Path, PathBuf};

/// What can go wrong between a file and a picture: every message names the value and the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something went wrong with this file; the source says what.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file that was read or written.
        path: PathBuf,
        /// What went wrong with it.
        source: Box<Error>,
    },
    /// The operating system refused to read or write.
    #[error("cannot read or write: {0}; check the path and its permissions")]
    Io(#[from] std::io::Error),
    /// There is not a single byte.
    #[error("the image is empty (`0` bytes); was the download or the copy cut short?")]
    Empty,
    /// The first bytes belong to no image format that is known here.
    #[error("not an image: the first bytes are `{start}`; give a PNG, JPEG, WebP, BMP, GIF or TIFF")]
    NotAnImage {
        /// The first bytes, in hexadecimal.
        start: String,
    },
    /// The image, or what it would be resized to, is larger than the limit.
    #[error(
        "the image is `{width}` x `{height}` pixels, over the limit of `{limit}` pixels; scale it down first"
    )]
    TooLarge {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// The largest accepted width x height.
        limit: u64,
    },
    /// The image has no pixels.
    #[error(
        "the image is `{width}` x `{height}` pixels: there is nothing to look at; give at least one pixel"
    )]
    NoPixels {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
    },
    /// An image format was recognised, but its data are damaged or end too early.
    #[error("the image is damaged: `{detail}`; open it in a viewer, and save or download it again")]
    Damaged {
        /// The decoder's own words.
        detail: String,
    },
    /// An image that is valid, but of a kind that is not decoded here.
    #[error("this kind of image is not decoded here: `{detail}`; save it as an 8-bit RGB PNG")]
    Unsupported {
        /// What kind it is.
        detail: String,
    },
    /// A preprocessor configuration that is no JSON object.
    #[error("the preprocessor configuration is not valid: `{0}`; it should be a preprocessor_config.json")]
    Json(#[from] serde_json::Error),
    /// A key of a preprocessor configuration, or the builder of that name, holds what cannot be followed.
    #[error("the preprocessor's `{key}` is `{value}`; {help}")]
    Config {
        /// The key in the file.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        help: &'static str,
    },
    /// A tensor of the wrong shape.
    #[error("{what} has shape `{shape:?}`; expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// The shape that it has.
        shape: Vec<usize>,
        /// The shapes that are accepted, and how to get there.
        expected: &'static str,
    },
    /// NaN or an infinity where a number is needed.
    #[error(
        "{what} holds `{value}` at flat index `{index}` (`{count}` of `{of}` values are not finite); \
         look for NaN in the weights or the input"
    )]
    NotFinite {
        /// Which tensor.
        what: &'static str,
        /// The first bad value.
        value: f64,
        /// Its place in row-major order.
        index: usize,
        /// How many values are not finite.
        count: usize,
        /// How many values there are.
        of: usize,
    },
    /// A drawing option outside its domain.
    #[error("{what} is `{value}`; expected {expected}")]
    Option {
        /// Which option.
        what: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// What draws charts gave up.
    #[error("the chart cannot be drawn: {detail}; please report this")]
    Drawing {
        /// Its own words.
        detail: String,
    },
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The same error with the file that it happened to.
    pub(crate) fn at(self, path: &Path) -> Self {
        Self::File { path: path.to_path_buf(), source: Box::new(self) }
    }

    /// The error without the file that it happened to: what a caller matches on.
    pub fn root(&self) -> &Self {
        match self {
            Self::File { source, .. } => source.root(),
            other => other,
        }
    }
}

/// Refuses NaN and infinities, naming the first.
pub(crate) fn check_finite(what: &'static str, values: &[f64]) -> Result<()> {
    let Some(index) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    let count = values.iter().filter(|v| !v.is_finite()).count();
    Err(Error::NotFinite { what, value: values[index], index, count, of: values.len() })
}
