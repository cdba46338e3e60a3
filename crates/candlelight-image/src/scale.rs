//! Which number gets which colour: the choice that is made when drawing, and the words that say so.

use image::Rgb;

use crate::colormap::{ColorMap, ColorMapKind};
use crate::error::{Error, Result};
use crate::field::Field;

/// Which values the ends of the colour map stand for; written under every picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalize {
    /// From minus to plus the largest magnitude; from zero where no value is negative.
    MaxAbs,
    /// As `MaxAbs`, with this percentile of the magnitudes (over 0, up to 100) in its place: a few spikes do not
    /// darken the rest. What lies beyond gets the end colour.
    Percentile(f64),
    /// From the first to the second value, in the map's own units: for pictures that are to be compared.
    Range(f64, f64),
}

impl Default for Normalize {
    /// The 99th percentile.
    fn default() -> Self {
        Self::Percentile(99.0)
    }
}

/// The colours of the values from `lo` to `hi`. On a diverging map zero is always white.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    pub(crate) colors: ColorMap,
    /// What was done, for the caption.
    pub(crate) words: String,
}

impl Scale {
    pub(crate) fn of(field: &Field, normalize: Normalize, colors: Option<ColorMap>) -> Result<Self> {
        let signed = field.range().0 < 0.0;
        let auto = if signed { ColorMap::BlueRed } else { ColorMap::Inferno };
        let colors = colors.unwrap_or(auto);
        let both_sides = signed || colors.kind() == ColorMapKind::Diverging;
        let ends = |end: f64| if both_sides { (-end, end) } else { (0.0, end) };
        let (end, words) = match normalize {
            Normalize::Range(lo, hi) => return Self::given(lo, hi, colors),
            Normalize::MaxAbs => (field.peak(), "scaled to max |a|".to_string()),
            Normalize::Percentile(percent) => percentile(field, percent)?,
        };
        let (lo, hi) = ends(end);
        Ok(Self { lo, hi, colors, words })
    }

    fn given(lo: f64, hi: f64, colors: ColorMap) -> Result<Self> {
        if lo < hi && lo.is_finite() && hi.is_finite() {
            return Ok(Self { lo, hi, colors, words: "scaled to a given range".into() });
        }
        let expected = "two finite numbers, the smaller one first";
        Err(Error::Option { what: "the colour range", value: format!("{lo} to {hi}"), expected })
    }

    /// The larger magnitude of both ends.
    fn reach(&self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    /// The value as a share of the reach, clipped to the ends; 0 on an empty scale.
    fn share(&self, value: f64) -> f64 {
        let reach = self.reach();
        if reach > 0.0 { value.clamp(self.lo, self.hi) / reach } else { 0.0 }
    }

    pub(crate) fn color(&self, value: f64) -> Rgb<u8> {
        match self.colors.kind() {
            ColorMapKind::Diverging => self.colors.at(0.5 + 0.5 * self.share(value)),
            ColorMapKind::Sequential => self.colors.at(self.along(value)),
        }
    }

    /// How much there is to see, 0 to 1: the distance from zero (diverging) or from the start (sequential).
    pub(crate) fn strength(&self, value: f64) -> f64 {
        match self.colors.kind() {
            ColorMapKind::Diverging => self.share(value).abs(),
            ColorMapKind::Sequential => self.along(value),
        }
    }

    /// The place between the ends, 0 to 1; 0 on an empty scale.
    fn along(&self, value: f64) -> f64 {
        let span = self.share(self.hi) - self.share(self.lo);
        if span > 0.0 { (self.share(value) - self.share(self.lo)) / span } else { 0.0 }
    }

    /// The lines under the picture: what was scaled to what, and the map's own largest magnitude.
    pub(crate) fn caption(&self, field: &Field) -> Vec<String> {
        let (lo, hi) = field.range();
        let peak = if field.peak() == 0.0 {
            "the map is zero everywhere".into()
        } else if lo == hi && field.values.len() > 1 {
            format!("the map is constant, {}", number(lo))
        } else {
            format!("max |a| = {}", number(field.peak()))
        };
        vec![self.words.clone(), peak]
    }
}

fn percentile(field: &Field, percent: f64) -> Result<(f64, String)> {
    if !(percent > 0.0 && percent <= 100.0) {
        let expected = "a number over `0`, up to `100`";
        return Err(Error::Option { what: "the percentile", value: percent.to_string(), expected });
    }
    match field.percentile(percent) {
        0.0 if field.peak() > 0.0 => Ok((field.peak(), format!("scaled to max |a| (p{percent} is 0)"))),
        end => Ok((end, format!("scaled to p{percent} of |a|"))),
    }
}

/// A number in three significant digits, as short as it goes: how pictures have their numbers.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    let written = format!("{value:.decimals$}");
    if decimals == 0 { written } else { written.trim_end_matches('0').trim_end_matches('.').into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(values: &[f64]) -> Field {
        Field { values: values.to_vec(), height: 1, width: values.len(), channels: 1, clipped: false }
    }

    #[test]
    fn zero_is_white_on_a_signed_map_whatever_the_range() {
        for normalize in [Normalize::MaxAbs, Normalize::Percentile(90.0), Normalize::Range(-1.0, 5.0)] {
            let scale = Scale::of(&field(&[-1.0, 0.5, 2.0]), normalize, None).unwrap();
            assert_eq!(scale.color(0.0), ColorMap::BlueRed.at(0.5), "{normalize:?}");
            assert_eq!(scale.strength(0.0), 0.0);
        }
    }

    #[test]
    fn positive_maps_start_at_zero() {
        let scale = Scale::of(&field(&[1.0, 3.0]), Normalize::MaxAbs, None).unwrap();
        assert_eq!((scale.lo, scale.hi, scale.strength(3.0)), (0.0, 3.0, 1.0));
    }

    #[test]
    fn a_zero_map_and_a_constant_map_are_said_to_be_so() {
        let zero = field(&[0.0, 0.0]);
        let scale = Scale::of(&zero, Normalize::default(), None).unwrap();
        assert_eq!(scale.strength(0.0), 0.0);
        assert_eq!(scale.caption(&zero)[1], "the map is zero everywhere");
        let flat = field(&[2.0, 2.0]);
        assert!(
            Scale::of(&flat, Normalize::default(), None).unwrap().caption(&flat)[1].contains("constant, 2")
        );
    }

    #[test]
    fn a_percentile_of_zero_falls_back_to_the_maximum_and_says_so() {
        let mut values = vec![0.0; 1000];
        values[3] = 4.0;
        let scale = Scale::of(&field(&values), Normalize::Percentile(99.0), None).unwrap();
        assert_eq!(scale.hi, 4.0);
        assert!(scale.words.contains("p99 is 0"));
    }

    #[test]
    fn huge_values_overflow_nowhere() {
        let map = field(&[-1e308, 1e308]);
        for colors in [ColorMap::BlueRed, ColorMap::Inferno] {
            let scale = Scale::of(&map, Normalize::MaxAbs, Some(colors)).unwrap();
            assert_eq!(scale.color(1e308), colors.at(1.0));
            assert_eq!(scale.color(-1e308), colors.at(0.0));
        }
    }

    #[test]
    fn ranges_and_percentiles_outside_their_domain_are_refused() {
        let map = field(&[1.0]);
        for bad in [
            Normalize::Range(1.0, 1.0),
            Normalize::Range(f64::NAN, 1.0),
            Normalize::Percentile(0.0),
            Normalize::Percentile(101.0),
            Normalize::Percentile(f64::NAN),
        ] {
            assert!(matches!(Scale::of(&map, bad, None), Err(Error::Option { .. })), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let written = [0.0, 0.01234, -1.5, 12345.0, 1.0e-7, 2e9].map(number);
        assert_eq!(written, ["0", "0.0123", "-1.5", "12345", "1.00e-7", "2.00e9"]);
    }
}
