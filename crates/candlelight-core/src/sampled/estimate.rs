//! What samples say, and how sure they are of it.

/// One number for each feature of a row, with its standard error.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    pub(crate) values: Vec<f64>,
    /// Infinite where nothing is known of it; 0 everywhere where nothing was left to chance.
    pub(crate) errors: Vec<f64>,
}

impl Estimate {
    /// Values that no chance was involved in.
    pub(crate) fn exact(values: Vec<f64>) -> Self {
        Self { errors: vec![0.0; values.len()], values }
    }

    /// `values`, and how far they go astray as parts of the samples are left out: `without(part)` is what they are
    /// then, and each of the parts has as many samples, as nearly as it can be. The variance is that of the delete-a-group
    /// jackknife, (G − 1)/G · Σ (θ without g − mean)² ([Efron and Stein 1981](https://doi.org/10.1214/aos/1176345462)):
    /// one rule for every estimator that is smooth in sums over its samples.
    pub(crate) fn jackknife(
        values: Vec<f64>,
        parts: usize,
        without: impl Fn(usize) -> Option<Vec<f64>>,
    ) -> Self {
        let left: Option<Vec<Vec<f64>>> = (0..parts).map(without).collect();
        let Some(left) = left.filter(|left| left.len() > 1) else {
            return Self { errors: vec![f64::INFINITY; values.len()], values };
        };
        let parts = left.len() as f64;
        let error = |player: usize| {
            let mean = left.iter().map(|values| values[player]).sum::<f64>() / parts;
            let squares = left.iter().map(|values| (values[player] - mean).powi(2)).sum::<f64>();
            (squares * (parts - 1.0) / parts).sqrt()
        };
        Self { errors: (0..values.len()).map(error).collect(), values }
    }

    /// The L2 norm of the errors over that of the values.
    pub(crate) fn relative_error(&self) -> f64 {
        let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        match (norm(&self.errors), norm(&self.values)) {
            (0.0, _) => 0.0,
            (error, value) => error / value,
        }
    }
}

/// Running mean and spread of vectors that are drawn independently of each other (Welford's sums, which do not cancel).
#[derive(Clone, Debug)]
pub(crate) struct Mean {
    count: usize,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Mean {
    pub(crate) fn new(size: usize) -> Self {
        Self { count: 0, means: vec![0.0; size], squares: vec![0.0; size] }
    }

    pub(crate) fn add(&mut self, drawn: &[f64]) {
        self.count += 1;
        for ((mean, square), value) in self.means.iter_mut().zip(&mut self.squares).zip(drawn) {
            let off = value - *mean;
            *mean += off / self.count as f64;
            *square += off * (value - *mean);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// `None` before the first draw.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let count = self.count as f64;
        let error = |square: &f64| match self.count {
            1 => f64::INFINITY,
            _ => (square / (count - 1.0) / count).sqrt(),
        };
        let errors = self.squares.iter().map(error).collect();
        (self.count > 0).then(|| Estimate { values: self.means.clone(), errors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWN: [f64; 6] = [1.5, -2.0, 0.25, 7.0, 3.0, 3.5];

    #[test]
    fn the_jackknife_of_a_mean_is_the_textbook_s_standard_error() {
        let mean = DRAWN.iter().sum::<f64>() / 6.0;
        let without = |part: usize| Some(vec![(DRAWN.iter().sum::<f64>() - DRAWN[part]) / 5.0]);
        let found = Estimate::jackknife(vec![mean], 6, without);
        let variance = DRAWN.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0;
        assert!((found.errors[0] - (variance / 6.0).sqrt()).abs() < 1e-12, "{found:?}");

        let mut running = Mean::new(1);
        DRAWN.iter().for_each(|&x| running.add(&[x]));
        let running = running.estimate().expect("six draws");
        assert!((running.values[0] - mean).abs() < 1e-12, "{running:?}");
        assert!((running.errors[0] - found.errors[0]).abs() < 1e-12, "{running:?}");
    }

    #[test]
    fn nothing_is_known_of_the_error_of_one_sample() {
        let one = Estimate::jackknife(vec![1.0], 1, |_| Some(vec![1.0]));
        assert_eq!(one.errors, [f64::INFINITY]);
        let mut running = Mean::new(1);
        assert!(running.estimate().is_none());
        running.add(&[2.0]);
        assert_eq!(running.estimate().expect("one draw").relative_error(), f64::INFINITY);
        assert_eq!(Estimate::exact(vec![0.0]).relative_error(), 0.0);
    }
}
