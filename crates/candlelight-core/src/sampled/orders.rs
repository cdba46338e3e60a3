//! Shapley values as mean gains of players who join in random orders.

use super::owen::Tree;
use super::{Design, Estimate, Mean};
use crate::perturb::Coalition;
use crate::random::Stream;

/// The law of the orders in which players join.
#[derive(Clone, Debug)]
pub(crate) enum Law {
    /// All orders alike: Shapley values.
    Uniform,
    /// Orders that keep every block of a hierarchy together: Owen values.
    Blocks(Tree),
}

/// Which orders belong to one draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One order.
    Once,
    /// An order and its reverse: where one of them meets a player early, the other meets it late.
    Both,
}

/// Random orders of some players, the others present from the start.
pub(crate) struct Orders {
    /// Who joins.
    joining: Vec<usize>,
    /// Who is present from the start.
    start: Coalition,
    /// The value of nobody.
    nobody: f64,
    /// The value when all are present.
    end: f64,
    law: Law,
    turn: Turn,
    address: (u64, u64),
    mean: Mean,
}

impl Orders {
    /// Orders of all players of a game with these values of nobody and of all.
    pub(crate) fn new(
        players: usize,
        (nobody, all): (f64, f64),
        (law, turn): (Law, Turn),
        address: (u64, u64),
    ) -> Self {
        let (joining, start, mean) = ((0..players).collect(), Coalition::empty(players), Mean::new(players));
        Self { joining, start, nobody, end: all, law, turn, address, mean }
    }

    /// Orders of `joining` alone; the others are present.
    pub(crate) fn of(self, joining: Vec<usize>) -> Self {
        let players = self.joining.len();
        let present = (0..players).filter(|player| !joining.contains(player));
        Self { start: Coalition::of(players, present), joining, ..self }
    }

    /// Who joins.
    pub(crate) fn joining(&self) -> &[usize] {
        &self.joining
    }

    /// Whether the value at the start has to be asked for.
    fn asks_start(&self) -> bool {
        self.start.size() > 0
    }

    /// The orders of draw `draw`.
    fn orders(&self, draw: usize) -> Vec<Vec<usize>> {
        let mut stream = Stream::new(self.address.0, self.address.1, draw as u64);
        let order: Vec<usize> = match &self.law {
            Law::Uniform => stream.order(self.joining.len()).into_iter().map(|at| self.joining[at]).collect(),
            Law::Blocks(tree) => tree.order(&mut stream),
        };
        match self.turn {
            Turn::Once => vec![order],
            Turn::Both => vec![order.clone(), order.into_iter().rev().collect()],
        }
    }
}

impl Design for Orders {
    type Point = Coalition;

    fn points(&self, draw: usize) -> Vec<Coalition> {
        let mut points = Vec::from_iter(self.asks_start().then(|| self.start.clone()));
        for order in self.orders(draw) {
            let mut present = self.start.clone();
            for &player in &order[..order.len().saturating_sub(1)] {
                present = present.with(player);
                points.push(present.clone());
            }
        }
        points
    }

    fn take(&mut self, _: &[Coalition], values: &[f64]) {
        let orders = self.orders(self.mean.count());
        let (start, values) = match self.asks_start() {
            true => (values[0], &values[1..]),
            false => (self.nobody, values),
        };
        let mut gains = vec![0.0; self.start.players()];
        for (at, order) in orders.iter().enumerate() {
            let between = order.len().saturating_sub(1);
            let mut before = start;
            for (player, after) in
                order.iter().zip(values[at * between..][..between].iter().chain([&self.end]))
            {
                gains[*player] += (after - before) / orders.len() as f64;
                before = *after;
            }
        }
        self.mean.add(&gains);
    }

    fn drawn(&self) -> usize {
        self.mean.count()
    }

    fn estimate(&self) -> Option<Estimate> {
        match self.joining.len() {
            1 => self.mean.estimate().map(|estimate| Estimate::exact(estimate.values)),
            _ => self.mean.estimate(),
        }
    }
}

/// Shapley values by their definition, from every coalition.
pub(crate) struct Enumeration {
    players: usize,
    drawn: usize,
    values: Vec<f64>,
}

impl Enumeration {
    /// For a game with these values of nobody and of all.
    pub(crate) fn new(players: usize, (nobody, all): (f64, f64)) -> Self {
        let share = (all - nobody) / players as f64;
        Self { players, drawn: 0, values: vec![share; players] }
    }

    /// Coalitions that are neither nobody nor all; none if they are more than fit a number.
    pub(crate) fn coalitions(players: usize) -> Option<usize> {
        1usize.checked_shl(players as u32).map(|all| all - 2)
    }
}

impl Design for Enumeration {
    type Point = Coalition;

    fn draws(&self, _: usize) -> usize {
        Self::coalitions(self.players).unwrap_or(usize::MAX)
    }

    fn points(&self, draw: usize) -> Vec<Coalition> {
        vec![Coalition::of(self.players, (0..self.players).filter(|player| (draw + 1) >> player & 1 == 1))]
    }

    /// A coalition of s of n players adds its value / (s · C(n, s)) for who is in it, and takes
    /// its value / ((n − s) · C(n, s)) from who is not.
    fn take(&mut self, points: &[Coalition], values: &[f64]) {
        let (n, size) = (self.players, points[0].size());
        let count = (0..size).fold(1.0, |count, i| count * (n - i) as f64 / (i + 1) as f64);
        for player in 0..n {
            self.values[player] += match points[0].has(player) {
                true => values[0] / (size as f64 * count),
                false => -values[0] / ((n - size) as f64 * count),
            };
        }
        self.drawn += 1;
    }

    fn drawn(&self) -> usize {
        self.drawn
    }

    fn estimate(&self) -> Option<Estimate> {
        (self.drawn == self.draws(0)).then(|| Estimate::exact(self.values.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::{game, play, shapley};

    const PLAYERS: usize = 7;

    fn orders(turn: Turn, seed: u64, game: &impl Fn(&Coalition) -> f64) -> Orders {
        let ends = (game(&Coalition::empty(PLAYERS)), game(&Coalition::full(PLAYERS)));
        Orders::new(PLAYERS, ends, (Law::Uniform, turn), (seed, 0))
    }

    #[test]
    fn enumeration_is_the_definition() {
        for players in 1..8 {
            let game = game(players, 5);
            let ends = (game(&Coalition::empty(players)), game(&Coalition::full(players)));
            let found = play(Enumeration::new(players, ends), 0, &game).1.expect("exact values");
            for (a, b) in found.values.iter().zip(shapley(players, &game)) {
                assert!((a - b).abs() < 1e-10, "{players}: {a} {b}");
            }
        }
    }

    #[test]
    fn gains_of_every_draw_sum_to_the_difference_and_their_mean_is_within_its_error() {
        let game = game(PLAYERS, 6);
        let truth = shapley(PLAYERS, &game);
        for turn in [Turn::Once, Turn::Both] {
            let mut inside = 0;
            for seed in 0..200 {
                let found = play(orders(turn, seed, &game), 50, &game).1.expect("an estimate");
                let sum = found.values.iter().sum::<f64>() - truth.iter().sum::<f64>();
                assert!(sum.abs() < 1e-9, "{sum}");
                inside += (0..PLAYERS)
                    .filter(|&i| (found.values[i] - truth[i]).abs() <= 1.96 * found.errors[i])
                    .count();
            }
            let covered = inside as f64 / (200 * PLAYERS) as f64;
            assert!((0.92..=0.98).contains(&covered), "{turn:?}: {covered}");
        }
    }

    #[test]
    fn an_order_and_its_reverse_say_more_than_two_orders() {
        let game = game(PLAYERS, 6);
        let error = |turn, draws| {
            let found = play(orders(turn, 1, &game), draws, &game).1.expect("an estimate");
            found.relative_error()
        };
        assert!(error(Turn::Both, 200) < 0.8 * error(Turn::Once, 400));
    }

    #[test]
    fn orders_of_some_players_share_out_what_the_others_leave() {
        let game = game(PLAYERS, 8);
        let others = Coalition::of(PLAYERS, [0, 2, 4, 5, 6]);
        let orders = orders(Turn::Once, 3, &game).of(vec![1, 3]);
        let found = play(orders, 40, &game).1.expect("an estimate");
        let expected = game(&Coalition::full(PLAYERS)) - game(&others);
        assert!((found.values.iter().sum::<f64>() - expected).abs() < 1e-9, "{found:?}");
        assert!([0, 2, 4, 5, 6].iter().all(|&player| found.values[player] == 0.0), "{found:?}");
    }
}
