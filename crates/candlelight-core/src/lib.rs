//! Explain the predictions of models written on candle: layers with right gradients, taps and methods.
#![forbid(unsafe_code)]

mod error;
mod model;
pub mod nn;
mod scope;
mod vjp;

pub use error::{Error, Result};
pub use model::Model;
pub use scope::{Kind, LayerInfo, Tape, TokenGrid, Watched, layers, tap, token_grid};
pub use vjp::{Gradients, vjp};
