//! What is asked of a model, draw by draw, and when it is enough.

use super::Estimate;
use crate::methods::Draws;
use crate::perturb::{Calls, Coalition};
use crate::{Convergence, Error, Progress, Result, Sampling};

/// A plan of what to ask about one row, and sums over the answers. Nothing here depends on how the questions are
/// batched: draw `k` is the same whenever it is made.
pub(crate) trait Design {
    /// What the model is asked about.
    type Point: Point;

    /// How many draws there are if the caller asks for `samples`; as far as it is known yet.
    fn draws(&self, samples: usize) -> usize {
        samples
    }

    /// The points of draw `draw`, in order.
    fn points(&self, draw: usize) -> Vec<Self::Point>;

    /// Takes the values of the points of the next draw.
    fn take(&mut self, points: &[Self::Point], values: &[f64]);

    /// How many draws were taken.
    fn drawn(&self) -> usize;

    /// What the draws say; `None` as long as that is nothing.
    fn estimate(&self) -> Option<Estimate>;
}

impl<P: Point> Design for Box<dyn Design<Point = P>> {
    type Point = P;

    fn draws(&self, samples: usize) -> usize {
        (**self).draws(samples)
    }

    fn points(&self, draw: usize) -> Vec<P> {
        (**self).points(draw)
    }

    fn take(&mut self, points: &[P], values: &[f64]) {
        (**self).take(points, values);
    }

    fn drawn(&self) -> usize {
        (**self).drawn()
    }

    fn estimate(&self) -> Option<Estimate> {
        (**self).estimate()
    }
}

/// A version of a row that the model can be asked about.
pub(crate) trait Point: Sized {
    /// The scores of points, each of the row beside it.
    fn values(calls: &mut Calls, points: &[(usize, Self)]) -> Result<Vec<f64>>;
}

impl Point for Coalition {
    fn values(calls: &mut Calls, points: &[(usize, Self)]) -> Result<Vec<f64>> {
        calls.values(points)
    }
}

/// How much of each player is present, from 0 to 1.
pub(crate) type Strengths = Vec<f64>;

impl Point for Strengths {
    fn values(calls: &mut Calls, points: &[(usize, Self)]) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(points.len());
        for points in points.chunk_by(|a, b| a.0 == b.0) {
            let strengths: Vec<&[f64]> = points.iter().map(|(_, strengths)| &strengths[..]).collect();
            values.extend(calls.strengths(points[0].0, &strengths)?);
        }
        Ok(values)
    }
}

/// What came out for every row.
pub(crate) struct Sampled {
    pub(crate) estimates: Vec<Estimate>,
    pub(crate) convergence: Convergence,
}

/// Asks what the designs of all rows want to know, in turns, until each has drawn enough. A run that is cancelled ends with
/// what it has, marked as partial, if every row has something.
pub(crate) fn sample<D: Design>(calls: &mut Calls, designs: &mut [D], draws: Draws) -> Result<Sampled> {
    let mut partial = None;
    loop {
        let jobs = jobs(designs, draws)?;
        if jobs.is_empty() {
            break;
        }
        match ask(calls, designs, &jobs) {
            Err(Error::Cancelled { done, of })
                if designs.iter().all(|design| design.estimate().is_some()) =>
            {
                partial = Some(Progress { done, of });
                break;
            }
            result => result?,
        }
    }
    let estimates: Option<Vec<Estimate>> = designs.iter().map(D::estimate).collect();
    let estimates = estimates.ok_or_else(|| candle_core::Error::Msg("no sample was drawn".into()))?;
    let samples = designs.iter().map(D::drawn).collect();
    let standard_error: Vec<f64> = estimates.iter().map(Estimate::relative_error).collect();
    let sampling = Some(Sampling { samples, standard_error });
    let sampling = sampling.filter(|_| estimates.iter().flat_map(|e| &e.errors).any(|error| *error != 0.0));
    Ok(Sampled { estimates, convergence: Convergence { sampling, partial, ..Convergence::default() } })
}

/// The draws (row, draw) to be made next: first of all rows, second of all rows.
fn jobs<D: Design>(designs: &[D], draws: Draws) -> Result<Vec<(usize, usize)>> {
    let mut jobs = Vec::new();
    for (row, design) in designs.iter().enumerate() {
        let error = || Ok(design.estimate().map_or(f64::INFINITY, |estimate| estimate.relative_error()));
        let first = design.drawn();
        let more = draws.at_most(design.draws(draws.most())).more(first, error)?;
        jobs.extend((first..first + more).map(|draw| (draw, row)));
    }
    jobs.sort_unstable();
    Ok(jobs.into_iter().map(|(draw, row)| (row, draw)).collect())
}

/// Makes the draws of `jobs`, as many at a time as fill a batch.
fn ask<D: Design>(calls: &mut Calls, designs: &mut [D], jobs: &[(usize, usize)]) -> Result<()> {
    let (mut points, mut ends) = (Vec::new(), Vec::new());
    for (at, &(row, draw)) in jobs.iter().enumerate() {
        points.extend(designs[row].points(draw).into_iter().map(|point| (row, point)));
        ends.push((row, points.len()));
        if points.len() >= calls.batch() || at + 1 == jobs.len() {
            answer(calls, designs, std::mem::take(&mut points), &std::mem::take(&mut ends))?;
        }
    }
    Ok(())
}

/// Hands each draw its values: `ends` says of which row it is and where its points end.
fn answer<D: Design>(
    calls: &mut Calls,
    designs: &mut [D],
    points: Vec<(usize, D::Point)>,
    ends: &[(usize, usize)],
) -> Result<()> {
    let values = D::Point::values(calls, &points)?;
    let points: Vec<D::Point> = points.into_iter().map(|(_, point)| point).collect();
    let mut from = 0;
    for &(row, end) in ends {
        designs[row].take(&points[from..end], &values[from..end]);
        from = end;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes all draws of a design about a game that is known.
    pub(crate) fn play<D: Design>(
        mut design: D,
        samples: usize,
        game: impl Fn(&D::Point) -> f64,
    ) -> (D, Option<Estimate>) {
        while design.drawn() < design.draws(samples) {
            let points = design.points(design.drawn());
            let values: Vec<f64> = points.iter().map(&game).collect();
            design.take(&points, &values);
        }
        let estimate = design.estimate();
        (design, estimate)
    }

    /// A game of `players` in which all pairs and some threes interact: v(S) = Σ aᵢ + Σ bᵢⱼ + tanh of a sum.
    pub(crate) fn game(players: usize, seed: u64) -> impl Fn(&Coalition) -> f64 {
        let number = move |k: usize| crate::random::Stream::new(seed, 0, k as u64).normal();
        let alone: Vec<f64> = (0..players).map(number).collect();
        let pairs: Vec<f64> = (0..players * players).map(|at| 0.3 * number(1000 + at)).collect();
        move |coalition| {
            let present: Vec<usize> = (0..players).filter(|&i| coalition.has(i)).collect();
            let single: f64 = present.iter().map(|&i| alone[i]).sum();
            let pairwise: f64 = present
                .iter()
                .flat_map(|&i| present.iter().map(move |&j| (i, j)))
                .map(|(i, j)| pairs[i * players + j])
                .sum();
            0.7 + single + pairwise + (single - 0.5).tanh()
        }
    }

    /// Shapley values by their definition, from all coalitions.
    pub(crate) fn shapley(players: usize, game: impl Fn(&Coalition) -> f64) -> Vec<f64> {
        let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
        let weight = |size: usize| factorial(size) * factorial(players - size - 1) / factorial(players);
        let of = |player: usize| {
            let without = (0..1usize << players).filter(|bits| bits >> player & 1 == 0);
            let gain = |bits: usize| {
                let before = Coalition::of(players, (0..players).filter(|i| bits >> i & 1 == 1));
                weight(before.size()) * (game(&before.clone().with(player)) - game(&before))
            };
            without.map(gain).sum()
        };
        (0..players).map(of).collect()
    }
}
