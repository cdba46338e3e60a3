//! Measures of explanations: attribution in, number out.
//!
//! A metric is a plain struct with `Default`; all of them stand in [`METRICS`]. Every row of a batch gets its own
//! number, which no other row can change. [`Bootstrap`] says what their mean is worth and which of two methods is better,
//! [`RandomMap`] where chance lies.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use candlelight_core::{Explain, InputXGradient};
//! use candlelight_metrics::PointingGame;
//!
//! let x = Tensor::new(&[[[[0.0f64, 2.0], [1.0, 0.0]]]], &Device::Cpu)?;
//! let map = InputXGradient.explain(&|x: &Tensor| x.flatten_from(1)?.sum(1), &x)?;
//! let mask = Tensor::new(&[[[0u8, 1], [0, 0]]], &Device::Cpu)?;
//! assert_eq!(PointingGame::default().score(&map, &mask)?, [1.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod ablation;
mod completeness;
mod control;
pub mod criteria;
mod error;
mod input_invariance;
mod located;
mod measured;
mod metric;
mod non_sensitivity;
mod pointing_game;
mod relevance_mass;
mod road;
mod roar;
mod saliency;
mod statistics;
mod subject;

pub use ablation::{Deletion, Insertion, MassCentreAblation, TopKAblation};
pub use completeness::{Balance, Completeness};
pub use control::{Draws, RandomMap};
pub use error::{Error, Result};
pub use input_invariance::InputInvariance;
pub use measured::{Curve, Measured};
pub use metric::{Better, Entry, METRICS, Metric, Rescaled};
pub use non_sensitivity::{Effects, Epsilon, NonSensitivity, RowViolations, Violations};
pub use pointing_game::PointingGame;
pub use relevance_mass::{Relevance, RelevanceMassAccuracy};
pub use road::{First, Ranking, Removed, Removing, Road};
pub use roar::{Explained, Retrained, Retraining, Roar};
pub use statistics::{Band, Bootstrap, Difference, Estimate, LeftOut, Verdict};
pub use subject::Subject;
