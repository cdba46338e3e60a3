//! A map and its mask, row by row, at the mask's size.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{Attribution, Reading};

/// One row of an attribution beside its mask; never empty, never constant, always finite.
pub(crate) struct Located {
    pub(crate) row: usize,
    pub(crate) values: Vec<f64>,
    pub(crate) inside: Vec<bool>,
    pub(crate) width: usize,
}

impl Located {
    /// The rows of `attribution`, each with its mask of `masks`, `[N, H, W]`.
    pub(crate) fn rows(attribution: &Attribution, masks: &Tensor) -> Result<Vec<Self>> {
        let rows = attribution.values().dims()[0];
        let (height, width) = match *masks.dims() {
            _ if rows == 0 => return Err(Error::NoRows),
            [n, height, width] if n == rows && height * width > 0 => (height, width),
            _ => return Err(wrong_shape(masks, rows)),
        };
        let maps = vectors(&attribution.plane(height, width)?)?;
        let masks = vectors(masks)?;
        let located =
            maps.into_iter().zip(masks).enumerate().map(|(row, (values, mask))| {
                Self { row, values, inside: inside(row, &mask)?, width }.checked()
            });
        let located = located.collect::<Result<Vec<_>>>()?;
        Ok(match attribution.reading() {
            Reading::Positive => located.into_iter().map(Self::positive).collect(),
            Reading::Signed => located,
        })
    }

    fn checked(self) -> Result<Self> {
        let Self { row, .. } = self;
        if let Some(&value) = self.values.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite { row, value });
        }
        if !self.inside.contains(&true) {
            return Err(Error::EmptyMask { row });
        }
        match self.values.iter().any(|&value| value != self.values[0]) {
            true => Ok(self),
            false => Err(Error::ConstantMap { row, value: self.values[0] }),
        }
    }

    /// What is negative means nothing here, and counts as nothing.
    fn positive(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = value.max(0.0));
        self
    }
}

/// Which pixels of row `row` are inside.
fn inside(row: usize, mask: &[f64]) -> Result<Vec<bool>> {
    match mask.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(Error::MaskNotFinite { row, value }),
        None => Ok(mask.iter().map(|&value| value != 0.0).collect()),
    }
}

/// Every row as numbers in row-major order.
fn vectors(tensor: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2()?)
}

fn wrong_shape(masks: &Tensor, rows: usize) -> Error {
    Error::Shape {
        what: "the mask tensor",
        found: masks.dims().to_vec(),
        expected: format!("[{rows}, H, W], a mask for each row"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use candlelight_core::{Explain, InputXGradient};

    /// An attribution of these values: the input of a model that sums it, times its gradient of 1.
    pub(crate) fn map(values: &Tensor) -> Attribution {
        InputXGradient.explain(&|x: &Tensor| x.flatten_from(1)?.sum(1), values).unwrap()
    }

    pub(crate) fn cpu<A: candle_core::NdArray>(values: A) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn an_empty_mask_and_a_constant_map_are_errors_that_name_the_row() {
        let maps = map(&cpu(&[[[[1.0f64, 2.0]]], [[[3.0, 3.0]]]]));
        let error = Located::rows(&maps, &cpu(&[[[1u8, 0]], [[1, 0]]])).err();
        assert!(matches!(error, Some(Error::ConstantMap { row: 1, value: 3.0 })));
        let error = Located::rows(&maps, &cpu(&[[[0u8, 0]], [[1, 0]]])).err();
        assert!(matches!(error, Some(Error::EmptyMask { row: 0 })));
    }

    #[test]
    fn masks_of_another_batch_are_refused() {
        let maps = map(&cpu(&[[[[1.0f64, 2.0]]]]));
        let error = Located::rows(&maps, &cpu(&[[[1u8, 0]], [[1, 0]]])).err();
        assert!(matches!(error, Some(Error::Shape { .. })));
    }

    #[test]
    fn channels_are_summed_and_the_map_gets_the_mask_s_size() {
        let maps = map(&cpu(&[[[[0.0f64, 1.0]], [[0.0, 1.0]]]]));
        let located = Located::rows(&maps, &cpu(&[[[0u8, 0, 1, 1]]])).unwrap();
        assert_eq!(located[0].values, [0.0, 0.5, 1.5, 2.0]);
    }
}
