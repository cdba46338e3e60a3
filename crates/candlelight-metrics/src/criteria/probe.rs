//! Functions whose effects are known exactly.

use candle_core::{DType, Device, Result, Tensor};
use candlelight_core::nn::{Activation, Linear, Module};
use candlelight_core::tap;

/// Variables of every probe.
pub(super) const VARIABLES: usize = 4;
/// Below it an effect is none: rounding of sums of numbers about 1.
const NONE: f64 = 1e-9;
/// What Grad-CAM looks at: the input itself, as a map of one channel.
pub(super) const MAP: &str = "map";

/// A small function of four variables, explained at one point against zero.
pub struct Probe {
    /// What it is.
    pub name: &'static str,
    /// Where it is explained.
    pub x: [f64; VARIABLES],
    body: Body,
}

/// What a probe computes.
enum Body {
    /// Σₖ cₖ·max(0, wₖ·x + bₖ), by layers that rules know.
    Net(Vec<Neuron>),
    /// Σₖ cₖ·Πᵢ xᵢ^κᵢ.
    Polynomial(Vec<Term>),
}

/// c, w and b of a neuron.
type Neuron = (f64, [f64; VARIABLES], f64);
/// c and κ of a term.
type Term = (f64, [u32; VARIABLES]);

/// What some variables do together that no fewer of them do: the sum of all terms of the Taylor series at zero in which
/// exactly these variables stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The variables: one for an independent effect, several for an interaction.
    pub variables: Vec<usize>,
    /// In units of the score.
    pub value: f64,
}

impl Probe {
    fn net(name: &'static str, x: [f64; VARIABLES], neurons: Vec<Neuron>) -> Self {
        Self { name, x, body: Body::Net(neurons) }
    }

    fn polynomial(name: &'static str, x: [f64; VARIABLES], terms: Vec<Term>) -> Self {
        Self { name, x, body: Body::Polynomial(terms) }
    }

    /// Whether rules know its layers.
    pub fn is_net(&self) -> bool {
        matches!(self.body, Body::Net(_))
    }

    /// f at a point.
    fn value(&self, x: &[f64; VARIABLES]) -> f64 {
        let sum = |w: &[f64; VARIABLES]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        let product = |k: &[u32; VARIABLES]| k.iter().zip(x).map(|(k, x)| x.powi(*k as i32)).product::<f64>();
        match &self.body {
            Body::Net(neurons) => neurons.iter().map(|(c, w, b)| c * (sum(w) + b).max(0.0)).sum(),
            Body::Polynomial(terms) => terms.iter().map(|(c, k)| c * product(k)).sum(),
        }
    }

    /// Every effect that is not 0: of the variables S it is Σ over T ⊆ S of (−1)^(|S| − |T|) f(x_T), x_T the point with
    /// zero outside of T (the Harsanyi dividend, to which the Taylor terms of exactly these variables sum).
    pub fn effects(&self) -> Vec<Effect> {
        let inside = |set: usize, variable: usize| set >> variable & 1 == 1;
        let masked = |set: usize| std::array::from_fn(|i| if inside(set, i) { self.x[i] } else { 0.0 });
        let effect = |set: usize| {
            let parts = (0..=set).filter(|part| part & !set == 0);
            let sign = |part: usize| if (set ^ part).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            let value = parts.map(|part| sign(part) * self.value(&masked(part))).sum();
            Effect { variables: (0..VARIABLES).filter(|&i| inside(set, i)).collect(), value }
        };
        (1..1 << VARIABLES).map(effect).filter(|effect| effect.value.abs() > NONE).collect()
    }

    /// The point as an image of one row, `[1, 1, 1, 4]`.
    pub(super) fn input(&self) -> Result<Tensor> {
        Tensor::from_slice(&self.x, (1, 1, 1, VARIABLES), &Device::Cpu)
    }
}

impl Module for Probe {
    /// `[N, 1, 1, 4]` to `[N, 1]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = tap(MAP, x)?.flatten_from(1)?;
        match &self.body {
            Body::Net(neurons) => {
                let weights: Vec<f64> = neurons.iter().flat_map(|(_, w, _)| *w).collect();
                let biases: Vec<f64> = neurons.iter().map(|(_, _, b)| *b).collect();
                let outs: Vec<f64> = neurons.iter().map(|(c, _, _)| *c).collect();
                let count = neurons.len();
                let hidden = Tensor::from_vec(weights, (count, VARIABLES), x.device())?;
                let hidden = Linear::new(hidden, Some(Tensor::new(biases, x.device())?)).at("hidden");
                let out = Linear::new(Tensor::from_vec(outs, (1, count), x.device())?, None).at("out");
                out.forward(&Activation::Relu.at("relu").forward(&hidden.forward(&x)?)?)
            }
            Body::Polynomial(terms) => {
                let zero = Tensor::zeros((x.dim(0)?, 1), DType::F64, x.device())?;
                terms.iter().try_fold(zero, |sum, (c, powers)| {
                    let one = (x.narrow(1, 0, 1)?.zeros_like()? + *c)?;
                    let factors =
                        powers.iter().enumerate().flat_map(|(i, &k)| std::iter::repeat_n(i, k as usize));
                    sum + factors.into_iter().try_fold(one, |product, i| product * x.narrow(1, i, 1)?)?
                })
            }
        }
    }
}

/// The probes: in each the effects have no variable in common, so that every one has its own share of the map.
pub fn probes() -> Vec<Probe> {
    let alone = |i: usize, w: f64| std::array::from_fn(|k| if k == i { w } else { 0.0 });
    vec![
        Probe::net("one variable, max(0, x₁)", [0.7, 0.4, 0.9, 0.3], vec![(1.0, alone(0, 1.0), 0.0)]),
        Probe::net(
            "one variable that saturates, max(0, x₁) − max(0, x₁ − 1)",
            [1.8, 0.4, 0.9, 0.3],
            vec![(1.0, alone(0, 1.0), 0.0), (-1.0, alone(0, 1.0), -1.0)],
        ),
        Probe::net(
            "two variables against each other, max(0, x₁) − max(0, x₂)",
            [1.5, 0.4, 0.9, 0.3],
            vec![(1.0, alone(0, 1.0), 0.0), (-1.0, alone(1, 1.0), 0.0)],
        ),
        Probe::net(
            "an interaction, max(0, x₁ + x₂ − 1)",
            [0.8, 0.7, 0.9, 0.3],
            vec![(1.0, [1.0, 1.0, 0.0, 0.0], -1.0)],
        ),
        Probe::net(
            "two interactions, max(0, x₁ + x₃ − 1) − max(0, x₂ + x₄ − 1)",
            [0.8, 0.9, 0.7, 0.5],
            vec![(1.0, [1.0, 0.0, 1.0, 0.0], -1.0), (-1.0, [0.0, 1.0, 0.0, 1.0], -1.0)],
        ),
        Probe::polynomial("a square, x₁²", [0.7, 0.4, 0.9, 0.3], vec![(1.0, [2, 0, 0, 0])]),
        Probe::polynomial(
            "a variable that turns back, 2x₂ − x₂²",
            [0.7, 1.0, 0.9, 0.3],
            vec![(2.0, [0, 1, 0, 0]), (-1.0, [0, 2, 0, 0])],
        ),
        Probe::polynomial("a product, x₁·x₃", [0.7, 0.4, 0.9, 0.3], vec![(1.0, [1, 0, 1, 0])]),
        Probe::polynomial(
            "a product and a cube, x₁·x₂² + x₄³",
            [0.7, 0.6, 0.9, 0.8],
            vec![(1.0, [1, 2, 0, 0]), (1.0, [0, 0, 0, 3])],
        ),
        Probe::polynomial("three variables, x₁·x₂·x₄", [0.7, 0.6, 0.9, 0.8], vec![(1.0, [1, 1, 0, 1])]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effects_of_a_probe_sum_to_its_score_and_share_no_variable() -> Result<()> {
        for probe in probes() {
            let effects = probe.effects();
            let sum: f64 = effects.iter().map(|effect| effect.value).sum();
            assert!((sum - probe.value(&probe.x)).abs() < NONE, "{}", probe.name);
            let found = probe.forward(&probe.input()?)?.flatten_all()?.to_vec1::<f64>()?[0];
            assert!((found - probe.value(&probe.x)).abs() < NONE, "{}", probe.name);
            let mut seen: Vec<usize> = effects.iter().flat_map(|effect| effect.variables.clone()).collect();
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all, "{}", probe.name);
        }
        Ok(())
    }

    #[test]
    fn effects_are_those_of_the_formula() {
        let product = probes().into_iter().find(|probe| probe.name.starts_with("a product and")).unwrap();
        let effects = product.effects();
        assert_eq!(effects.len(), 2);
        assert_eq!((&effects[0].variables[..], &effects[1].variables[..]), (&[0, 1][..], &[3][..]));
        assert!((effects[0].value - 0.7 * 0.36).abs() < NONE && (effects[1].value - 0.512).abs() < NONE);
    }
}
