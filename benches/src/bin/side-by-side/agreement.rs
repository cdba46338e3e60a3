//! Whether both sides compute the same, before anybody looks at a clock.

use crate::worker::{Side, Worker};
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use serde::Serialize;
use std::path::Path;

/// How far the double-precision results may be apart, relative L2.
const FLOAT64: f64 = 1e-8;
/// How much farther than the peer's our single-precision result may be from double precision.
const FLOAT32_SHARE: f64 = 2.0;

/// Distances between results, relative L2.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// Ours from the peer's, both in double precision.
    pub float64: f64,
    /// Ours in single precision from ours in double precision.
    pub float32_ours: f64,
    /// The peer's in single precision from the peer's in double precision.
    pub float32_peer: f64,
}

/// One of the two sides, before its interpreter is known.
#[derive(Clone, Copy)]
pub enum Who {
    Ours,
    Peer,
}

impl Who {
    pub fn of(self, python: &Path) -> Side<'_> {
        match self {
            Self::Ours => Side::Ours,
            Self::Peer => Side::Peer(python),
        }
    }
}

/// Runs both sides in both precisions.
pub fn check(folder: &Path, start: impl Fn(Who, &'static str) -> Result<Worker>) -> Result<Agreement> {
    let result = |who, dtype| start(who, dtype)?.map(&folder.join("map.safetensors"));
    let (ours, peer) = (result(Who::Ours, "float64")?, result(Who::Peer, "float64")?);
    let agreement = Agreement {
        float64: distance(&ours, &peer)?,
        float32_ours: distance(&result(Who::Ours, "float32")?, &ours)?,
        float32_peer: distance(&result(Who::Peer, "float32")?, &peer)?,
    };
    ensure!(agreement.float64 <= FLOAT64, "the results differ in double precision: {agreement:?}");
    ensure!(
        agreement.float32_ours <= FLOAT32_SHARE * agreement.float32_peer,
        "the single-precision result is too far off: {agreement:?}"
    );
    Ok(agreement)
}

/// |a − b| / |b|, L2.
fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?);
    let norm = |x: &Tensor| Ok::<f64, candle_core::Error>(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt());
    Ok(norm(&(a - &b)?)? / norm(&b)?)
}
