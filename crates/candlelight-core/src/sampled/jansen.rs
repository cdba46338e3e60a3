//! Indices of Sobol': which share of the score's variance each player has.

use super::design::Strengths;
use super::{Design, Estimate, PARTS};
use crate::random::Stream;

/// Dimensions that one scrambled sequence has; further ones are those of other scrambles.
const DIMENSIONS: usize = 256;
/// Points that it has.
const LENGTH: usize = 1 << 16;

/// Which share of the score's variance Sobol' indices tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VarianceShare {
    /// What varies with the feature, alone and together with others.
    #[default]
    Total,
    /// What varies with the feature alone.
    First,
}

/// Points A and B, strengths of all players in [0, 1), and for each player A with that player's strength from B.
pub(crate) struct Jansen {
    players: usize,
    share: VarianceShare,
    address: (u64, u64),
    drawn: usize,
    parts: Vec<Sums>,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    count: f64,
    value: f64,
    square: f64,
    /// Per player Σ (f(A) − f(A with one from B))², or (f(B) − …)².
    apart: Vec<f64>,
}

impl Jansen {
    pub(crate) fn new(players: usize, share: VarianceShare, address: (u64, u64)) -> Self {
        let nothing = Sums { apart: vec![0.0; players], ..Sums::default() };
        Self { players, share, address, drawn: 0, parts: vec![nothing; PARTS] }
    }

    /// Coordinate `dimension` of point `draw`: Sobol' sequences, scrambled by the seed
    /// ([Burley 2020](http://www.jcgt.org/published/0009/04/01/)).
    fn coordinate(&self, draw: usize, dimension: usize) -> f64 {
        let set = (dimension / DIMENSIONS + draw / LENGTH * 2 * self.players) as u64;
        let scramble = Stream::new(self.address.0, self.address.1, set).word();
        f64::from(sobol_burley::sample((draw % LENGTH) as u32, (dimension % DIMENSIONS) as u32, scramble))
    }

    /// The indices: E (f(A) − f(Aᵢ))² / 2V and 1 − E (f(B) − f(Aᵢ))² / 2V
    /// ([Jansen 1999](https://doi.org/10.1016/S0010-4655(98)00154-4)); 0 where the score does not vary.
    fn indices(&self, sums: &Sums) -> Vec<f64> {
        let mean = sums.value / sums.count;
        let variance = sums.square / sums.count - mean * mean;
        let share = |apart: &f64| apart / (sums.count / 2.0) / (2.0 * variance);
        let index = |apart: &f64| match self.share {
            _ if variance <= f64::EPSILON * mean * mean => 0.0,
            VarianceShare::Total => share(apart),
            VarianceShare::First => 1.0 - share(apart),
        };
        sums.apart.iter().map(index).collect()
    }

    /// The sums over all parts but `left_out`.
    fn sums(&self, left_out: Option<usize>) -> Sums {
        let mut all = Sums { apart: vec![0.0; self.players], ..Sums::default() };
        for (_, part) in self.parts.iter().enumerate().filter(|(at, _)| Some(*at) != left_out) {
            all.count += part.count;
            all.value += part.value;
            all.square += part.square;
            all.apart.iter_mut().zip(&part.apart).for_each(|(sum, apart)| *sum += apart);
        }
        all
    }
}

impl Design for Jansen {
    type Point = Strengths;

    fn points(&self, draw: usize) -> Vec<Strengths> {
        let point = |first: usize| -> Strengths {
            (0..self.players).map(|player| self.coordinate(draw, first + player)).collect()
        };
        let (a, b) = (point(0), point(self.players));
        let exchanged = |player: usize| {
            let mut exchanged = a.clone();
            exchanged[player] = b[player];
            exchanged
        };
        let exchanged: Vec<Strengths> = (0..self.players).map(exchanged).collect();
        [vec![a, b], exchanged].concat()
    }

    fn take(&mut self, _: &[Strengths], values: &[f64]) {
        let at = self.drawn % self.parts.len();
        let part = &mut self.parts[at];
        let from = if self.share == VarianceShare::Total { values[0] } else { values[1] };
        part.count += 2.0;
        part.value += values[0] + values[1];
        part.square += values[0].powi(2) + values[1].powi(2);
        part.apart.iter_mut().zip(&values[2..]).for_each(|(sum, value)| *sum += (from - value).powi(2));
        self.drawn += 1;
    }

    fn drawn(&self) -> usize {
        self.drawn
    }

    fn estimate(&self) -> Option<Estimate> {
        let values = (self.drawn > 0).then(|| self.indices(&self.sums(None)))?;
        let without = |part| Some(self.indices(&self.sums(Some(part))));
        Some(Estimate::jackknife(values, self.parts.len().min(self.drawn), without))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::design::tests::play;

    /// The g function of Sobol', whose indices are known: ∏ (|4x − 2| + a) / (1 + a).
    const A: [f64; 5] = [0.0, 0.5, 3.0, 9.0, 99.0];

    fn game(x: &Strengths) -> f64 {
        x.iter().zip(A).map(|(x, a)| ((4.0 * x - 2.0).abs() + a) / (1.0 + a)).product()
    }

    /// Partial variances are 1 / (3 (1 + a)²).
    fn expected(share: VarianceShare) -> Vec<f64> {
        let alone = A.map(|a| 1.0 / (3.0 * (1.0 + a).powi(2)));
        let all: f64 = alone.iter().map(|v| 1.0 + v).product();
        let index = |v: &f64| match share {
            VarianceShare::First => v / (all - 1.0),
            VarianceShare::Total => v * all / (1.0 + v) / (all - 1.0),
        };
        alone.iter().map(index).collect()
    }

    #[test]
    fn the_indices_of_the_g_function_are_those_of_the_textbook() {
        for share in [VarianceShare::Total, VarianceShare::First] {
            let found = play(Jansen::new(5, share, (1, 0)), 1024, game).1.expect("an estimate");
            for (player, expected) in expected(share).into_iter().enumerate() {
                let off = (found.values[player] - expected).abs();
                assert!(
                    off < 4.0 * found.errors[player] && off < 0.03,
                    "{share:?} {player}: {off} {found:?}"
                );
            }
        }
    }

    #[test]
    fn a_player_that_does_nothing_has_nothing_and_a_constant_no_shares() {
        let found = play(Jansen::new(3, VarianceShare::Total, (1, 0)), 16, |x| x[0] + 2.0 * x[1]).1;
        let found = found.expect("an estimate");
        assert_eq!((found.values[2], found.errors[2]), (0.0, 0.0));
        let constant =
            play(Jansen::new(3, VarianceShare::First, (1, 0)), 16, |_| 3.1).1.expect("an estimate");
        assert_eq!(constant.values, [0.0; 3]);
    }

    #[test]
    fn coordinates_beyond_the_sequence_s_dimensions_are_others() {
        let design = Jansen::new(300, VarianceShare::Total, (1, 0));
        assert!((0..40).any(|draw| design.coordinate(draw, 3) != design.coordinate(draw, 3 + DIMENSIONS)));
        assert!((0..600).all(|d| (0.0..1.0).contains(&design.coordinate(70_000, d))));
    }
}
