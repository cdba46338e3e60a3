//! How far two tensors are apart.

use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

/// How far off an element may be.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    /// As a share of the largest expected magnitude.
    Relative(f64),
    /// In units of the values.
    Absolute(f64),
}

impl Allowed {
    fn limit(self, scale: f64) -> f64 {
        match self {
            Self::Relative(share) => share * scale,
            Self::Absolute(limit) => limit,
        }
    }
}

/// Checks every element of `actual` against `expected`.
///
/// # Errors
/// If the shapes differ; if an element is further off than allowed, with the worst one's place and value.
pub fn check(name: &str, actual: &Tensor, expected: &Tensor, allowed: Allowed) -> Result<()> {
    ensure!(
        actual.dims() == expected.dims(),
        "`{name}` has shape {:?}, expected {:?}",
        actual.dims(),
        expected.dims()
    );
    let (actual, expected) = (values(actual)?, values(expected)?);
    let scale = largest(&expected);
    let off = |(a, e): (&f64, &f64)| if (a - e).is_nan() { f64::INFINITY } else { (a - e).abs() };
    let distances: Vec<f64> = actual.iter().zip(&expected).map(off).collect();
    let worst = (0..distances.len()).max_by(|&i, &j| distances[i].total_cmp(&distances[j])).unwrap_or(0);
    let distance = distances.get(worst).copied().unwrap_or(0.0);
    ensure!(
        distance <= allowed.limit(scale),
        "`{name}` is off by {distance:.3e} at element {worst} ({:.9e}, expected {:.9e}): {:.3e} of the largest \
         magnitude {scale:.3e}; allowed is {allowed:?}",
        actual[worst],
        expected[worst],
        distance / scale
    );
    Ok(())
}

/// `actual`, each of its rows turned round where it points away from that of `expected`.
///
/// # Errors
/// If the shapes differ.
pub fn with_signs_of(expected: &Tensor, actual: &Tensor) -> Result<Tensor> {
    let actual = actual.to_dtype(DType::F64)?;
    let agreement = (&actual * expected.to_dtype(DType::F64)?)?.flatten_from(1)?.sum_keepdim(1)?;
    let turned = actual.flatten_from(1)?.broadcast_mul(&agreement.sign()?)?;
    Ok(turned.reshape(actual.shape())?)
}

/// The largest distance between two tensors of one shape, as a share of the largest magnitude in the second.
///
/// # Errors
/// If the shapes differ.
pub fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    ensure!(a.dims() == b.dims(), "shapes {:?} and {:?} differ", a.dims(), b.dims());
    let (a, b) = (values(a)?, values(b)?);
    let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    Ok(if apart == 0.0 { 0.0 } else { apart / largest(&b) })
}

/// The elements in double precision.
///
/// # Errors
/// If candle fails.
pub fn values(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}
