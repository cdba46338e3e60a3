//! Insertion and Deletion.

use super::replace;
use crate::saliency::{image, ranked};
use crate::{Curve, Error, Measured, Metric, Result, Subject};
use candlelight_core::{Baseline, Output};

/// Pixels are taken out of the image, the most salient first; the curve is the softmax probability of the target's class
/// over the share taken, from the whole image to none of it; the number is the area below it
/// ([Petsiuk, Das and Saenko 2018](https://arxiv.org/abs/1806.07421)). Lower is better: a few pixels carry the class.
///
/// The saliency of a pixel is the sum over channels of |a|, and only its order counts: multiplying a map by any number but 0
/// changes nothing. Ties go to the first pixel, so that a constant map goes row by row from the top.
///
/// **When not to use it:** alone. A model that reacts to holes is measured, not the map; [`Insertion`] has the opposite
/// bias, and a map at random says where chance lies.
///
/// # Shapes
/// Input `[N, C, H, W]`; maps of another size are brought to it.
#[derive(Clone, Debug)]
pub struct Deletion(Steps);

/// Pixels are put into a blurred image, the most salient first; the curve is the softmax probability of the target's
/// class over the share put in, from none of the image to all of it; the number is the area below it
/// ([Petsiuk, Das and Saenko 2018](https://arxiv.org/abs/1806.07421)). Higher is better.
///
/// Order, ties and scale are as in [`Deletion`].
///
/// **When not to use it:** where blur leaves the class to be seen: then every map is good.
///
/// # Shapes
/// Input `[N, C, H, W]`; maps of another size are brought to it.
#[derive(Clone, Debug)]
pub struct Insertion(Steps);

/// How the way is walked.
#[derive(Clone, Debug)]
struct Steps {
    baseline: Baseline,
    /// Pixels at a time; the image's width unless set.
    pixels: Option<usize>,
}

impl Default for Deletion {
    /// Zero in the place of a pixel, as many at a time as the image is wide.
    fn default() -> Self {
        Self(Steps { baseline: Baseline::Zero, pixels: None })
    }
}

impl Default for Insertion {
    /// Blurred by 5 pixels, as many at a time as the image is wide.
    fn default() -> Self {
        Self(Steps { baseline: Baseline::Blurred(5.0), pixels: None })
    }
}

macro_rules! builders {
    ($metric:ty) => {
        impl $metric {
            /// What stands in the place of a pixel.
            pub fn baseline(self, baseline: Baseline) -> Self {
                Self(Steps { baseline, ..self.0 })
            }

            /// How many pixels change at a time.
            pub fn step(self, pixels: usize) -> Self {
                Self(Steps { pixels: Some(pixels), ..self.0 })
            }
        }
    };
}
builders!(Deletion);
builders!(Insertion);

impl Metric for Deletion {
    fn name(&self) -> &'static str {
        "deletion"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        self.0.walk(subject, |rank, changed| rank >= changed)
    }
}

impl Metric for Insertion {
    fn name(&self) -> &'static str {
        "insertion"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        self.0.walk(subject, |rank, changed| rank < changed)
    }
}

impl Steps {
    /// The curves where of the pixels, by their rank, those are the image's of which `kept(rank, changed)` says so.
    fn walk(&self, subject: &Subject, kept: fn(usize, usize) -> bool) -> Result<Measured> {
        let (height, width) = image(subject.query.input())?;
        let (all, step) = (height * width, self.pixels.unwrap_or(width));
        if step == 0 {
            let (setting, expected) = ("number of pixels at a time", "at least 1");
            return Err(Error::Setting { setting, value: step.to_string(), expected });
        }
        let steps = all.div_ceil(step);
        let ranks = ranked(subject.attribution, (height, width))?;
        let kept = |row: usize, version: usize| {
            let changed = (version * step).min(all);
            ranks[row].iter().map(|&rank| u8::from(kept(rank, changed))).collect()
        };
        let asked = (Output::Probability, &self.baseline);
        let replaced = replace(subject, asked, steps + 1, kept)?;
        let at: Vec<f64> = (0..=steps).map(|version| version as f64 / steps as f64).collect();
        let curve = |values| Curve { at: at.clone(), values };
        let curves: Vec<Curve> = replaced.answers.into_iter().map(curve).collect();
        Ok(Measured { values: curves.iter().map(Curve::area).collect(), curves, cost: replaced.cost })
    }
}
