//! Shapley values as weighted least squares over coalitions.

use super::linear::summing_to;
use super::sums::Sums;
use super::{Design, Estimate, parts_of};
use crate::perturb::Coalition;
use crate::random::Stream;

/// The fractional part of its multiples is spread over [0, 1) more evenly than random numbers are: 1 / golden ratio.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Coalitions by the Shapley kernel: all of the sizes for which the samples suffice, and of the others random ones, each
/// with its complement, their sizes in turns.
pub(crate) struct Kernel {
    players: usize,
    /// The values of nobody and of all.
    ends: (f64, f64),
    sizes: Sizes,
    address: (u64, u64),
    drawn: usize,
    fixed: Sums,
    parts: Vec<Sums>,
}

/// Which sizes are enumerated, and which are drawn from.
struct Sizes {
    players: usize,
    /// Sizes up to half of the players of which all coalitions are taken, and how many those are.
    whole: Vec<(usize, usize)>,
    /// The other sizes up to half of the players, with the kernel's weight of the size and that of its complements.
    rest: Vec<(usize, f64)>,
}

impl Kernel {
    /// For a game with these values of nobody and of all, with about `samples` coalitions.
    pub(crate) fn new(players: usize, ends: (f64, f64), samples: usize, address: (u64, u64)) -> Self {
        let sizes = Sizes::new(players, samples);
        let parts = vec![Sums::new(players); parts_of(players)];
        Self { players, ends, sizes, address, drawn: 0, fixed: Sums::new(players), parts }
    }

    /// Draws that are a single coalition of a size of which all are taken.
    fn enumerated(&self) -> usize {
        self.sizes.whole.iter().map(|(_, count)| count).sum()
    }

    /// The values with the sums `drawn` over `weight` pairs of the sizes that are drawn from. The least squares are those
    /// of the game less its mean share v(N)/n for everybody, which changes nothing but the noise where the matrix is
    /// the expected one.
    fn solve(&self, drawn: &Sums, matrix: Matrix) -> Option<Vec<f64>> {
        let (nobody, all) = self.ends;
        let share = (all - nobody) / self.players as f64;
        let rest: f64 = self.sizes.rest.iter().map(|(_, weight)| weight).sum();
        let scale = if drawn.weight > 0.0 { rest / drawn.weight } else { 0.0 };
        let sums = self.fixed.clone().plus(drawn, scale);
        let right = |i: usize| {
            let row = &sums.zz[i * self.players..(i + 1) * self.players];
            sums.zy[i] - nobody * sums.z[i] - share * row.iter().sum::<f64>()
        };
        let right: Vec<f64> = (0..self.players).map(right).collect();
        let left = match matrix {
            Matrix::Sampled => sums.zz,
            Matrix::Expected => self.sizes.expected(self.fixed.zz.clone()),
        };
        Some(summing_to(&left, &right, 0.0)?.into_iter().map(|value| value + share).collect())
    }
}

/// The matrix of the least squares.
#[derive(Clone, Copy)]
enum Matrix {
    /// That of the coalitions drawn: KernelSHAP. Its noise cancels most of that of the values.
    Sampled,
    /// Its expectation: unbiased KernelSHAP, for fewer coalitions than determine one.
    Expected,
}

impl Design for Kernel {
    type Point = Coalition;

    fn draws(&self, samples: usize) -> usize {
        let enumerated = self.enumerated();
        let pairs = (samples.saturating_sub(enumerated) / 2).max(1);
        if self.sizes.rest.is_empty() { enumerated } else { enumerated + pairs }
    }

    fn points(&self, draw: usize) -> Vec<Coalition> {
        match self.sizes.nth(draw) {
            Some(coalition) => vec![coalition],
            None => {
                let present = self.sizes.draw(self.address, draw - self.enumerated());
                let absent = (0..self.players).filter(|&player| !present.has(player));
                vec![Coalition::of(self.players, absent), present]
            }
        }
    }

    fn take(&mut self, points: &[Coalition], values: &[f64]) {
        match points {
            [one] => {
                let weight = self.sizes.weight(one.size()) / binomial(self.players, one.size());
                self.fixed.add(one, values[0], weight);
            }
            pair => {
                let part = (self.drawn - self.enumerated()) % self.parts.len();
                let both = pair.iter().zip(values);
                both.for_each(|(coalition, value)| self.parts[part].add(coalition, *value, 0.5));
            }
        }
        self.drawn += 1;
    }

    fn drawn(&self) -> usize {
        self.drawn
    }

    fn estimate(&self) -> Option<Estimate> {
        if self.players == 1 {
            return Some(Estimate::exact(vec![self.ends.1 - self.ends.0]));
        }
        if self.drawn < self.enumerated() {
            return None;
        }
        let nothing = Sums::new(self.players);
        if self.sizes.rest.is_empty() {
            return self.solve(&nothing, Matrix::Sampled).map(Estimate::exact);
        }
        let pairs = self.drawn - self.enumerated();
        let drawn = self.parts.iter().fold(nothing, |sum, part| sum.plus(part, 1.0));
        let sampled = self.solve(&drawn, Matrix::Sampled).filter(|_| pairs >= 2 * self.players);
        let matrix = if sampled.is_some() { Matrix::Sampled } else { Matrix::Expected };
        let values = (pairs > 0).then(|| self.solve(&drawn, matrix)).flatten()?;
        let without = |part: usize| self.solve(&drawn.clone().plus(&self.parts[part], -1.0), matrix);
        Some(Estimate::jackknife(values, self.parts.len().min(pairs), without))
    }
}

impl Sizes {
    /// Takes a size whole as long as as many of it would be drawn as there are, from the outermost on.
    fn new(players: usize, samples: usize) -> Self {
        let mut sizes = Self { players, whole: Vec::new(), rest: Vec::new() };
        let half = players / 2;
        sizes.rest = (1..=half).map(|size| (size, sizes.weight(size) * sizes.sides(size))).collect();
        let mut left = samples as f64;
        while let Some(&(size, weight)) = sizes.rest.first() {
            let count = binomial(players, size) * sizes.sides(size);
            let total: f64 = sizes.rest.iter().map(|(_, weight)| weight).sum();
            let all: f64 =
                sizes.rest.iter().map(|(size, _)| binomial(players, *size) * sizes.sides(*size)).sum();
            if left * weight / total < count && all > left {
                break;
            }
            left -= count;
            sizes.whole.push((size, count as usize));
            sizes.rest.remove(0);
        }
        sizes
    }

    /// 2, but for the size that is its complement's.
    fn sides(&self, size: usize) -> f64 {
        if 2 * size == self.players { 1.0 } else { 2.0 }
    }

    /// The kernel's weight of all coalitions of this size, up to a factor.
    fn weight(&self, size: usize) -> f64 {
        1.0 / (size * (self.players - size)) as f64
    }

    /// Coalition `draw` of those that are enumerated: of each size, and then the complements.
    fn nth(&self, mut draw: usize) -> Option<Coalition> {
        for &(size, count) in &self.whole {
            if draw < count {
                let one_side = binomial(self.players, size) as usize;
                let present = nth_subset(self.players, size, draw % one_side);
                let flip = draw >= one_side;
                return Some(Coalition::of(
                    self.players,
                    (0..self.players).filter(|i| present.contains(i) != flip),
                ));
            }
            draw -= count;
        }
        None
    }

    /// A random coalition of the sizes that are drawn from. Their turns follow the multiples of the golden ratio from a
    /// random start on, so that each size comes as often as it should after any number of draws.
    fn draw(&self, (seed, sample): (u64, u64), pair: usize) -> Coalition {
        let start = Stream::new(seed, sample, 0).uniform();
        let mut at = (start + pair as f64 * GOLDEN).fract();
        let total: f64 = self.rest.iter().map(|(_, weight)| weight).sum();
        let share = |&&(_, weight): &&(usize, f64)| {
            at -= weight / total;
            at < 0.0
        };
        let (size, _) = self.rest.iter().find(share).or(self.rest.last()).copied().unwrap_or((1, 0.0));
        let mut stream = Stream::new(seed, sample, 1 + pair as u64);
        Coalition::of(self.players, stream.order(self.players).into_iter().take(size))
    }

    /// `enumerated` and the expectation of z zᵀ over the sizes that are drawn from.
    fn expected(&self, mut enumerated: Vec<f64>) -> Vec<f64> {
        let n = self.players as f64;
        for &(size, weight) in &self.rest {
            for size in [size, self.players - size] {
                let size = size as f64;
                let (one, two) = (size / n, size * (size - 1.0) / (n * (n - 1.0)));
                for (at, entry) in enumerated.iter_mut().enumerate() {
                    let diagonal = at / self.players == at % self.players;
                    *entry += weight / 2.0 * if diagonal { one } else { two };
                }
            }
        }
        enumerated
    }
}

/// How many subsets of this size there are.
fn binomial(n: usize, size: usize) -> f64 {
    (0..size).fold(1.0, |count, i| (count * (n - i) as f64 / (i + 1) as f64).round())
}

/// Subset `rank` of those of this size, in lexicographic order.
fn nth_subset(n: usize, mut size: usize, mut rank: usize) -> Vec<usize> {
    let mut subset = Vec::with_capacity(size);
    for player in 0..n {
        let with = if size == 0 { 0 } else { binomial(n - player - 1, size - 1) as usize };
        match rank < with {
            true => {
                subset.push(player);
                size -= 1;
            }
            false => rank -= with,
        }
    }
    subset
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::{game, play, shapley};
    use std::collections::HashSet;

    fn kernel(players: usize, samples: usize, seed: u64, game: &impl Fn(&Coalition) -> f64) -> Kernel {
        let ends = (game(&Coalition::empty(players)), game(&Coalition::full(players)));
        Kernel::new(players, ends, samples, (seed, 0))
    }

    #[test]
    fn all_coalitions_give_the_exact_values() {
        for players in 1..9 {
            let game = game(players, players as u64);
            let (design, found) = play(kernel(players, 1 << players, 0, &game), 1 << players, &game);
            assert_eq!(design.drawn(), (1usize << players) - 2);
            let found = found.expect("an estimate");
            assert_eq!(found.relative_error(), 0.0);
            for (a, b) in found.values.iter().zip(shapley(players, &game)) {
                assert!((a - b).abs() < 1e-9, "{players}: {a} {b}");
            }
        }
    }

    #[test]
    fn enumerated_sizes_hold_every_coalition_once_and_pairs_are_complements() {
        let design = kernel(7, 100, 1, &|_| 0.0);
        let all: HashSet<Coalition> = (0..design.enumerated()).flat_map(|draw| design.points(draw)).collect();
        assert_eq!((all.len(), design.enumerated()), (56, 56));
        assert!(all.iter().all(|coalition| [1, 2, 5, 6].contains(&coalition.size())));
        let pair = design.points(60);
        assert!((0..7).all(|player| pair[0].has(player) != pair[1].has(player)));
        assert!([3, 4].contains(&pair[0].size()));
    }

    #[test]
    fn additive_games_have_no_error() {
        let game = |coalition: &Coalition| {
            3.0 + (0..20).filter(|&i| coalition.has(i)).map(|i| i as f64).sum::<f64>()
        };
        let found = play(kernel(20, 200, 5, &game), 200, game).1.expect("an estimate");
        for (player, (value, error)) in found.values.iter().zip(&found.errors).enumerate() {
            assert!((value - player as f64).abs() < 1e-9 && *error < 1e-9, "{player}: {value} {error}");
        }
    }

    #[test]
    fn sizes_come_as_often_as_the_kernel_says() {
        let design = kernel(12, 30, 3, &|_| 0.0);
        let total: f64 = design.sizes.rest.iter().map(|(_, weight)| weight).sum();
        for &(size, weight) in &design.sizes.rest {
            let drawn = (0..2000).filter(|&pair| design.sizes.draw((3, 0), pair).size() == size).count();
            assert!((drawn as f64 - 2000.0 * weight / total).abs() < 5.0, "{size}: {drawn}");
        }
    }

    /// Coverage of the 95 % interval over 200 repeats, all players of a game together.
    fn coverage(players: usize, samples: usize) -> f64 {
        let game = game(players, 77);
        let truth = shapley(players, &game);
        let mut inside = 0;
        for seed in 0..200 {
            let found = play(kernel(players, samples, seed, &game), samples, &game).1.expect("an estimate");
            let near = |i: usize| (found.values[i] - truth[i]).abs() <= 1.96 * found.errors[i];
            inside += (0..players).filter(|&i| near(i)).count();
            let sum: f64 = found.values.iter().sum();
            assert!((sum - truth.iter().sum::<f64>()).abs() < 1e-9, "efficiency: {sum}");
        }
        inside as f64 / (200 * players) as f64
    }

    #[test]
    fn the_interval_holds_the_exact_value_as_often_as_it_says() {
        for (players, samples) in [(10, 120), (10, 300), (12, 600), (10, 30)] {
            let found = coverage(players, samples);
            assert!((0.92..=0.98).contains(&found), "{players} players, {samples} samples: {found}");
        }
    }
}
