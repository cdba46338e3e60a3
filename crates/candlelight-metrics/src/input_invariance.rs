//! Input Invariance.

use crate::saliency::finite;
use crate::{Error, Measured, Metric, Result, Subject};
use candle_core::{DType, Device, Tensor};

/// max |a(x) − a′(x + s)| of the method on f at x and on f′(x) = f(x − s) at x + s, two models that say the same of what
/// they see: a shift that the model takes back should leave the map as it is
/// ([Kindermans et al. 2017](https://arxiv.org/abs/1711.00867)). Lower is better. It is in units of the map, and grows with
/// them: methods of different units are not compared by it. a(x) is the map that is measured.
///
/// **When not to use it:** against methods whose baseline is a value of the input, without shifting the baseline as well:
/// Integrated Gradients from zero explains a difference to black, and black is another colour after the shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputInvariance {
    shift: f64,
}

impl Default for InputInvariance {
    /// A shift of −1, as the paper's on digits.
    fn default() -> Self {
        Self { shift: -1.0 }
    }
}

impl InputInvariance {
    /// By how much all values of the input are shifted, in units of the input.
    pub fn shift(self, shift: f64) -> Self {
        Self { shift }
    }
}

impl Metric for InputInvariance {
    fn name(&self) -> &'static str {
        "input-invariance"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        if !self.shift.is_finite() {
            let (setting, value) = ("shift", self.shift.to_string());
            return Err(Error::Setting { setting, value, expected: "a finite number" });
        }
        let method = subject.method_for(self.name())?;
        let shifted = |x: &Tensor| subject.model.forward(&(x - self.shift)?);
        let moved = (subject.query.input() + self.shift)?;
        let map = subject.attribution.values();
        let other = method.attribute(&shifted, &subject.query.clone().on(&moved))?;
        if other.values().dims() != map.dims() {
            let (what, found) = ("the map", map.dims().to_vec());
            let expected = format!("{:?}, as the method's; measure its own map", other.values().dims());
            return Err(Error::Shape { what, found, expected });
        }
        let change = (map - other.values().to_dtype(map.dtype())?)?.to_device(&Device::Cpu)?;
        let rows = change.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
        let largest = |(row, values)| {
            Ok(finite(row, values)?.iter().fold(0.0, |most: f64, value| most.max(value.abs())))
        };
        let values = rows.into_iter().enumerate().map(largest).collect::<Result<_>>()?;
        Ok(Measured { values, cost: other.cost(), ..Measured::default() })
    }
}
