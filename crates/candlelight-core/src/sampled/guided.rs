//! Shapley values that ask only about who interacts.

use super::orders::{Law, Orders, Turn};
use super::{Design, Estimate};
use crate::perturb::Coalition;

/// First what every player brings alone and takes away last; where both agree, that is the player's value. The others join in
/// random orders, those players present.
pub(crate) struct Guided {
    players: usize,
    ends: (f64, f64),
    /// How far apart the two effects may be, as a share of the largest effect.
    tolerance: f64,
    address: (u64, u64),
    /// Values of the players who are taken to be additive, and orders of the others.
    probed: Option<(Vec<f64>, Orders)>,
}

impl Guided {
    pub(crate) fn new(players: usize, ends: (f64, f64), tolerance: f64, address: (u64, u64)) -> Self {
        Self { players, ends, tolerance, address, probed: None }
    }

    /// Everybody alone, and everybody missing.
    fn probes(&self) -> Vec<Coalition> {
        let alone = (0..self.players).map(|player| Coalition::of(self.players, [player]));
        let full = Coalition::full(self.players);
        alone.chain((0..self.players).map(|player| full.clone().without(player))).collect()
    }

    /// Takes the players apart by their two effects.
    fn probe(&mut self, values: &[f64]) {
        let (nobody, all) = self.ends;
        let (alone, missing) = values.split_at(self.players);
        let effects: Vec<(f64, f64)> =
            alone.iter().zip(missing).map(|(alone, missing)| (alone - nobody, all - missing)).collect();
        let largest = effects.iter().fold(0.0f64, |most, (a, b)| most.max(a.abs()).max(b.abs()));
        let interacts = |&(a, b): &(f64, f64)| (a - b).abs() > self.tolerance * largest;
        let additive =
            effects.iter().map(|effect| if interacts(effect) { 0.0 } else { 0.5 * (effect.0 + effect.1) });
        let joining: Vec<usize> = (0..self.players).filter(|&player| interacts(&effects[player])).collect();
        let orders = Orders::new(self.players, self.ends, (Law::Uniform, Turn::Both), self.address);
        self.probed = Some((additive.collect(), orders.of(joining)));
    }
}

impl Design for Guided {
    type Point = Coalition;

    fn draws(&self, samples: usize) -> usize {
        match &self.probed {
            Some((_, orders)) if !orders.joining().is_empty() => 1 + samples,
            _ => 1,
        }
    }

    fn points(&self, draw: usize) -> Vec<Coalition> {
        match &self.probed {
            Some((_, orders)) if draw > 0 => orders.points(draw - 1),
            _ => self.probes(),
        }
    }

    fn take(&mut self, points: &[Coalition], values: &[f64]) {
        match &mut self.probed {
            None => self.probe(values),
            Some((_, orders)) => orders.take(points, values),
        }
    }

    fn drawn(&self) -> usize {
        self.probed.as_ref().map_or(0, |(_, orders)| 1 + orders.drawn())
    }

    fn estimate(&self) -> Option<Estimate> {
        let (additive, orders) = self.probed.as_ref()?;
        if orders.joining().is_empty() {
            return Some(Estimate::exact(additive.clone()));
        }
        let Estimate { values, errors } = orders.estimate()?;
        let values = values.iter().zip(additive).map(|(joined, additive)| joined + additive).collect();
        Some(Estimate { values, errors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::{play, shapley};

    /// Players 0 to 4 add, 5 and 6 need each other.
    fn game(coalition: &Coalition) -> f64 {
        let adds: f64 = (0..5).filter(|&i| coalition.has(i)).map(|i| i as f64).sum();
        adds + if coalition.has(5) && coalition.has(6) { 3.0 } else { 0.0 }
    }

    #[test]
    fn who_adds_costs_two_calls_and_who_interacts_is_sampled() {
        let ends = (0.0, game(&Coalition::full(7)));
        let design = Guided::new(7, ends, 1e-6, (1, 0));
        let (design, found) = play(design, 4, game);
        let found = found.expect("an estimate");
        for (a, b) in found.values.iter().zip(shapley(7, game)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        assert_eq!((design.drawn(), design.points(0).len(), design.points(1).len()), (5, 14, 3));
    }

    #[test]
    fn additive_games_are_exact_after_the_first_draw() {
        let adds = |coalition: &Coalition| (0..6).filter(|&i| coalition.has(i)).map(|i| 1.0 + i as f64).sum();
        let (design, found) = play(Guided::new(6, (0.0, 21.0), 1e-6, (1, 0)), 10, adds);
        let found = found.expect("an estimate");
        assert_eq!((design.drawn(), found.errors), (1, vec![0.0; 6]));
    }
}
