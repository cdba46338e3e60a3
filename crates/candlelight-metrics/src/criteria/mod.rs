//! The three criteria of allocating effects.

mod probe;

pub use probe::{Effect, Probe, probes};

use crate::Result;
use candlelight_core::{
    Baseline, Composite, DeepLift, DeepLiftShap, DeepTaylor, ExpectedGradients, Explain, FeatureAblation,
    Features, GradCam, InputXGradient, IntegratedGradients, Joining, Lrp, Query, References, Rule,
    ShapleyValues, SmoothGrad,
};
use probe::{MAP, VARIABLES};

/// The largest share of an effect that may be missing, or lie elsewhere, for rounding and quadrature.
pub const TOLERANCE: f64 = 1e-4;
/// Standard errors that a sampled value may be off.
const SIGMAS: f64 = 5.0;

/// A method as the criteria ask it.
pub struct Candidate {
    /// The method's name in the paper.
    pub name: &'static str,
    /// Whether it needs layers that rules know, and so sees no polynomials.
    pub only_nets: bool,
    /// The method.
    pub method: Box<dyn Explain>,
}

/// How a method shares out the effects of the probes
/// ([Deng et al. 2023](https://arxiv.org/abs/2303.01506), "Understanding and Unifying Fourteen Attribution Methods with
/// Taylor Interactions"): of a score that is a sum of effects, each of some variables, a faithful method
///
/// 1. covers every effect: some of its variables have a part of it;
/// 2. gives none to variables that take no part in any;
/// 3. allocates each completely: what its variables have is the effect.
///
/// Each number is the worst over the probes, as a share of the effect, or of the probe's largest.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The method's name in the paper.
    pub name: &'static str,
    /// The smallest share of an effect that its variables have between them, in magnitude; 0 if one is passed over.
    pub covered: f64,
    /// The largest share that a variable has which takes no part.
    pub strayed: f64,
    /// How far an effect is from what its variables have between them.
    pub incomplete: f64,
    /// The last two, less what sampling explains.
    errors: [f64; 2],
}

impl Verdict {
    /// Every effect has an allocation.
    pub fn covers(&self) -> bool {
        self.covered > TOLERANCE
    }

    /// Nothing goes to variables that take no part.
    pub fn is_exclusive(&self) -> bool {
        self.errors[0] <= TOLERANCE
    }

    /// Every effect is allocated whole.
    pub fn is_complete(&self) -> bool {
        self.errors[1] <= TOLERANCE
    }
}

/// The fourteen methods of the paper, each against a baseline of zero.
pub fn candidates() -> Vec<Candidate> {
    let candidate = |name, only_nets, method| Candidate { name, only_nets, method };
    let lrp = |rule: Rule| Box::new(Lrp::new(Composite::by_kind(rule.clone(), rule)));
    let zero = || References::Fixed(Baseline::Zero);
    let patch = Features::Patches { height: 1, width: 2 };
    let shapley = ShapleyValues::default().features(Features::Values).joining(Joining::Exact);
    vec![
        candidate("Gradient x Input", false, Box::new(InputXGradient)),
        candidate("LRP-epsilon", true, lrp(Rule::epsilon(1e-9))),
        candidate("LRP-alpha-beta", true, lrp(Rule::AlphaBeta { alpha: 2.0, beta: 1.0 })),
        candidate("Deep Taylor", true, Box::<DeepTaylor>::default()),
        candidate("DeepLIFT Rescale", true, Box::<DeepLift>::default()),
        candidate("DeepLIFT RevealCancel", true, Box::new(DeepLift::default().reveal_cancel())),
        candidate("DeepSHAP", true, Box::new(DeepLiftShap::default().references(zero()).samples(1))),
        candidate("Integrated Gradients", false, Box::new(IntegratedGradients::default().until(1e-7))),
        candidate(
            "Expected Gradients",
            false,
            Box::new(ExpectedGradients::default().references(zero()).samples(20_000)),
        ),
        candidate("SmoothGrad x Input", false, Box::new(SmoothGrad::over(InputXGradient).samples(2_000))),
        candidate("Grad-CAM", false, Box::new(GradCam::at(MAP))),
        candidate("Occlusion-1", false, Box::new(FeatureAblation::of(Features::Values))),
        candidate("Occlusion-patch", false, Box::new(FeatureAblation::of(patch))),
        candidate("Shapley value", false, Box::new(shapley)),
    ]
}

/// How `candidate` shares out the effects of `probes`.
///
/// # Errors
/// Those of the method.
pub fn judge(candidate: &Candidate, probes: &[Probe]) -> Result<Verdict> {
    let mut verdict = Verdict {
        name: candidate.name,
        covered: f64::INFINITY,
        strayed: 0.0,
        incomplete: 0.0,
        errors: [0.0; 2],
    };
    for probe in probes.iter().filter(|probe| probe.is_net() || !candidate.only_nets) {
        verdict.see(probe, &*candidate.method)?;
    }
    Ok(verdict)
}

impl Verdict {
    /// Takes one probe in.
    fn see(&mut self, probe: &Probe, method: &dyn Explain) -> Result<()> {
        let map = method.attribute(probe, &Query::from((&probe.input()?, 0)))?;
        let shares = map.values().flatten_all()?.to_vec1::<f64>()?;
        let errors = map.standard_error().map(|error| error.flatten_all()?.to_vec1::<f64>()).transpose()?;
        let errors = errors.unwrap_or_else(|| vec![0.0; VARIABLES]);
        let effects = probe.effects();
        let largest = effects.iter().map(|effect| effect.value.abs()).fold(0.0, f64::max);
        let mut beyond = |criterion: usize, off: f64, error: f64| {
            let left = (off - SIGMAS * error).max(0.0) / largest;
            self.errors[criterion] = self.errors[criterion].max(left);
        };
        for effect in &effects {
            let parts = || effect.variables.iter().map(|&i| shares[i]);
            let magnitude = parts().map(f64::abs).sum::<f64>() / effect.value.abs();
            let off = (parts().sum::<f64>() - effect.value).abs();
            let error = effect.variables.iter().map(|&i| errors[i]).sum::<f64>();
            self.covered = self.covered.min(magnitude);
            self.incomplete = self.incomplete.max(off / largest);
            beyond(1, off, error);
        }
        for i in (0..VARIABLES).filter(|i| !effects.iter().any(|effect| effect.variables.contains(i))) {
            self.strayed = self.strayed.max(shares[i].abs() / largest);
            beyond(0, shares[i].abs(), errors[i]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_share_out_every_effect_pass_all_three_and_others_fail() -> Result<()> {
        let probes = probes();
        for candidate in candidates() {
            let verdict = judge(&candidate, &probes)?;
            let passed = [verdict.covers(), verdict.is_exclusive(), verdict.is_complete()];
            let expected = match candidate.name {
                "DeepLIFT Rescale"
                | "DeepLIFT RevealCancel"
                | "DeepSHAP"
                | "Integrated Gradients"
                | "Expected Gradients"
                | "Shapley value" => [true; 3],
                "Gradient x Input" | "SmoothGrad x Input" | "LRP-epsilon" => [false, true, false],
                "LRP-alpha-beta" => [true, true, false],
                "Deep Taylor" => [false, true, false],
                "Grad-CAM" => [false, false, false],
                "Occlusion-1" => [true, true, false],
                "Occlusion-patch" => [true, false, false],
                name => panic!("no expectation for {name}"),
            };
            assert_eq!(passed, expected, "{verdict:?}");
        }
        Ok(())
    }
}
