//! What is measured: a map, and what it claims to explain.

use crate::saliency::finite;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{Attribution, Explain, Model, Query};

/// A map beside the model and the question that it answers, and what else a metric may want to know.
///
/// The query's target says whose score is meant, its budget how many versions of the input go through the model at once
/// (never the result), its seed every random number, and its progress counts them.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) query: &'a Query,
    pub(crate) attribution: &'a Attribution,
    masks: Option<&'a Tensor>,
    method: Option<&'a dyn Explain>,
}

impl<'a> Subject<'a> {
    /// What `attribution` says of `query` to `model`.
    ///
    /// # Errors
    /// [`Error::Rows`] if the map has not one row for each of the query's, [`Error::NoRows`] if there are none;
    /// [`Error::NotFinite`] names the row of a map that holds NaN or infinities.
    pub fn new(model: &'a dyn Model, query: &'a Query, attribution: &'a Attribution) -> Result<Self> {
        Self::check(query.input(), attribution)?;
        Ok(Self { model, query, attribution, masks: None, method: None })
    }

    /// Refuses maps that are not of these rows, or hold no numbers.
    pub(crate) fn check(input: &Tensor, attribution: &Attribution) -> Result<()> {
        let rows = |tensor: &Tensor| tensor.dims().first().copied().unwrap_or(0);
        let (maps, inputs) = (rows(attribution.values()), rows(input));
        match (maps == inputs, inputs) {
            (false, _) => Err(Error::Rows { maps, inputs }),
            (true, 0) => Err(Error::NoRows),
            (true, _) => check_finite(attribution.values()),
        }
    }

    /// With the place of the object in every row, `[N, H, W]`: inside is what is not zero.
    pub fn masks(self, masks: &'a Tensor) -> Self {
        Self { masks: Some(masks), ..self }
    }

    /// With the method that made the map, for metrics that ask it again.
    pub fn method(self, method: &'a dyn Explain) -> Self {
        Self { method: Some(method), ..self }
    }

    /// The map.
    pub fn attribution(&self) -> &'a Attribution {
        self.attribution
    }

    /// The masks, for `metric`.
    pub(crate) fn masks_for(&self, metric: &'static str) -> Result<&'a Tensor> {
        self.masks.ok_or(Error::Missing { metric, what: "masks" })
    }

    /// The method, for `metric`.
    pub(crate) fn method_for(&self, metric: &'static str) -> Result<&'a dyn Explain> {
        self.method.ok_or(Error::Missing { metric, what: "the method that made the map" })
    }
}

fn check_finite(values: &Tensor) -> Result<()> {
    let rows = values.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
    rows.into_iter().enumerate().try_for_each(|(row, values)| finite(row, values).map(drop))
}
