//! Samples that have a number, and those that have none.

/// Samples that no number could be taken from, told apart: they are counted, never dropped in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of which the metric said nothing: `None`.
    pub missing: usize,
    /// Of which it said NaN.
    pub nan: usize,
    /// Of which it said that they are infinite.
    pub infinite: usize,
}

impl LeftOut {
    /// What is left out of `values`.
    pub fn of<V: Into<Option<f64>> + Copy>(values: &[V]) -> Self {
        numbers(values.iter().map(|&value| value.into())).1
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.missing + self.nan + self.infinite
    }

    /// The number in `value`, or a count of why there is none.
    fn take(&mut self, value: Option<f64>) -> Option<f64> {
        let reason = match value {
            Some(value) if value.is_finite() => return Some(value),
            Some(value) if value.is_nan() => &mut self.nan,
            Some(_) => &mut self.infinite,
            None => &mut self.missing,
        };
        *reason += 1;
        None
    }
}

/// The numbers among `values`, in their order.
pub(super) fn numbers(values: impl Iterator<Item = Option<f64>>) -> (Vec<f64>, LeftOut) {
    let mut left_out = LeftOut::default();
    (values.filter_map(|value| left_out.take(value)).collect(), left_out)
}

/// The differences of pairs of which both have a number; a pair without is counted by the first that has none.
pub(super) fn differences(pairs: impl Iterator<Item = (Option<f64>, Option<f64>)>) -> (Vec<f64>, LeftOut) {
    let mut left_out = LeftOut::default();
    let mut difference = |(a, b)| {
        let a = left_out.take(a)?;
        Some(a - left_out.take(b)?)
    };
    (pairs.filter_map(&mut difference).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_without_a_number_are_counted_by_their_reason() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(f64::NEG_INFINITY), Some(-2.0), None];
        let (numbers, left_out) = numbers(values.into_iter());
        assert_eq!(numbers, [1.0, -2.0]);
        assert_eq!(left_out, LeftOut { missing: 2, nan: 1, infinite: 1 });
        assert_eq!(left_out.total(), 4);
    }

    #[test]
    fn a_pair_is_left_out_once() {
        let pairs = [(Some(3.0), Some(1.0)), (None, Some(f64::NAN)), (Some(0.0), Some(f64::NAN))];
        let (differences, left_out) = differences(pairs.into_iter());
        assert_eq!(differences, [2.0]);
        assert_eq!(left_out, LeftOut { missing: 1, nan: 1, infinite: 0 });
    }
}
