//! Straight lines from baselines to rows, and the mean gradient along them.

use super::adaptive::Adaptive;
use super::quadrature::Quadrature;
use super::versions;
use crate::schedule::Run;
use crate::target::Resolved;
use crate::{Error, Result};
use candle_core::Tensor;

/// Rows in flight for every path that is followed at once, if it keeps its gradients until it has enough.
const BATCH_PER_LINE: usize = 8;

/// Where gradients are taken along a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Steps {
    Fixed { count: usize, quadrature: Quadrature },
    Until { residual: f64, most: usize },
}

impl Steps {
    /// The largest number of gradients along one line.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Fixed { count, .. } => count,
            Self::Until { most, .. } => most,
        }
    }

    /// How many lines are followed at once where the budget allows `batch` rows.
    pub(super) fn lines(self, batch: usize) -> usize {
        match self {
            Self::Fixed { .. } => batch,
            Self::Until { .. } => batch.div_ceil(BATCH_PER_LINE),
        }
    }

    pub(super) fn check(self) -> Result<()> {
        if let Self::Until { residual, .. } = self
            && !(residual.is_finite() && residual > 0.0)
        {
            let (setting, expected) = ("residual", "a positive number such as 0.01");
            return Err(Error::Setting { setting, value: residual.to_string(), expected });
        }
        super::at_least_one("number of steps", self.most()).map(drop)
    }
}

/// The line from a baseline to a row.
pub(super) struct Line {
    pub(super) row: usize,
    baseline: Tensor,
    path: Tensor,
    /// The scores at the baseline and at the row.
    pub(super) ends: (f64, f64),
}

/// The attributions along one line.
pub(super) struct Integral {
    pub(super) values: Tensor,
    pub(super) steps: usize,
}

impl Line {
    /// The line of row `row` from `baseline`, the score at which is not known yet.
    pub(super) fn new(run: &Run, row: usize, baseline: Tensor, end: f64) -> Result<Self> {
        let path = (run.input().get(row)? - &baseline)?;
        Ok(Self { row, baseline, path, ends: (f64::NAN, end) })
    }

    fn at(&self, alpha: f64) -> Result<Tensor> {
        Ok((&self.baseline + (&self.path * alpha)?)?)
    }

    /// df/dα of a gradient.
    fn slope(&self, gradient: &Tensor) -> Result<f64> {
        super::total(&(&self.path * gradient)?)
    }
}

/// Evaluates the score at the baseline of every line.
pub(super) fn start(run: &mut Run, lines: &mut [Line], target: &Resolved) -> Result<()> {
    for lines in lines.chunks_mut(run.batch()) {
        let rows: Vec<usize> = lines.iter().map(|line| line.row).collect();
        let points: Vec<&Tensor> = lines.iter().map(|line| &line.baseline).collect();
        let scores = run.scores(&Tensor::stack(&points, 0)?, &rows, target)?;
        lines.iter_mut().zip(scores).for_each(|(line, score)| line.ends.0 = score);
    }
    Ok(())
}

/// The attributions along every line.
pub(super) fn integrate(
    steps: Steps,
    run: &mut Run,
    lines: &[Line],
    target: &Resolved,
) -> Result<Vec<Integral>> {
    match steps {
        Steps::Fixed { count, quadrature } => fixed(&quadrature.nodes(count), run, lines, target),
        Steps::Until { residual, most } => until((residual, most), run, lines, target),
    }
}

/// The same steps along every line, all in one flat batch.
fn fixed(nodes: &[(f64, f64)], run: &mut Run, lines: &[Line], target: &Resolved) -> Result<Vec<Integral>> {
    let places: Vec<(usize, usize)> =
        (0..lines.len() * nodes.len()).map(|k| (k / nodes.len(), k % nodes.len())).collect();
    let jobs: Vec<(usize, usize)> =
        places.iter().enumerate().map(|(k, &(line, _))| (lines[line].row, k)).collect();
    let mut sums: Vec<Option<Tensor>> = vec![None; lines.len()];
    let version = |_, k: usize| {
        let (line, node) = places[k];
        Ok((lines[line].at(nodes[node].0)?, (line, nodes[node].1)))
    };
    versions::gradients(run, &jobs, target, version, |_, (line, weight), _, gradient| {
        let weighted = (gradient * weight)?;
        sums[line] = Some(match sums[line].take() {
            Some(sum) => (sum + weighted)?,
            None => weighted,
        });
        Ok(())
    })?;
    let integral = |(line, sum): (&Line, Option<Tensor>)| {
        let mean = sum.map_or_else(|| line.path.zeros_like(), Ok)?;
        Ok(Integral { values: (&line.path * mean)?, steps: nodes.len() })
    };
    lines.iter().zip(sums).map(integral).collect()
}

/// Steps that each line chooses for itself; its gradients are kept until it has enough.
fn until(
    (residual, most): (f64, usize),
    run: &mut Run,
    lines: &[Line],
    target: &Resolved,
) -> Result<Vec<Integral>> {
    let mut paths: Vec<Adaptive> = lines.iter().map(|line| Adaptive::new(line.ends.0, line.ends.1)).collect();
    let mut gradients: Vec<Vec<Tensor>> = vec![Vec::new(); lines.len()];
    loop {
        let wanted = |(line, path): (usize, &Adaptive)| {
            path.next(residual, most).into_iter().map(move |alpha| (line, alpha)).collect::<Vec<_>>()
        };
        let places: Vec<(usize, f64)> = paths.iter().enumerate().flat_map(wanted).collect();
        if places.is_empty() {
            break;
        }
        let jobs: Vec<(usize, usize)> =
            places.iter().enumerate().map(|(k, &(line, _))| (lines[line].row, k)).collect();
        let version = |_, k: usize| Ok((lines[places[k].0].at(places[k].1)?, places[k]));
        versions::gradients(run, &jobs, target, version, |_, (line, alpha), score, gradient| {
            paths[line].add(alpha, score, lines[line].slope(gradient)?);
            // Of its own: a view would hold on to its whole batch.
            gradients[line].push(gradient.copy()?);
            Ok(())
        })?;
    }
    let integral = |((line, path), gradients): ((&Line, &Adaptive), &Vec<Tensor>)| {
        let weighted = gradients.iter().zip(path.weights());
        let sum = weighted.map(|(gradient, weight)| gradient * weight);
        let mean = sum.reduce(|sum, next| sum? + next?).unwrap_or_else(|| line.path.zeros_like())?;
        Ok(Integral { values: (&line.path * mean)?, steps: gradients.len() })
    };
    lines.iter().zip(&paths).zip(&gradients).map(integral).collect()
}
