//! What a metric finds.

use candlelight_core::Cost;

/// One number for each row, the curves they are drawn from, and what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// One number for each row, in the metric's unit.
    pub values: Vec<f64>,
    /// For every row the curve that its number sums up; none for metrics without one.
    pub curves: Vec<Curve>,
    /// Passes of the model.
    pub cost: Cost,
}

impl Measured {
    /// Numbers that no pass of the model was needed for.
    pub(crate) fn free(values: Vec<f64>) -> Self {
        Self { values, ..Self::default() }
    }
}

/// What a metric sees along its way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// How far along, from 0 to 1; the metric says of what.
    pub at: Vec<f64>,
    /// What was seen there.
    pub values: Vec<f64>,
}

impl Curve {
    /// The area below it by the trapezoid rule, over the length of its way; the value itself where there is no way.
    pub fn area(&self) -> f64 {
        let way = self.at.last().zip(self.at.first()).map_or(0.0, |(last, first)| last - first);
        let ways = self.at.windows(2).map(|at| at[1] - at[0]);
        let heights = self.values.windows(2).map(|values| (values[0] + values[1]) / 2.0);
        match way == 0.0 {
            true => self.values.first().copied().unwrap_or(f64::NAN),
            false => ways.zip(heights).map(|(way, height)| way * height).sum::<f64>() / way,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_does_not_depend_on_where_a_line_is_looked_at() {
        let line = |at: &[f64]| Curve { at: at.to_vec(), values: at.iter().map(|at| 3.0 - at).collect() };
        assert!((line(&[0.0, 1.0]).area() - 2.5).abs() < 1e-15);
        assert!((line(&[0.0, 0.1, 0.7, 1.0]).area() - 2.5).abs() < 1e-15);
        assert_eq!(line(&[0.5]).area(), 2.5);
    }
}
