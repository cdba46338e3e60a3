//! Whether a model's gradient is its derivative.

use crate::schedule::{Run, to_f64};
use crate::{Budget, Error, Model, Query, Result};
use candle_core::{DType, Tensor};

/// Step of the central difference, as a share of the input's root mean square: small against the model's curvature,
/// large against rounding in single precision.
const STEPS: [f64; 3] = [3e-3, 1e-2, 1e-3];
/// How far prediction and measurement may differ, relative to the larger along any direction. A severed branch
/// changes the derivative by tens of per cent; kinks and rounding of a sound model by a few.
const TOLERANCE: f64 = 0.1;

/// What [`check_gradients`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientCheck {
    /// The largest difference between predicted and measured change along the test directions, relative to the
    /// largest change.
    pub worst: f64,
}

/// Compares the gradient of the top score of the first row of `x` with central differences along test directions:
/// the gradient itself, the input, and coarse patterns.
///
/// candle's fused operations have no gradient and raise no error, so that a model's gradient can be missing or, where
/// a residual stream stays alive around a severed branch, silently wrong.
///
/// # Errors
/// [`Error::NoGradient`] if nothing arrives at the input, [`Error::WrongGradient`] if what arrives is not the
/// derivative, [`Error::NotDifferentiable`] if an operation has no backward pass.
pub fn check_gradients(model: &dyn Model, x: &Tensor) -> Result<GradientCheck> {
    let query = Query::new(&x.narrow(0, 0, 1)?).budget(Budget::Rows(2 * DIRECTIONS));
    let mut run = Run::new(model, &query, 1)?;
    let (prediction, gradient) = run.gradients_of_input()?;
    let directions = directions(query.input(), &gradient)?;
    let predicted = directions.iter().map(|d| dot(d, &gradient)).collect::<Result<Vec<_>>>()?;
    let mut best: Option<(f64, f64, f64)> = None;
    for share in STEPS {
        let step = share * root_mean_square(query.input())?.max(f64::MIN_POSITIVE);
        let points = points(query.input(), &directions, step)?;
        let scores = run.scores(&points, &vec![0; 2 * directions.len()], &prediction.target)?;
        let measured = scores.chunks(2).map(|pair| (pair[0] - pair[1]) / (2.0 * step));
        let found = worst(&predicted, &measured.collect::<Vec<_>>());
        if best.is_none_or(|best| found.0 < best.0) {
            best = Some(found);
        }
        if found.0 <= TOLERANCE {
            break;
        }
    }
    match best {
        Some((worst, predicted, measured)) if worst > TOLERANCE => {
            Err(Error::wrong_gradient(predicted, measured))
        }
        best => Ok(GradientCheck { worst: best.map_or(0.0, |best| best.0) }),
    }
}

/// Test directions.
const DIRECTIONS: usize = 4;

/// Directions of root mean square 1: along the gradient, along the input, and two coarse waves, in which the
/// contributions of a severed branch do not average out.
fn directions(x: &Tensor, gradient: &Tensor) -> Result<Vec<Tensor>> {
    let wave = |period: f64| -> Result<Tensor> {
        let n = x.elem_count();
        let values: Vec<f64> = (0..n).map(|i| (i as f64 / n as f64 * period).sin() + 0.3).collect();
        Ok(Tensor::from_vec(values, x.shape(), x.device())?.to_dtype(x.dtype())?)
    };
    let all: [Tensor; DIRECTIONS] = [gradient.clone(), x.clone(), wave(9.0)?, wave(61.0)?];
    all.iter().map(unit).collect()
}

fn unit(direction: &Tensor) -> Result<Tensor> {
    let size = root_mean_square(direction)?;
    Ok(if size == 0.0 { direction.clone() } else { (direction / size)? })
}

fn root_mean_square(x: &Tensor) -> Result<f64> {
    Ok((dot(x, x)? / x.elem_count() as f64).sqrt())
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    let product = (a.to_dtype(DType::F64)? * b.to_dtype(DType::F64)?)?;
    Ok(to_f64(&product.sum_all()?)?.iter().sum())
}

/// The input shifted up and down along every direction.
fn points(x: &Tensor, directions: &[Tensor], step: f64) -> Result<Tensor> {
    let shifted = directions.iter().flat_map(|d| [step, -step].map(|step| Ok((x + (d * step)?)?)));
    Ok(Tensor::cat(&shifted.collect::<Result<Vec<_>>>()?, 0)?)
}

/// The largest difference relative to the largest change, with what was predicted and measured there.
fn worst(predicted: &[f64], measured: &[f64]) -> (f64, f64, f64) {
    let scale = predicted.iter().chain(measured).fold(0.0f64, |m, v| m.max(v.abs()));
    let error = |(&p, &m): (&f64, &f64)| (if scale == 0.0 { 0.0 } else { (p - m).abs() / scale }, p, m);
    predicted.iter().zip(measured).map(error).fold((0.0, 0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
}
