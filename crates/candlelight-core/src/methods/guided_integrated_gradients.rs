//! Guided IG: a path that moves the features of small gradient first.

use super::at_least_one;
use super::integrated_gradients::row_sums;
use crate::schedule::{Run, to_f64};
use crate::{Attribution, Baseline, Completeness, Convergence, Error, Explain, Model, Query, Result};
use candle_core::Tensor;

/// Distances nearer to each other than this, relative or absolute, are the same.
const SAME: f64 = 1e-9;

/// A = ∫ ∂f/∂x (γ) · dγ along a path γ from x′ to x that at every step moves the features of smallest |∂f/∂x|
/// ([Kapishnikov et al. 2021](https://arxiv.org/abs/2106.09788)).
///
/// A step takes the gradient once, and moves a share of the features towards x until 1/n of the L1 distance is gone; no
/// feature gets further than a given distance ahead of or behind the straight line. So the path goes round where the
/// score is steep, and collects less noise there. The attributions of a row sum to f(x) − f(x′), as nearly as the steps
/// are short.
///
/// Every step depends on the one before, so that one row has one gradient in flight: explain several rows together.
///
/// **When not to use it:** where methods must not look at the model to choose what they compare it with: the path
/// depends on f, and the map of a sum of two models is not the sum of their maps.
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Debug)]
pub struct GuidedIntegratedGradients {
    steps: usize,
    fraction: f64,
    distance: f64,
    baseline: Baseline,
}

impl Default for GuidedIntegratedGradients {
    /// 200 steps from zero that move a quarter of the features, at most 0.02 of the path off the straight line.
    fn default() -> Self {
        Self { steps: 200, fraction: 0.25, distance: 0.02, baseline: Baseline::default() }
    }
}

impl GuidedIntegratedGradients {
    /// How many gradients are taken along the path.
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// The share of the features that moves at once, from 0 to 1.
    pub fn fraction(self, fraction: f64) -> Self {
        Self { fraction, ..self }
    }

    /// How far a feature may be off the straight line, as a share of its way: 0 is Integrated Gradients, 1 is free.
    pub fn distance(self, distance: f64) -> Self {
        Self { distance, ..self }
    }

    /// Where the path starts.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    fn check(&self) -> Result<usize> {
        let share = |setting, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => {
                Err(Error::Setting { setting, value: value.to_string(), expected: "a share from 0 to 1" })
            }
        };
        share("fraction of features", self.fraction)?;
        share("distance from the straight line", self.distance)?;
        at_least_one("number of steps", self.steps)
    }
}

/// The way of one row.
struct Walk {
    from: Vec<f64>,
    to: Vec<f64>,
    at: Vec<f64>,
    map: Vec<f64>,
}

impl Walk {
    fn new(from: Vec<f64>, to: Vec<f64>) -> Self {
        Self { at: from.clone(), map: vec![0.0; to.len()], from, to }
    }

    /// Where the straight line has feature `i` at `alpha`.
    fn line(&self, i: usize, alpha: f64) -> f64 {
        self.from[i] + (self.to[i] - self.from[i]) * alpha
    }

    /// The L1 distance from `from` to the end.
    fn left(&self, from: &[f64]) -> f64 {
        from.iter().zip(&self.to).map(|(a, b)| (a - b).abs()).sum()
    }

    /// Moves until only 1 − `alpha` of the way is left.
    fn advance(&mut self, gradient: &[f64], alpha: f64, setting: &GuidedIntegratedGradients) {
        let (low, high) = ((alpha - setting.distance).max(0.0), (alpha + setting.distance).min(1.0));
        let target = self.left(&self.from) * (1.0 - alpha);
        let mut sizes: Vec<f64> = gradient.iter().map(|g| g.abs()).collect();
        loop {
            let before = self.at.clone();
            self.catch_up(low);
            let excess = self.left(&self.at) - target;
            let arrived = excess <= SAME.max(SAME * target);
            let moved =
                if arrived { 1.0 } else { self.move_smallest(&mut sizes, high, excess, setting.fraction) };
            for (i, before) in before.into_iter().enumerate() {
                self.map[i] += (self.at[i] - before) * gradient[i];
            }
            if moved >= 1.0 {
                break;
            }
        }
    }

    /// Brings features that lag behind `low` up to it.
    fn catch_up(&mut self, low: f64) {
        for i in 0..self.at.len() {
            let way = self.to[i] - self.from[i];
            if way != 0.0 && (self.at[i] - self.from[i]) / way < low {
                self.at[i] = self.line(i, low);
            }
        }
    }

    /// Moves the features of smallest size towards `high`, so that `excess` of the distance goes or as much as they can
    /// make go; gives the share of it that went, 1 if nothing can move.
    fn move_smallest(&mut self, sizes: &mut [f64], high: f64, excess: f64, fraction: f64) -> f64 {
        for (i, size) in sizes.iter_mut().enumerate() {
            if self.at[i] == self.line(i, high) {
                *size = f64::INFINITY;
            }
        }
        let threshold = lower_quantile(sizes, fraction);
        let chosen: Vec<usize> =
            (0..sizes.len()).filter(|&i| sizes[i] <= threshold && sizes[i].is_finite()).collect();
        let reach: f64 = chosen.iter().map(|&i| (self.line(i, high) - self.at[i]).abs()).sum();
        for &i in &chosen {
            let goal = self.line(i, high);
            self.at[i] =
                if excess > reach { goal } else { self.at[i] + (goal - self.at[i]) * (excess / reach) };
        }
        match sizes.iter().all(|size| size.is_infinite()) {
            true => 1.0,
            false => reach / excess,
        }
    }
}

/// The largest of the lowest `fraction` of the values.
fn lower_quantile(values: &[f64], fraction: f64) -> f64 {
    let rank = (fraction * (values.len() - 1) as f64) as usize;
    *values.to_vec().select_nth_unstable_by(rank, f64::total_cmp).1
}

impl Explain for GuidedIntegratedGradients {
    fn name(&self) -> String {
        "guided-integrated-gradients".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let steps = self.check()?;
        let (input, rows) = (query.input(), query.input().dims()[0]);
        let mut run = Run::new(model, query, rows * (steps + 2))?;
        let baseline = super::baselines(&self.baseline, input)?;
        let prediction = run.predict()?;
        let numbers = |x: &Tensor, row| to_f64(&x.get(row)?);
        let walk = |row| Ok(Walk::new(numbers(&baseline, row)?, numbers(input, row)?));
        let mut walks = (0..rows).map(walk).collect::<Result<Vec<_>>>()?;
        let tensor = |values: &[f64]| -> Result<Tensor> {
            let row = Tensor::from_slice(values, &input.dims()[1..], input.device())?;
            Ok(row.to_dtype(input.dtype())?)
        };
        for step in 1..=steps {
            for range in run.batches(rows) {
                let points = walks[range.clone()].iter().map(|walk| tensor(&walk.at));
                let points = Tensor::stack(&points.collect::<Result<Vec<_>>>()?, 0)?;
                let owners: Vec<usize> = range.clone().collect();
                let (_, gradients) = run.slopes(&points, &owners, &prediction.target)?;
                for (n, walk) in walks[range].iter_mut().enumerate() {
                    walk.advance(&numbers(&gradients, n)?, step as f64 / steps as f64, self);
                }
            }
        }
        let maps = walks.iter().map(|walk| tensor(&walk.map)).collect::<Result<Vec<_>>>()?;
        let values = Tensor::stack(&maps, 0)?;
        let difference = super::differences(&mut run, &baseline, &prediction)?;
        let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
        let convergence = Convergence { completeness, ..Convergence::in_steps(steps, rows) };
        Ok(Attribution::new(self.name(), values, prediction, convergence, run.cost()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// f = x₀²·x₁ + sin(3x₂) + x₃·x₄ and its gradient.
    fn gradient(x: &[f64]) -> Vec<f64> {
        vec![2.0 * x[0] * x[1], x[0] * x[0], 3.0 * (3.0 * x[2]).cos(), x[4], x[3], 0.0]
    }

    fn model(x: &Tensor) -> candle_core::Result<Tensor> {
        let x = |i| x.narrow(1, i, 1);
        ((x(0)?.sqr()? * x(1)?)? + (x(2)? * 3.0)?.sin()?)? + (x(3)? * x(4)?)?
    }

    /// The authors' algorithm, step by step as their paper's appendix has it, on whole vectors and by sorting.
    fn twin(to: &[f64], from: &[f64], (steps, fraction, distance): (usize, f64, f64)) -> Vec<f64> {
        let n = to.len();
        let l1 = |a: &[f64]| (0..n).map(|i| (a[i] - to[i]).abs()).sum::<f64>();
        let at = |alpha: f64| (0..n).map(|i| from[i] + (to[i] - from[i]) * alpha).collect::<Vec<f64>>();
        let (mut x, mut map) = (from.to_vec(), vec![0.0; n]);
        for step in 0..steps {
            let actual = gradient(&x);
            let mut sizes: Vec<f64> = actual.iter().map(|g| g.abs()).collect();
            let alpha = (step + 1) as f64 / steps as f64;
            let (low, high) = (at((alpha - distance).max(0.0)), at((alpha + distance).min(1.0)));
            let target = l1(from) * (1.0 - alpha);
            let mut gamma = f64::INFINITY;
            while gamma > 1.0 {
                let old = x.clone();
                for i in 0..n {
                    let behind = (x[i] - from[i]) / (to[i] - from[i]) < (alpha - distance).max(0.0);
                    x[i] = if to[i] != from[i] && behind { low[i] } else { x[i] };
                }
                let current = l1(&x);
                if (current - target).abs() <= SAME.max(SAME * current.max(target)) {
                    (0..n).for_each(|i| map[i] += (x[i] - old[i]) * actual[i]);
                    break;
                }
                (0..n).filter(|&i| x[i] == high[i]).for_each(|i| sizes[i] = f64::INFINITY);
                let mut sorted = sizes.clone();
                sorted.sort_by(f64::total_cmp);
                let threshold = sorted[(fraction * (n - 1) as f64).floor() as usize];
                let s: Vec<bool> = sizes.iter().map(|&g| g <= threshold && g != f64::INFINITY).collect();
                let reach: f64 = (0..n).filter(|&i| s[i]).map(|i| (x[i] - high[i]).abs()).sum();
                gamma = if reach > 0.0 { (current - target) / reach } else { f64::INFINITY };
                for i in (0..n).filter(|&i| s[i]) {
                    x[i] = if gamma > 1.0 { high[i] } else { x[i] + (high[i] - x[i]) * gamma };
                }
                (0..n).for_each(|i| map[i] += (x[i] - old[i]) * actual[i]);
            }
        }
        map
    }

    fn ours(method: &GuidedIntegratedGradients, to: &[f64]) -> Result<Attribution> {
        let x = Tensor::new(to, &Device::Cpu)?.unsqueeze(0)?;
        method.clone().baseline(Baseline::Constant(0.1)).explain(&model, (&x, 0))
    }

    #[test]
    fn the_walk_is_that_of_the_authors() -> Result<()> {
        let to = [1.2, -0.7, 0.9, 0.4, 0.1, 2.0];
        for (steps, fraction, distance) in
            [(7, 0.25, 0.02), (20, 0.5, 0.3), (11, 0.0, 1.0), (5, 1.0, 0.1), (9, 0.3, 0.0)]
        {
            let method = GuidedIntegratedGradients { steps, fraction, distance, ..Default::default() };
            let found = to_f64(ours(&method, &to)?.values())?;
            for (a, b) in found.iter().zip(twin(&to, &[0.1; 6], (steps, fraction, distance))) {
                assert!((a - b).abs() < 1e-12, "{steps} {fraction} {distance}: {found:?}, not {b}");
            }
        }
        Ok(())
    }

    #[test]
    fn more_steps_bring_it_nearer_to_completeness() -> Result<()> {
        let residual = |steps| -> Result<f64> {
            let map =
                ours(&GuidedIntegratedGradients::default().steps(steps), &[1.2, -0.7, 0.9, 0.4, 0.1, 2.0])?;
            Ok(map.convergence().worst())
        };
        let (few, many) = (residual(50)?, residual(2000)?);
        assert!(many < few / 30.0, "forty times the steps, a fortieth of the error: {few} {many}");
        Ok(())
    }
}
