//! Whether both sides compute the same, before anybody looks at a clock.

use crate::worker::{Side, Spec, Worker};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_benches::rivals::Work;
use std::path::Path;

/// How much farther than the peer's our result in the timed precision may be from double precision.
const ROUNDING: f64 = 2.0;
/// Below this, relative L2, a result in single precision is near enough whatever the peer's is.
const NEAR: f64 = 1e-4;
/// How far a device's result may be from the CPU's, both in single precision, relative L2.
const DEVICE: f64 = 1e-3;

/// Distances between results, relative L2.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Ours from the peer's, both in double precision.
    pub float64: Option<f64>,
    /// Ours in the timed precision from ours in double precision.
    pub ours: Option<f64>,
    /// The peer's in the timed precision from the peer's in double precision.
    pub peer: Option<f64>,
    /// Ours on the device from ours on the CPU.
    pub device: Option<f64>,
}

/// Results that are farther apart than they may be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Differs(String);

/// Workers of one side: one in double precision on the CPU, one as it will be timed.
struct Pair<'a> {
    side: Side<'a>,
    spec: &'a Spec,
    double: Worker,
    timed: Worker,
}

impl<'a> Pair<'a> {
    fn start(side: Side<'a>, spec: &'a Spec) -> Result<Self> {
        let double = Spec { dtype: "float64".into(), device: "cpu".into(), ..spec.clone() };
        Ok(Self { side, spec, double: Worker::start(side, &double)?, timed: Worker::start(side, spec)? })
    }

    /// Both results, and the worker that is timed: a new one if this one has done more than what is timed, since its
    /// memory would tell.
    fn results(mut self, file: &Path) -> Result<(Tensor, Tensor, Worker)> {
        self.double.check(file)?;
        let double = self.double.result(file)?;
        drop(self.double);
        self.timed.check(file)?;
        let (timed, worker) = (self.timed.result(file)?, self.timed);
        if self.spec.check.is_empty() {
            return Ok((double, timed, worker));
        }
        drop(worker);
        Ok((double, timed, Worker::start(self.side, self.spec)?))
    }
}

/// What was compared, and the workers that are timed.
pub struct Checked {
    pub agreement: Agreement,
    pub ours: Worker,
    /// The peer's worker, or what is wrong with it.
    pub peer: Option<Result<Worker>>,
}

/// Runs both sides in both precisions.
pub fn check(work: &Work, spec: &Spec, peer: Option<Side>) -> Result<Checked> {
    let file = spec.folder.join("result.safetensors");
    let (ours, theirs) = (Pair::start(Side::Ours, spec)?, peer.map(|side| Pair::start(side, spec)));
    let (double, timed, ours) = ours.results(&file)?;
    let mut agreement = Agreement { ours: Some(distance(&timed, &double, false)?), ..Agreement::default() };
    if spec.device != "cpu" {
        agreement.device = Some(on_the_device(spec, &timed, &file)?);
    }
    let theirs = theirs.map(|pair| pair.and_then(|pair| pair.results(&file)));
    let Some(Ok((peer_double, peer_timed, peer))) = theirs else {
        return Ok(Checked {
            agreement,
            ours,
            peer: theirs.map(|failed| failed.map(|(_, _, worker)| worker)),
        });
    };
    agreement.float64 = Some(distance(&double, &peer_double, work.signless)?);
    agreement.peer = Some(distance(&peer_timed, &peer_double, work.signless)?);
    agreement.ours = Some(distance(&timed, &double, work.signless)?);
    agreement.is_near(work)?;
    Ok(Checked { agreement, ours, peer: Some(Ok(peer)) })
}

/// How far the device's result is from the CPU's in the same precision.
fn on_the_device(spec: &Spec, timed: &Tensor, file: &Path) -> Result<f64> {
    let mut cpu = Worker::start(Side::Ours, &Spec { device: "cpu".into(), ..spec.clone() })?;
    cpu.check(file)?;
    let apart = distance(timed, &cpu.result(file)?, false)?;
    ensure!(apart <= DEVICE || spec.dtype != "float32", "the device's result is {apart:.1e} from the CPU's");
    Ok(apart)
}

impl Agreement {
    fn is_near(&self, work: &Work) -> Result<(), Differs> {
        let (apart, ours, peer) =
            (self.float64.unwrap_or(0.0), self.ours.unwrap_or(0.0), self.peer.unwrap_or(0.0));
        if apart > work.float64 {
            return Err(Differs(format!("the results are {apart:.1e} apart in double precision")));
        }
        if ours > NEAR.max(ROUNDING * peer) {
            return Err(Differs(format!("ours is {ours:.1e} from double precision, the peer's {peer:.1e}")));
        }
        Ok(())
    }
}

/// |a − b| / |b|, L2; where the sign means nothing, that of every row is turned to the other's.
fn distance(a: &Tensor, b: &Tensor, signless: bool) -> Result<f64> {
    let rows = b.dims().first().copied().filter(|_| signless).unwrap_or(1);
    ensure!(a.elem_count() == b.elem_count(), "results of shapes {:?} and {:?}", a.dims(), b.dims());
    let flat = |x: &Tensor| x.to_dtype(DType::F64)?.reshape((rows, ()))?.to_vec2::<f64>();
    let (a, b) = (flat(a)?, flat(b)?);
    let (mut gap, mut size) = (0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        let sign = if signless && product < 0.0 { -1.0 } else { 1.0 };
        gap += a.iter().zip(b).map(|(a, b)| (sign * a - b).powi(2)).sum::<f64>();
        size += b.iter().map(|b| b * b).sum::<f64>();
    }
    let distance = if gap == 0.0 { 0.0 } else { (gap / size).sqrt() };
    (!distance.is_nan()).then_some(distance).context("a result holds NaN")
}
