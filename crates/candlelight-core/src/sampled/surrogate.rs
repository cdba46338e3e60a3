//! A linear model of the score in who is present, fitted around the row.

use super::linear::{lasso, ridge};
use super::sums::{Line, Sums};
use super::{Design, Estimate, parts_of};
use crate::perturb::Coalition;
use crate::random::Stream;

/// How a surrogate is fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Penalty {
    Ridge(f64),
    Lasso(f64),
}

/// Coalitions in which everybody is present with the same chance, or given ones, each with a weight.
pub(crate) struct Surrogate<W> {
    players: usize,
    given: Vec<Coalition>,
    weight: W,
    penalty: Penalty,
    address: (u64, u64),
    drawn: usize,
    parts: Vec<Sums>,
}

impl<W: Fn(&Coalition) -> f64> Surrogate<W> {
    /// `weight(coalition)` says how near a coalition is to the row. Coalitions are those `given`; drawn if none are.
    pub(crate) fn new(
        players: usize,
        given: Vec<Coalition>,
        weight: W,
        penalty: Penalty,
        address: (u64, u64),
    ) -> Self {
        let parts = vec![Sums::new(players); parts_of(players)];
        Self { players, given, weight, penalty, address, drawn: 0, parts }
    }

    fn sums(&self) -> Sums {
        self.parts.iter().fold(Sums::new(self.players), |sum, part| sum.plus(part, 1.0))
    }

    /// The coefficients: those of scikit-learn's `Ridge`, or of its `Lasso`, with `sample_weight` and an intercept that
    /// is not penalised. `None` where no sample weighs anything.
    fn coefficients(&self, sums: &Sums) -> Option<Vec<f64>> {
        let (zz, zy) = sums.centred();
        match self.penalty {
            _ if sums.weight <= 0.0 => None,
            Penalty::Ridge(penalty) => ridge(zz, &zy, penalty),
            Penalty::Lasso(penalty) => Some(lasso(&zz, &zy, penalty * sums.weight)),
        }
    }

    /// The model, and the share of the variance that it explains.
    pub(crate) fn line(&self) -> Option<(Line, f64)> {
        let sums = self.sums();
        let line = sums.line(self.coefficients(&sums)?);
        let explained = sums.explained(&line);
        Some((line, explained))
    }
}

impl<W: Fn(&Coalition) -> f64> Design for Surrogate<W> {
    type Point = Coalition;

    fn draws(&self, samples: usize) -> usize {
        if self.given.is_empty() { samples } else { self.given.len() }
    }

    fn points(&self, draw: usize) -> Vec<Coalition> {
        vec![self.given.get(draw).cloned().unwrap_or_else(|| {
            Stream::new(self.address.0, self.address.1, draw as u64).coalition(self.players)
        })]
    }

    fn take(&mut self, points: &[Coalition], values: &[f64]) {
        let part = self.drawn % self.parts.len();
        self.parts[part].add(&points[0], values[0], (self.weight)(&points[0]));
        self.drawn += 1;
    }

    fn drawn(&self) -> usize {
        self.drawn
    }

    fn estimate(&self) -> Option<Estimate> {
        let sums = self.sums();
        let values = self.coefficients(&sums)?;
        let without = |part: usize| self.coefficients(&sums.clone().plus(&self.parts[part], -1.0));
        Some(Estimate::jackknife(values, self.parts.len().min(self.drawn), without))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::{game, play};

    const PLAYERS: usize = 6;

    fn near(coalition: &Coalition) -> f64 {
        (-((PLAYERS - coalition.size()) as f64 / PLAYERS as f64).powi(2) / 0.3).exp()
    }

    fn surrogate(penalty: Penalty, seed: u64) -> Surrogate<fn(&Coalition) -> f64> {
        Surrogate::new(PLAYERS, Vec::new(), near as fn(&Coalition) -> f64, penalty, (seed, 0))
    }

    /// The objective of the fit, from the samples themselves.
    fn objective(penalty: Penalty, seed: u64, line: &Line, game: &impl Fn(&Coalition) -> f64) -> f64 {
        let design = surrogate(penalty, seed);
        let (mut squares, mut weights) = (0.0, 0.0);
        for draw in 0..80 {
            let z = design.points(draw).remove(0);
            let says: f64 = (0..PLAYERS).filter(|&i| z.has(i)).map(|i| line.coefficients[i]).sum();
            squares += near(&z) * (game(&z) - line.intercept - says).powi(2);
            weights += near(&z);
        }
        match penalty {
            Penalty::Ridge(alpha) => squares + alpha * line.coefficients.iter().map(|c| c * c).sum::<f64>(),
            Penalty::Lasso(alpha) => {
                squares / (2.0 * weights) + alpha * line.coefficients.iter().map(|c| c.abs()).sum::<f64>()
            }
        }
    }

    #[test]
    fn no_step_aside_makes_the_fit_better() {
        let game = game(PLAYERS, 3);
        for penalty in [Penalty::Ridge(1.0), Penalty::Ridge(0.0), Penalty::Lasso(0.05), Penalty::Lasso(0.5)] {
            let line = play(surrogate(penalty, 1), 80, &game).0.line().expect("a fit").0;
            let best = objective(penalty, 1, &line, &game);
            for (player, step) in (0..=PLAYERS).flat_map(|player| [(player, 1e-3), (player, -1e-3)]) {
                let mut aside = line.clone();
                match player == PLAYERS {
                    true => aside.intercept += step,
                    false => aside.coefficients[player] += step,
                }
                assert!(objective(penalty, 1, &aside, &game) > best, "{penalty:?} {player} {step}");
            }
        }
    }

    #[test]
    fn a_linear_game_is_explained_whole_and_without_error() {
        let game =
            |z: &Coalition| 2.0 + (0..PLAYERS).filter(|&i| z.has(i)).map(|i| i as f64 - 2.0).sum::<f64>();
        let (design, found) = play(surrogate(Penalty::Ridge(0.0), 2), 60, game);
        let (line, explained) = design.line().expect("a fit");
        assert!(
            (line.intercept - 2.0).abs() < 1e-9 && (explained - 1.0).abs() < 1e-9,
            "{line:?} {explained}"
        );
        let found = found.expect("an estimate");
        assert!(found.values.iter().enumerate().all(|(i, v)| (v - i as f64 + 2.0).abs() < 1e-9), "{found:?}");
        assert!(found.errors.iter().all(|error| *error < 1e-9), "{found:?}");
    }

    #[test]
    fn the_error_is_how_much_the_fit_varies_from_seed_to_seed() {
        let game = game(PLAYERS, 4);
        for penalty in [Penalty::Ridge(0.1), Penalty::Lasso(0.02)] {
            let runs: Vec<Estimate> =
                (0..200).filter_map(|seed| play(surrogate(penalty, seed), 200, &game).1).collect();
            for player in 0..PLAYERS {
                let mean = runs.iter().map(|run| run.values[player]).sum::<f64>() / 200.0;
                let spread = runs.iter().map(|run| (run.values[player] - mean).powi(2)).sum::<f64>() / 199.0;
                let told = runs.iter().map(|run| run.errors[player].powi(2)).sum::<f64>() / 200.0;
                let ratio = (told / spread).sqrt();
                // At a coefficient that the lasso now keeps and now drops, the jackknife errs on the large side.
                let most = if matches!(penalty, Penalty::Lasso(_)) { 2.0 } else { 1.2 };
                assert!((0.85..most).contains(&ratio), "{penalty:?} {player}: {ratio}");
            }
        }
    }
}
