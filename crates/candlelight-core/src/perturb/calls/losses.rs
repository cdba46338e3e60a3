//! What a score loses without features, computed from what is known where a model allows it.

use super::{Calls, Coalition};
use crate::Result;
use crate::scope::Original;
use candle_core::DType;
use candlelight_kernels::chain::{Region, Together};

impl Calls<'_> {
    /// What the score of row `row` loses without the features in each of `absent`. Where `regions` has the rectangle of the
    /// image in which each of them lies, what `original`, which is that row, makes of its other places is not computed
    /// again if the model allows it; features that have the baseline's values anyway lose nothing, and are not asked.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub(crate) fn losses(
        &mut self,
        row: usize,
        original: &Original,
        absent: &[Vec<usize>],
        regions: Option<&[Region]>,
    ) -> Result<Vec<f64>> {
        let idle = self.idle(row)?;
        let matters = |index: &usize| !absent[*index].iter().all(|&player| idle[player]);
        let mut jobs: Vec<usize> = (0..absent.len()).filter(matters).collect();
        let all = Coalition::full(self.players(row).count());
        let without = |&index: &usize| {
            (row, absent[index].iter().fold(all.clone(), |who, &player| who.without(player)))
        };
        let mut scores = Vec::with_capacity(jobs.len());
        while scores.len() < jobs.len() {
            let done = scores.len();
            // The first shows whether the model can reuse anything: else the others are evaluations like any.
            let regions = regions.filter(|_| done == 0 || original.is_reused());
            if let (1, Some(regions)) = (done, regions) {
                arrange(&mut jobs[1..], original, regions);
            }
            let batch = match (done, regions) {
                (0, Some(_)) => 1,
                (_, Some(_)) => self.run.batch_of_changed(),
                (_, None) => self.run.batch(),
            };
            let some = &jobs[done..(done + batch).min(jobs.len())];
            let asked: Vec<_> = some.iter().map(without).collect();
            scores.extend(match regions {
                Some(regions) => {
                    let regions: Vec<_> = some.iter().map(|&index| regions[index].clone()).collect();
                    self.values_inside(row, original, (&asked, &regions))?
                }
                None => self.values(&asked)?,
            });
        }
        let whole = self.whole_of(row, original)?;
        let mut losses = vec![0.0; absent.len()];
        jobs.iter().zip(scores).for_each(|(&index, score)| losses[index] = whole - score);
        Ok(losses)
    }

    /// f(x) of row `row`, rounded as that of its versions: from what is known of it if they were made from that.
    fn whole_of(&mut self, row: usize, original: &Original) -> Result<f64> {
        if !original.is_reused() {
            return Ok(self.whole(row));
        }
        let (all, nowhere) =
            (Coalition::full(self.players(row).count()), Region { rows: 0..0, columns: 0..0 });
        Ok(self.values_inside(row, original, (&[(row, all)], &[nowhere]))?[0])
    }

    /// For every feature of a row whether it has the baseline's values as it is.
    fn idle(&self, row: usize) -> Result<Vec<bool>> {
        let players = self.players(row);
        if self.tokens.is_some() {
            return Ok(vec![false; players.count()]);
        }
        let differs = self.x(row)?.ne(&self.rows[row].baseline)?.squeeze(0)?;
        Ok(players.totals(&differs.to_dtype(DType::F64)?)?.into_iter().map(|count| count == 0.0).collect())
    }

    /// The scores of row `row` for coalitions whose absent features lie in one rectangle of the image each.
    fn values_inside(
        &mut self,
        row: usize,
        original: &Original,
        (asked, regions): (&[(usize, Coalition)], &[Region]),
    ) -> Result<Vec<f64>> {
        let points = self.points(&asked.iter().collect::<Vec<_>>())?;
        self.run.scores_of_changed(original, (&points, regions), row, &self.prediction.target)
    }

    /// For every feature of a row the rectangle of the image around it; none where features are no places of an image.
    pub(crate) fn boxes(&self, row: usize) -> Result<Option<Vec<Region>>> {
        if self.tokens.is_some() || self.run.input().rank() != 4 {
            return Ok(None);
        }
        self.players(row).boxes()
    }

    /// Row `row` as one whose values can be known, and which of its versions go through together.
    pub(crate) fn original(&self, row: usize, together: Together) -> Result<Original> {
        Ok(Original::new(&self.x(row)?.contiguous()?, together))
    }
}

/// Brings `jobs`, indices of `regions`, into an order in which they go well together.
fn arrange(jobs: &mut [usize], original: &Original, regions: &[Region]) {
    let changed: Vec<Region> = jobs.iter().map(|&index| regions[index].clone()).collect();
    let arranged: Vec<usize> = original.arranged(&changed).into_iter().map(|at| jobs[at]).collect();
    jobs.copy_from_slice(&arranged);
}
