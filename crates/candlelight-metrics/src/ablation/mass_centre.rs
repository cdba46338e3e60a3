//! Mass-centre ablation.

use super::{check_shares, differences, replace};
use crate::saliency::{image, pixels};
use crate::{Error, Measured, Metric, Result, Subject};
use candlelight_core::{Baseline, Output};

/// A box around the centre of mass of the saliency is replaced, for larger and larger boxes; the curve is
/// ln p(x without it) − ln p(x) over the box's side, as a share of the image's larger side; the number is the area below
/// it ([Sturmfels, Lundberg and Lee 2020](https://distill.pub/2020/attribution-baselines/)). Lower is better.
///
/// The centre is Σ s·i / Σ s over pixel indices i from 0, rounded half up; the box begins half its side before it and is
/// cut at the edges of the image. A box is more of an image than scattered pixels are, which the model may never have
/// seen missing.
///
/// Multiplying a map by any number but 0 changes nothing. The centre of a constant map is that of the image; a map that is
/// 0 has none and is an error.
///
/// **When not to use it:** for objects off the centre of what explains them, such as rings, or for several objects: the
/// centre of mass then lies between them.
///
/// # Shapes
/// Input `[N, C, H, W]`; maps of another size are brought to it.
#[derive(Clone, Debug)]
pub struct MassCentreAblation {
    baseline: Baseline,
    sides: Vec<f64>,
    output: Output,
}

impl Default for MassCentreAblation {
    /// Mean colours; boxes of 0 to 8, 10, 12 and 14 fourteenths of the image.
    fn default() -> Self {
        let sides = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14].map(|side| f64::from(side) / 14.0);
        Self { baseline: Baseline::Mean, sides: sides.to_vec(), output: Output::LogProbability }
    }
}

impl MassCentreAblation {
    /// What stands in the place of a pixel.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Which sides the boxes have, as shares of the image's larger side from 0 to 1; rounded to whole pixels.
    pub fn sides(self, sides: impl Into<Vec<f64>>) -> Self {
        Self { sides: sides.into(), ..self }
    }

    /// In which units the score is; the curve is the difference of two of them.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }
}

impl Metric for MassCentreAblation {
    fn name(&self) -> &'static str {
        "mass-centre-ablation"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        check_shares("sides of the boxes", &self.sides)?;
        let (height, width) = image(subject.query.input())?;
        let pixels = pixels(subject.attribution, (height, width))?;
        let centres = pixels.iter().enumerate().map(|(row, values)| centre(row, values, width));
        let centres = centres.collect::<Result<Vec<_>>>()?;
        let kept = |row: usize, version: usize| {
            let side = (self.sides[version] * height.max(width) as f64).round() as usize;
            let inside = |at: usize, centre: usize| at + side / 2 >= centre && at + side / 2 < centre + side;
            let (down, right) = centres[row];
            let kept = |pixel: usize| !(inside(pixel / width, down) && inside(pixel % width, right));
            (0..height * width).map(|pixel| u8::from(kept(pixel))).collect()
        };
        let asked = (self.output, &self.baseline);
        Ok(differences(replace(subject, asked, self.sides.len(), kept)?, &self.sides))
    }
}

/// Row and column of the centre of mass.
fn centre(row: usize, values: &[f64], width: usize) -> Result<(usize, usize)> {
    let mass: f64 = values.iter().sum();
    if mass == 0.0 {
        return Err(Error::NoRelevance { row, sum: mass });
    }
    let mean = |at: fn(usize, usize) -> usize| {
        let moments = values.iter().enumerate().map(|(pixel, value)| value * at(pixel, width) as f64);
        (moments.sum::<f64>() / mass + 0.5).floor() as usize
    };
    Ok((mean(|pixel, width| pixel / width), mean(|pixel, width| pixel % width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_rounded_half_up_and_a_map_without_mass_has_none() {
        assert_eq!(centre(0, &[1.0, 1.0, 0.0, 0.0], 2).unwrap(), (0, 1));
        assert_eq!(centre(0, &[0.0, 0.0, 3.0, 1.0], 2).unwrap(), (1, 0));
        assert!(matches!(centre(4, &[0.0; 4], 2), Err(Error::NoRelevance { row: 4, .. })));
    }
}
