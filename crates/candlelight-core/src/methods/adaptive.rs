//! Where on a path the next gradient is worth most.
//!
//! Along x′ + α(x − x′) the score f changes by df/dα = Σ (x − x′)·∂f/∂x, and every gradient pass gives f as well. So the
//! integral over each part of the path is known beforehand, f(b) − f(a), and with it the error that the trapezoid makes
//! there. New steps go where it is largest. Weights depend on the places of the steps alone, so that the residual of
//! the whole stays evidence.

/// The first two steps: the middles of the halves.
const FIRST: [f64; 2] = [0.25, 0.75];
/// Each round refines this share of the parts: fewer use the steps better, more fill a batch better.
const SHARE: usize = 5;
/// How large the errors of the parts may be together, in units of the residual asked for. Without a limit a path would
/// stop where they happen to cancel.
const CANCELLING: f64 = 10.0;

/// A step along a path.
#[derive(Clone, Copy, Debug)]
struct Step {
    alpha: f64,
    score: f64,
    /// df/dα.
    slope: f64,
    /// Which step it was in the order in which they were taken.
    index: usize,
}

/// A part of the path between two steps, or between a step and an end.
struct Part {
    /// What the rule misses there.
    error: f64,
    /// Where a step would refine it.
    refined: f64,
}

/// The steps along one path.
pub(super) struct Adaptive {
    /// The score at the baseline and at the input.
    ends: (f64, f64),
    /// By their α.
    steps: Vec<Step>,
}

impl Adaptive {
    pub(super) fn new(start: f64, end: f64) -> Self {
        Self { ends: (start, end), steps: Vec::new() }
    }

    /// The positions at which gradients are wanted next; none when the residual is at most `asked`, relative to the
    /// difference of the scores, or `most` steps are taken.
    pub(super) fn next(&self, asked: f64, most: usize) -> Vec<f64> {
        if self.steps.is_empty() {
            return FIRST.into_iter().take(most).collect();
        }
        let mut parts = self.parts();
        let allowed = asked * (self.ends.1 - self.ends.0).abs();
        let residual = parts.iter().map(|part| part.error).sum::<f64>().abs();
        let missed = parts.iter().map(|part| part.error.abs()).sum::<f64>();
        if residual <= allowed && missed <= CANCELLING * allowed {
            return Vec::new();
        }
        parts.sort_by(|a, b| b.error.abs().total_cmp(&a.error.abs()));
        let count = (self.steps.len() / SHARE).max(1).min(most - self.steps.len());
        parts.into_iter().take(count).map(|part| part.refined).collect()
    }

    /// Notes what was found at `alpha`.
    pub(super) fn add(&mut self, alpha: f64, score: f64, slope: f64) {
        let at = self.steps.partition_point(|step| step.alpha < alpha);
        self.steps.insert(at, Step { alpha, score, slope, index: self.steps.len() });
    }

    /// The weight of every step by its index: half of the parts beside it, all of the first and last part.
    pub(super) fn weights(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.steps.len()];
        for (n, step) in self.steps.iter().enumerate() {
            let left = if n == 0 { 0.0 } else { (step.alpha + self.steps[n - 1].alpha) / 2.0 };
            let right = self.steps.get(n + 1).map_or(1.0, |next| (step.alpha + next.alpha) / 2.0);
            weights[step.index] = right - left;
        }
        weights
    }

    /// The parts from 0 to 1: rectangles at the ends, trapezoids between.
    fn parts(&self) -> Vec<Part> {
        let inner = self.steps.windows(2).map(|pair| {
            let (a, b) = (pair[0], pair[1]);
            let error = b.score - a.score - (b.alpha - a.alpha) * (a.slope + b.slope) / 2.0;
            Part { error, refined: (a.alpha + b.alpha) / 2.0 }
        });
        let first = self.steps.first().map(|step| {
            let error = step.score - self.ends.0 - step.alpha * step.slope;
            Part { error, refined: step.alpha / 3.0 }
        });
        let last = self.steps.last().map(|step| {
            let rest = 1.0 - step.alpha;
            Part { error: self.ends.1 - step.score - rest * step.slope, refined: 1.0 - rest / 3.0 }
        });
        first.into_iter().chain(inner).chain(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refines until `residual`; gives the positions and weights.
    fn refine(score: fn(f64) -> f64, slope: fn(f64) -> f64, residual: f64) -> Vec<(f64, f64)> {
        let mut path = Adaptive::new(score(0.0), score(1.0));
        let mut taken = Vec::new();
        loop {
            let next = path.next(residual, 1000);
            if next.is_empty() {
                return taken.into_iter().zip(path.weights()).collect();
            }
            for alpha in next {
                path.add(alpha, score(alpha), slope(alpha));
                taken.push(alpha);
            }
        }
    }

    #[test]
    fn steps_gather_where_the_score_bends_and_none_is_taken_twice() {
        let nodes = refine(
            |alpha| ((alpha - 0.1) / 0.01).tanh(),
            |alpha| (1.0 - ((alpha - 0.1) / 0.01).tanh().powi(2)) / 0.01,
            1e-3,
        );
        let near = nodes.iter().filter(|node| (node.0 - 0.1).abs() < 0.1).count();
        assert!(2 * near > nodes.len(), "{near} of {}", nodes.len());
        let mut places: Vec<f64> = nodes.iter().map(|node| node.0).collect();
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn weights_are_lengths_of_the_path_whatever_the_score() {
        let nodes = refine(|alpha| alpha.powi(5), |alpha| 5.0 * alpha.powi(4), 1e-4);
        assert!((nodes.iter().map(|node| node.1).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(nodes.iter().all(|node| node.1 > 0.0));
        // The integral of another function over the same steps: the weights know nothing of the score.
        let other: f64 = nodes.iter().map(|(alpha, weight)| weight * (3.0 * alpha).cos()).sum();
        assert!((other - 3.0f64.sin() / 3.0).abs() < 1e-2, "{other}");
    }

    #[test]
    fn errors_that_cancel_do_not_stop_a_path() {
        // f rises and falls by much more than its ends differ; two steps would do if errors might cancel.
        let nodes = refine(
            |alpha| (std::f64::consts::TAU * alpha).sin() + 0.01 * alpha,
            |alpha| std::f64::consts::TAU * (std::f64::consts::TAU * alpha).cos() + 0.01,
            0.1,
        );
        assert!(nodes.len() > 10, "{}", nodes.len());
    }

    #[test]
    fn a_straight_score_needs_the_first_two_steps_and_a_limit_is_kept() {
        assert_eq!(refine(|alpha| 3.0 * alpha, |_| 3.0, 1e-9).len(), 2);
        let path = Adaptive::new(0.0, 1.0);
        assert_eq!(path.next(1e-9, 1).len(), 1);
    }
}
