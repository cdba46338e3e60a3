#![forbid(unsafe_code)]
//! Images in, pictures out: decoding, preprocessing, colour maps and overlays for candlelight.
//!
//! # The way in
//! [`open()`] and [`decode()`] turn files and bytes into 8-bit RGB; [`Preprocess`] turns that into the tensor that
//! a model was trained on, to the last bit as the Hugging Face image processors do with Pillow.
//!
//! # The way out
//! [`Heatmap`] lays an attribution map over the picture; [`SideBySide`] puts several on one sheet. Maps keep their
//! sign and scale: how the colours were stretched is a choice of the drawing, and is written under it. [`Charts`] draws
//! curves with their intervals, as SVG or PNG.
//!
//! # What is absent
//! Nothing here knows an explainer, a model or a metric; everything takes plain tensors.

mod chart;
mod colormap;
mod decode;
mod error;
mod field;
mod heatmap;
mod layout;
mod mask;
mod numbers;
mod panel;
mod preprocess;
mod processor;
mod resample;
mod scale;
mod text;

pub use chart::{Chart, Charts, OKABE_ITO, Series, Stroke, Ticks};
pub use colormap::{ColorMap, ColorMapKind};
pub use decode::{MAX_PIXELS, decode, decode_within, open};
pub use error::{Error, Result};
pub use field::Reduce;
pub use heatmap::{Backdrop, Heatmap, Opacity, Overlay};
pub use image::RgbImage;
pub use mask::Mask;
pub use numbers::Numbers;
pub use panel::{Panel, SideBySide};
pub use preprocess::{Centre, Crop, IMAGENET_MEAN, IMAGENET_STD, Preprocess, Resize};
pub use resample::{Filter, resize};
pub use scale::{Normalize, number};
