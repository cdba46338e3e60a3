//! How much the score depends on who is present: the Hilbert-Schmidt independence criterion.

use super::{Design, Estimate, PARTS};
use crate::perturb::Coalition;
use crate::random::Stream;

/// Values of which the median distance is taken, at most: all pairs of more of them would be many.
const FOR_MEDIAN: usize = 500;

/// Coalitions in which everybody is present with the same chance, and what each is worth: 8 bytes and a bit for each
/// player.
pub(crate) struct Hsic {
    players: usize,
    address: (u64, u64),
    coalitions: Vec<Coalition>,
    values: Vec<f64>,
}

impl Hsic {
    pub(crate) fn new(players: usize, address: (u64, u64)) -> Self {
        Self { players, address, coalitions: Vec::new(), values: Vec::new() }
    }

    /// For each player and each pair of parts (p, q) the sum of s s′ (l(y, y′) − mean) over pairs of draws from them, as
    /// `[player][p · parts + q]`; s is 1 where the player is present and −1 where not.
    fn sums(&self, parts: usize) -> Vec<Vec<f64>> {
        let draws = self.values.len();
        let kernel = Bell::of(&self.values);
        let mean = kernel.mean(&self.values);
        let signs: Vec<Vec<f64>> = self
            .coalitions
            .iter()
            .map(|c| c.members().into_iter().map(|m| 2.0 * f64::from(m) - 1.0).collect())
            .collect();
        let mut sums = vec![vec![0.0; parts * parts]; self.players];
        for a in 0..draws {
            let mut weighted = vec![0.0; parts * self.players];
            for b in (0..draws).filter(|&b| b != a) {
                let like = kernel.at(self.values[a], self.values[b]) - mean;
                let row = &mut weighted[b % parts * self.players..][..self.players];
                row.iter_mut().zip(&signs[b]).for_each(|(sum, sign)| *sum += sign * like);
            }
            for (q, player) in (0..parts).flat_map(|q| (0..self.players).map(move |player| (q, player))) {
                sums[player][a % parts * parts + q] += signs[a][player] * weighted[q * self.players + player];
            }
        }
        sums
    }
}

impl Design for Hsic {
    type Point = Coalition;

    fn points(&self, draw: usize) -> Vec<Coalition> {
        vec![Stream::new(self.address.0, self.address.1, draw as u64).coalition(self.players)]
    }

    fn take(&mut self, points: &[Coalition], values: &[f64]) {
        self.coalitions.push(points[0].clone());
        self.values.push(values[0]);
    }

    fn drawn(&self) -> usize {
        self.values.len()
    }

    /// Half the mean over pairs of different draws: the kernel of being present, 1 where two agree less ½, is ½ s s′. It is
    /// centred by itself, so that the mean is unbiased.
    fn estimate(&self) -> Option<Estimate> {
        let draws = self.values.len();
        let parts = draws.min(PARTS);
        let size = |part: usize| (draws - part).div_ceil(parts);
        let index = |sum: f64, draws: usize| 0.5 * sum / (draws * draws.saturating_sub(1)).max(1) as f64;
        let sums = (draws > 1).then(|| self.sums(parts))?;
        let values = sums.iter().map(|sums| index(sums.iter().sum(), draws)).collect();
        let without = |part: usize| {
            let left = |sums: &Vec<f64>| {
                let kept = (0..parts * parts).filter(|at| at / parts != part && at % parts != part);
                index(kept.map(|at| sums[at]).sum(), draws - size(part))
            };
            Some(sums.iter().map(left).collect())
        };
        Some(Estimate::jackknife(values, parts, without))
    }
}

/// The kernel of the values: exp(−(y − y′)² / 2σ²), σ the median distance.
struct Bell {
    width: f64,
}

impl Bell {
    fn of(values: &[f64]) -> Self {
        let some = &values[..values.len().min(FOR_MEDIAN)];
        let pairs = (0..some.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let mut apart: Vec<f64> = pairs.map(|(a, b)| (some[a] - some[b]).abs()).collect();
        let middle = apart.len() / 2;
        Self { width: *apart.select_nth_unstable_by(middle, f64::total_cmp).1 }
    }

    fn at(&self, a: f64, b: f64) -> f64 {
        match self.width > 0.0 {
            true => (-0.5 * ((a - b) / self.width).powi(2)).exp(),
            false => f64::from(u8::from(a == b)),
        }
    }

    /// Its mean over pairs of different values: taking it off changes no expectation, and makes the spread smaller.
    fn mean(&self, values: &[f64]) -> f64 {
        let pairs = (0..values.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let sum: f64 = pairs.map(|(a, b)| self.at(values[a], values[b])).sum();
        sum / (values.len() * (values.len() - 1) / 2) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::play;

    /// A game whose last player does nothing.
    fn game(coalition: &Coalition) -> f64 {
        let is = |player| f64::from(u8::from(coalition.has(player)));
        2.0 * is(0) + is(1) * is(2) - 0.3 * is(3)
    }

    /// The expectation of ½ s s′ l(y, y′) over all pairs of coalitions of five players, for a bell of this width.
    fn expected(player: usize, width: f64) -> f64 {
        let all: Vec<Coalition> =
            (0..32usize).map(|bits| Coalition::of(5, (0..5).filter(|i| bits >> i & 1 == 1))).collect();
        let sign = |c: &Coalition| if c.has(player) { 1.0 } else { -1.0 };
        let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| 0.5 * sign(a) * sign(b) * Bell { width }.at(game(a), game(b))).sum::<f64>()
            / 1024.0
    }

    #[test]
    fn the_index_is_the_expectation_within_its_error_and_a_dummy_has_none() {
        let (design, found) = play(Hsic::new(5, (1, 0)), 1500, game);
        let (width, found) = (Bell::of(&design.values).width, found.expect("an estimate"));
        for player in 0..5 {
            let off = found.values[player] - expected(player, width);
            assert!(off.abs() < 4.0 * found.errors[player], "{player}: {off} {}", found.errors[player]);
        }
        assert!(found.values[0] > 0.05 && found.values[4].abs() < 2e-3, "{found:?}");
    }

    #[test]
    fn a_constant_score_depends_on_nobody() {
        let found = play(Hsic::new(3, (1, 0)), 50, |_| 2.5).1.expect("an estimate");
        assert!(found.values.iter().all(|value| *value == 0.0), "{found:?}");
    }

    #[test]
    fn sums_over_parts_are_sums_over_pairs() {
        let (design, found) = play(Hsic::new(5, (2, 0)), 40, game);
        let (kernel, found) = (Bell::of(&design.values), found.expect("an estimate"));
        let mean = kernel.mean(&design.values);
        let sign = |k: usize| if design.coalitions[k].has(1) { 1.0 } else { -1.0 };
        let pairs = (0..40).flat_map(|a| (0..40).map(move |b| (a, b))).filter(|(a, b)| a != b);
        let like = |(a, b)| sign(a) * sign(b) * (kernel.at(design.values[a], design.values[b]) - mean);
        let plain = 0.5 * pairs.map(like).sum::<f64>() / (40.0 * 39.0);
        assert!((plain - found.values[1]).abs() < 1e-12, "{plain} {found:?}");
    }
}
