//! RISE: what the model says of the image under random masks.

mod masks;
mod sums;

pub use sums::Coverage;

use super::{Draws, baselines};
use crate::random::Stream;
use crate::schedule::{Prediction, Run, Scale, check_input};
use crate::{
    Attribution, Baseline, Convergence, Error, Explain, Model, Progress, Query, Reading, Result, Sampling,
};
use candle_core::Tensor;
use masks::Grid;
use std::ops::Range;
use sums::Sums;

/// A = 1 / (N p) Σ P(x ⊙ Mₖ) Mₖ over N random masks M with mean p and the class's probability P: "randomized input sampling
/// for explanation" ([Petsiuk et al. 2018](https://arxiv.org/abs/1806.07421)). A mask is a grid of cells, each open with chance p,
/// interpolated and shifted; where it is closed, the baseline is seen. Any model, no gradient.
///
/// The standard error is that of the mean over masks. Memory does not grow with their number.
///
/// **When not to use it:** for fine structures: nothing smaller than a cell can be told apart. For scores that may be
/// negative: every map then is the masks' coverage times the mean score, and little else; the probability is what the paper
/// means. And to learn what speaks against a class: the map has no sign.
///
/// # Shapes
/// Input `[N, C, H, W]`, map `[N, 1, H, W]`.
///
/// # Example
/// ```
/// use candlelight_core::{Coverage, Rise};
///
/// let method = Rise::default().cells(7).samples(8000).coverage(Coverage::Sampled);
/// ```
#[derive(Clone, Debug)]
pub struct Rise {
    grid: Grid,
    given: Option<Tensor>,
    samples: Draws,
    baseline: Baseline,
    coverage: Coverage,
    scale: Scale,
}

impl Default for Rise {
    /// 4 000 masks of 7 x 7 cells, each open with chance ½, over 0; the class's probability.
    fn default() -> Self {
        Self {
            grid: Grid { cells: 7, chance: 0.5 },
            given: None,
            samples: Draws::Fixed(4000),
            baseline: Baseline::Zero,
            coverage: Coverage::Expected,
            scale: Scale::Probability,
        }
    }
}

impl Rise {
    /// Cells of a mask along each axis.
    pub fn cells(mut self, cells: usize) -> Self {
        self.grid.cells = cells;
        self
    }

    /// The chance p that a cell is open.
    pub fn chance(mut self, chance: f64) -> Self {
        self.grid.chance = chance;
        self
    }

    /// Takes these masks, `[masks, H, W]`, for every row: to repeat another tool's numbers. [`chance`](Self::chance) says their
    /// mean.
    pub fn given(self, masks: Tensor) -> Self {
        Self { given: Some(masks), ..self }
    }

    /// What is seen where a mask is closed; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// What the sum is divided by.
    pub fn coverage(self, coverage: Coverage) -> Self {
        Self { coverage, ..self }
    }

    /// What weighs a mask: the probability of the class, or the score itself.
    pub fn scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// How many masks are drawn for each row; at most so many after [`until`](Self::until).
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: self.samples.at_most(samples), ..self }
    }

    /// Draws masks until the standard error of the map, norm over norm, is at most `standard_error`, or 10 000 times.
    pub fn until(self, standard_error: f64) -> Self {
        Self { samples: Draws::until(standard_error), ..self }
    }

    /// How many masks there are.
    fn count(&self, (height, width): (usize, usize)) -> Result<Draws> {
        self.samples.check()?;
        self.grid.check()?;
        match &self.given {
            None => Ok(self.samples),
            Some(given) if given.dims().get(1..) == Some(&[height, width]) && given.dims()[0] > 0 => {
                Ok(Draws::Fixed(given.dims()[0]))
            }
            Some(given) => Err(Error::Shape {
                what: "the masks of RISE",
                found: given.dims().to_vec(),
                expected: format!("[masks, {height}, {width}]"),
            }),
        }
    }

    /// Masks of a row, `[B, 1, H, W]`.
    fn masks(&self, query: &Query, row: usize, draws: Range<usize>) -> Result<Tensor> {
        let x = query.input();
        let like = (x.dtype(), x.device());
        if let Some(given) = &self.given {
            let some = given.narrow(0, draws.start, draws.len())?.unsqueeze(1)?;
            return Ok(some.to_dtype(like.0)?.to_device(like.1)?);
        }
        let (_, _, height, width) = x.dims4()?;
        let stream = |draw| Stream::new(query.seed_asked(), query.sample(row), draw as u64);
        self.grid.masks(draws, (height, width), stream, like)
    }

    /// Asks about some draws of a row.
    fn ask(
        &self,
        run: &mut Run,
        (query, baseline, prediction): (&Query, &Tensor, &Prediction),
        (row, draws): (usize, Range<usize>),
        sums: &mut Sums,
    ) -> Result<()> {
        let (masks, count) = (self.masks(query, row, draws.clone())?, draws.len());
        let (x, baseline) = (query.input().narrow(0, row, 1)?, baseline.narrow(0, row, 1)?);
        let points = (x - &baseline)?.broadcast_mul(&masks)?.broadcast_add(&baseline)?;
        let scores = run.scaled_scores(&points, &vec![row; count], &prediction.target, self.scale)?;
        sums.add(&masks, &scores)
    }

    /// What every row needs next, a batch at a time and in turns.
    fn jobs(&self, draws: Draws, sums: &[Sums], batch: usize) -> Result<Vec<(usize, Range<usize>)>> {
        let mut jobs = Vec::new();
        for (row, sums) in sums.iter().enumerate() {
            let from = sums.count;
            let to = from + draws.more(from, || sums.relative_error(self.grid.chance, self.coverage))?;
            jobs.extend((from..to).step_by(batch).map(|start| (row, start..(start + batch).min(to))));
        }
        jobs.sort_by_key(|(row, draws)| (draws.start, *row));
        Ok(jobs)
    }

    /// Asks until every row has enough; how far it was if it was cancelled.
    fn sample(
        &self,
        run: &mut Run,
        asked: (&Query, &Tensor, &Prediction),
        draws: Draws,
        sums: &mut [Sums],
    ) -> Result<Option<Progress>> {
        loop {
            let jobs = self.jobs(draws, sums, run.batch())?;
            if jobs.is_empty() {
                run.finish()?;
                return Ok(None);
            }
            for (row, draws) in jobs {
                match self.ask(run, asked, (row, draws), &mut sums[row]) {
                    Err(Error::Cancelled { done, of }) if sums.iter().all(|sums| sums.count > 0) => {
                        return Ok(Some(Progress { done, of }));
                    }
                    result => result?,
                }
            }
        }
    }
}

impl Explain for Rise {
    fn name(&self) -> String {
        "rise".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let input = query.input();
        check_input(input)?;
        let (rows, _, height, width) = input.dims4().map_err(|_| Error::Shape {
            what: "the input of RISE",
            found: input.dims().to_vec(),
            expected: "images [N, C, H, W]".into(),
        })?;
        let draws = self.count((height, width))?;
        let mut run = Run::new(model, query, rows.saturating_mul(draws.most().saturating_add(1)))?;
        let baseline = baselines(&self.baseline, input)?;
        let prediction = run.predict()?;
        let mut sums = vec![Sums::default(); rows];
        let partial = self.sample(&mut run, (query, &baseline, &prediction), draws, &mut sums)?;
        let maps = sums.iter().map(|sums| sums.map(self.grid.chance, self.coverage));
        let (maps, errors): (Vec<_>, Vec<_>) = maps.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let error = |sums: &Sums| sums.relative_error(self.grid.chance, self.coverage);
        let standard_error = sums.iter().map(error).collect::<Result<_>>()?;
        let sampling =
            Some(Sampling { samples: sums.iter().map(|sums| sums.count).collect(), standard_error });
        let convergence = Convergence { sampling, partial, ..Convergence::default() };
        let values = Tensor::stack(&maps, 0)?;
        let map = Attribution::new(self.name(), values, prediction, convergence, run.cost());
        Ok(Attribution { error: Some(Tensor::stack(&errors, 0)?), reading: Reading::Positive, ..map })
    }
}
