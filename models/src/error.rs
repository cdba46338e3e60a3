//! Everything that can go wrong on the way to a model.

use std::path::PathBuf;

/// The result of loading a model.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no model, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// A file could not be read.
    #[error("cannot read `{}`: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything that candle says.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
