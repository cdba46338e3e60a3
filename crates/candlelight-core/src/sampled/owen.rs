//! Owen values: Shapley values of players who form blocks within blocks
//! ([Owen 1977](https://doi.org/10.1007/978-3-642-45494-3_7)).

use super::{Design, Estimate};
use crate::perturb::Coalition;
use crate::random::Stream;

/// Blocks within blocks: each is halved until single players are left.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Player(usize),
    Halves(Box<[Tree; 2]>),
}

impl Tree {
    /// Halves players by where they lie: across the axis along which their places are furthest apart, at the middle of
    /// the order there. There is one player at least.
    pub(crate) fn halving(places: &[Vec<f64>]) -> Self {
        Self::halved(places, (0..places.len()).collect())
    }

    fn halved(places: &[Vec<f64>], mut players: Vec<usize>) -> Self {
        if let [player] = players[..] {
            return Self::Player(player);
        }
        let extent = |axis: usize| {
            let along = players.iter().map(|&player| places[player][axis]);
            let (low, high) = along.fold((f64::MAX, f64::MIN), |(low, high), at| (at.min(low), at.max(high)));
            high - low
        };
        // The first of axes that are equally long.
        let axes = (0..places[0].len()).rev();
        let axis = axes.max_by(|&a, &b| extent(a).total_cmp(&extent(b))).unwrap_or(0);
        players.sort_by(|&a, &b| places[a][axis].total_cmp(&places[b][axis]));
        let rest = players.split_off(players.len() / 2);
        Self::Halves(Box::new([Self::halved(places, players), Self::halved(places, rest)]))
    }

    /// An order in which every block stays together, and either half comes first with the same chance.
    pub(crate) fn order(&self, stream: &mut Stream) -> Vec<usize> {
        match self {
            Self::Player(player) => vec![*player],
            Self::Halves(halves) => {
                let first = stream.below(2);
                [halves[first].order(stream), halves[1 - first].order(stream)].concat()
            }
        }
    }

    /// How many players there are.
    pub(crate) fn count(&self) -> usize {
        self.players().len()
    }

    fn players(&self) -> Vec<usize> {
        match self {
            Self::Player(player) => vec![*player],
            Self::Halves(halves) => [halves[0].players(), halves[1].players()].concat(),
        }
    }

    /// For every player the blocks beside its way down.
    fn beside(&self) -> Vec<(usize, Vec<Vec<usize>>)> {
        match self {
            Self::Player(player) => vec![(*player, Vec::new())],
            Self::Halves(halves) => {
                let half = |mine: usize| {
                    let other = halves[1 - mine].players();
                    let with = move |(player, beside): (usize, Vec<Vec<usize>>)| {
                        (player, [vec![other.clone()], beside].concat())
                    };
                    halves[mine].beside().into_iter().map(with)
                };
                half(0).chain(half(1)).collect()
            }
        }
    }
}

/// Owen values by their definition: a player's mean gain over all ways in which the blocks beside it are present or not.
/// n² coalitions of n players in a balanced hierarchy.
pub(crate) struct Owen {
    players: usize,
    beside: Vec<(usize, Vec<Vec<usize>>)>,
    values: Vec<f64>,
    drawn: usize,
}

impl Owen {
    pub(crate) fn new(tree: &Tree) -> Self {
        let beside = tree.beside();
        Self { players: beside.len(), values: vec![0.0; beside.len()], beside, drawn: 0 }
    }

    /// How many different coalitions there are, at most; none if they are more than fit a number.
    pub(crate) fn coalitions(&self) -> Option<usize> {
        let ways = self.beside.iter().map(|(_, beside)| 1usize.checked_shl(beside.len() as u32));
        ways.sum()
    }
}

impl Design for Owen {
    type Point = Coalition;

    fn draws(&self, _: usize) -> usize {
        self.players
    }

    fn points(&self, draw: usize) -> Vec<Coalition> {
        let (player, beside) = &self.beside[draw];
        let of = |way: usize| {
            let present = beside.iter().enumerate().filter(|(at, _)| way >> at & 1 == 1);
            Coalition::of(self.players, present.flat_map(|(_, block)| block.iter().copied()))
        };
        (0..1usize << beside.len())
            .map(of)
            .flat_map(|without| [without.clone(), without.with(*player)])
            .collect()
    }

    fn take(&mut self, _: &[Coalition], values: &[f64]) {
        let gains: f64 = values.chunks_exact(2).map(|pair| pair[1] - pair[0]).sum();
        self.values[self.beside[self.drawn].0] = gains / (values.len() / 2) as f64;
        self.drawn += 1;
    }

    fn drawn(&self) -> usize {
        self.drawn
    }

    fn estimate(&self) -> Option<Estimate> {
        (self.drawn == self.players).then(|| Estimate::exact(self.values.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::{game, play, shapley};
    use crate::sampled::orders::{Law, Orders, Turn};

    fn grid(rows: usize, columns: usize) -> Tree {
        let places: Vec<Vec<f64>> =
            (0..rows * columns).map(|at| vec![(at / columns) as f64, (at % columns) as f64]).collect();
        Tree::halving(&places)
    }

    /// All orders that the hierarchy allows.
    fn all_orders(tree: &Tree) -> Vec<Vec<usize>> {
        match tree {
            Tree::Player(player) => vec![vec![*player]],
            Tree::Halves(halves) => {
                let (a, b) = (all_orders(&halves[0]), all_orders(&halves[1]));
                let joined = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
                joined.flat_map(|(a, b)| [[&a[..], b].concat(), [&b[..], a].concat()]).collect()
            }
        }
    }

    #[test]
    fn images_are_halved_across_their_longer_side() {
        let Tree::Halves(halves) = grid(2, 4) else { panic!("no halves") };
        let mut left = halves[0].players();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 4, 5]);
    }

    #[test]
    fn owen_values_are_mean_gains_over_all_orders_that_keep_blocks_together() {
        for (rows, columns) in [(1, 1), (1, 2), (2, 3), (1, 5)] {
            let players = rows * columns;
            let (tree, game) = (grid(rows, columns), game(players, 9));
            let found = play(Owen::new(&tree), 0, &game).1.expect("exact values");
            let mut expected = vec![0.0; players];
            let orders = all_orders(&tree);
            for order in &orders {
                let mut present = Coalition::empty(players);
                for &player in order {
                    let after = present.clone().with(player);
                    expected[player] += (game(&after) - game(&present)) / orders.len() as f64;
                    present = after;
                }
            }
            for (a, b) in found.values.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-10, "{rows} x {columns}: {a} {b}");
            }
        }
    }

    #[test]
    fn random_orders_of_blocks_lead_to_the_owen_values_and_not_to_the_shapley_values() {
        let (tree, game) = (grid(2, 4), game(8, 10));
        let exact = play(Owen::new(&tree), 0, &game).1.expect("exact values").values;
        let ends = (game(&Coalition::empty(8)), game(&Coalition::full(8)));
        let orders = Orders::new(8, ends, (Law::Blocks(tree), Turn::Both), (4, 0));
        let found = play(orders, 4000, &game).1.expect("an estimate");
        let off = |truth: &[f64]| {
            (0..8).map(|i| ((found.values[i] - truth[i]) / found.errors[i]).abs()).fold(0.0, f64::max)
        };
        assert!(off(&exact) < 4.0, "{}", off(&exact));
        assert!(off(&shapley(8, &game)) > 10.0, "the hierarchy makes no difference");
    }

    #[test]
    fn a_balanced_hierarchy_needs_as_many_coalitions_as_the_square_of_its_players() {
        let tree = grid(4, 4);
        let owen = Owen::new(&tree);
        let all: std::collections::HashSet<Coalition> = (0..16).flat_map(|draw| owen.points(draw)).collect();
        assert_eq!(owen.coalitions(), Some(256));
        assert!(all.len() <= 256, "{}", all.len());
    }
}
