//! Top-k ablation.

use super::{check_shares, differences, replace};
use crate::saliency::{image, ranked};
use crate::{Measured, Metric, Result, Subject};
use candlelight_core::{Baseline, Output};

/// The k most salient pixels are replaced, for more and more k; the curve is ln p(x without them) − ln p(x) over the
/// share of pixels replaced, with p the softmax probability of the target's class; the number is the area below it
/// ([Sturmfels, Lundberg and Lee 2020](https://distill.pub/2020/attribution-baselines/)). Lower is better: the model
/// misses what it looked at.
///
/// The saliency of a pixel is the sum over channels of |a|; ties go to the first pixel.
/// Only the order of the pixels counts, so that multiplying a map by any number but 0 changes nothing. A constant map, and
/// one that is 0, is all ties: pixels go row by row from the top.
///
/// **When not to use it:** with one replacement alone. Pixels of the mean colour are not absent, and a method whose
/// baseline is the replacement is measured by its own ruler: compare [`Baseline::Mean`] with [`Baseline::Blurred`], and
/// both with a map at random.
///
/// # Shapes
/// Input `[N, C, H, W]`; maps of another size are brought to it.
#[derive(Clone, Debug)]
pub struct TopKAblation {
    baseline: Baseline,
    shares: Vec<f64>,
    output: Output,
}

impl Default for TopKAblation {
    /// Mean colours; 0, 1, 2, 5, 10, 15, 20, 30, 40, 50, 75 and 100 % of the pixels.
    fn default() -> Self {
        let shares = [0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0];
        Self { baseline: Baseline::Mean, shares: shares.to_vec(), output: Output::LogProbability }
    }
}

impl TopKAblation {
    /// What stands in the place of a pixel.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Which shares of the pixels are replaced, from 0 to 1; rounded to whole pixels.
    pub fn shares(self, shares: impl Into<Vec<f64>>) -> Self {
        Self { shares: shares.into(), ..self }
    }

    /// In which units the score is; the curve is the difference of two of them.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }
}

impl Metric for TopKAblation {
    fn name(&self) -> &'static str {
        "top-k-ablation"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        check_shares("shares of the pixels", &self.shares)?;
        let (height, width) = image(subject.query.input())?;
        let ranks = ranked(subject.attribution, (height, width))?;
        let count = |share: f64| (share * (height * width) as f64).round() as usize;
        let kept = |row: usize, version: usize| {
            let gone = count(self.shares[version]);
            ranks[row].iter().map(|&rank| u8::from(rank >= gone)).collect()
        };
        let asked = (self.output, &self.baseline);
        Ok(differences(replace(subject, asked, self.shares.len(), kept)?, &self.shares))
    }
}
