//! Colours, and the patterns that mix two of them over a surface.

use super::SIZE;
use super::dice::{Dice, hash, round, unit};
use super::geometry::Point;

/// Red, green and blue, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rgb(pub [f32; 3]);

impl Rgb {
    /// A colour of any hue, neither black nor garish.
    pub fn random(dice: &mut Dice) -> Self {
        let (hue, saturation) = (dice.between(0.0, 6.0), dice.between(0.1, 0.85));
        Self::from_hsv(hue, saturation, dice.between(0.2, 1.0))
    }

    /// The colour of a hue (0 to 6 around the wheel), a saturation and a value.
    fn from_hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |shift: f32| {
            let place = (hue + shift) % 6.0;
            value * (1.0 - saturation * place.min(4.0 - place).clamp(0.0, 1.0))
        };
        Self([channel(5.0), channel(3.0), channel(1.0)])
    }

    /// This colour at `t = 0`, `other` at `t = 1`.
    #[inline]
    pub fn mix(self, other: Self, t: f32) -> Self {
        let [r, g, b] = self.0;
        let [s, h, c] = other.0;
        Self([r + (s - r) * t, g + (h - g) * t, b + (c - b) * t])
    }

    /// How different two colours look, from 0 to 1: the distance of their channels, weighted as the eye does.
    pub fn contrast(self, other: Self) -> f32 {
        let square = |i: usize| (self.0[i] - other.0[i]) * (self.0[i] - other.0[i]);
        (0.3 * square(0) + 0.55 * square(1) + 0.15 * square(2)).sqrt()
    }
}

/// How strongly the second colour shows at a point, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pattern {
    Plain,
    Gradient(Ramp),
    Stripes(Wave),
    Checker(Wave, Wave),
    Noise(Clouds),
    Blobs([Blob; 4]),
}

impl Pattern {
    /// One that fills the picture: everything but a checker board.
    fn background(dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::Plain,
            1 => Self::Gradient(Ramp::random(dice, 30.0, 64.0)),
            2 => Self::Stripes(Wave::random(dice, 6.0, 20.0)),
            3 => Self::Noise(Clouds::random(dice, 6.0, 20.0)),
            _ => Self::Blobs(std::array::from_fn(|_| Blob::random(dice))),
        }
    }

    /// One fine enough to be seen on an object: everything but blobs.
    fn texture(dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::Plain,
            1 => Self::Gradient(Ramp::random(dice, 16.0, 30.0)),
            2 => Self::Stripes(Wave::random(dice, 3.5, 8.0)),
            3 => Self::Noise(Clouds::random(dice, 2.0, 5.0)),
            _ => {
                let wave = Wave::random(dice, 5.0, 10.0);
                Self::Checker(wave, wave.crossed())
            }
        }
    }

    /// The pattern along a row of pixels; chosen outside of the loop, so that the loop can be vectorised.
    fn row(&self, row: usize) -> [f32; SIZE] {
        match self {
            Self::Plain => [0.0; SIZE],
            Self::Gradient(ramp) => along(row, |p| ramp.at(p)),
            Self::Noise(clouds) => along(row, |p| clouds.at(p)),
            Self::Blobs(blobs) => along(row, |p| Blob::cover(blobs, p)),
            Self::Stripes(_) | Self::Checker(..) => along(row, |p| self.at(p)),
        }
    }

    #[inline]
    fn at(&self, p: Point) -> f32 {
        match self {
            Self::Plain => 0.0,
            Self::Gradient(ramp) => ramp.at(p),
            Self::Stripes(wave) => wave.at(p),
            Self::Checker(one, other) => {
                let (s, t) = (one.at(p), other.at(p));
                s + t - 2.0 * s * t
            }
            Self::Noise(clouds) => clouds.at(p),
            Self::Blobs(blobs) => Blob::cover(blobs, p),
        }
    }
}

#[inline]
fn along(row: usize, pattern: impl Fn(Point) -> f32) -> [f32; SIZE] {
    let mut weights = [0.0; SIZE];
    for (column, weight) in weights.iter_mut().enumerate() {
        *weight = pattern(Point::pixel(row, column));
    }
    weights
}

/// From 0 to 1 along a direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    slope: Point,
    middle: Point,
}

impl Ramp {
    fn random(dice: &mut Dice, shortest: f32, longest: f32) -> Self {
        let slope = dice.direction() * (1.0 / dice.between(shortest, longest));
        Self { slope, middle: Point::new(dice.between(22.0, 42.0), dice.between(22.0, 42.0)) }
    }

    fn at(&self, p: Point) -> f32 {
        (0.5 + self.slope.dot(p - self.middle)).clamp(0.0, 1.0)
    }
}

/// Bands of 0 and 1 with edges one pixel wide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wave {
    /// Across the bands, one over the period long.
    frequency: Point,
    phase: f32,
    period: f32,
}

impl Wave {
    fn random(dice: &mut Dice, finest: f32, coarsest: f32) -> Self {
        let (direction, period) = (dice.direction(), dice.between(finest, coarsest));
        Self { frequency: direction * (1.0 / period), phase: dice.between(0.0, 1.0), period }
    }

    /// The same bands, turned by a quarter.
    fn crossed(self) -> Self {
        Self { frequency: Point::new(-self.frequency.y, self.frequency.x), ..self }
    }

    fn at(&self, p: Point) -> f32 {
        let turns = self.frequency.dot(p) + self.phase;
        let triangle = (2.0 * (turns - turns.floor()) - 1.0).abs();
        (0.5 + (triangle - 0.5) * 0.5 * self.period).clamp(0.0, 1.0)
    }
}

/// Smooth noise: hashed values on a lattice, in two octaves, joined by smoothed bilinear interpolation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clouds {
    seed: u32,
    /// Lattice cells per pixel.
    frequency: f32,
}

impl Clouds {
    pub fn random(dice: &mut Dice, finest: f32, coarsest: f32) -> Self {
        Self { seed: dice.bits(), frequency: 1.0 / dice.between(finest, coarsest) }
    }

    /// The contrast is stretched, as the mean of many values crowds around one half.
    #[inline(always)]
    pub fn at(&self, p: Point) -> f32 {
        let p = p * self.frequency + Point::new(1.0, 1.0);
        let noise = 0.7 * self.octave(p) + 0.3 * self.octave(p * 2.0 + Point::new(99.5, 99.5));
        (0.5 + 1.8 * (noise - 0.5)).clamp(0.0, 1.0)
    }

    /// Noise at `p`, in lattice cells; no coordinate may be less than one.
    ///
    /// On a line of the lattice, either neighbour cell will do, so rounding is as good as the floor.
    #[inline]
    fn octave(&self, p: Point) -> f32 {
        let (column, row) = (round(p.x + 0.5).wrapping_sub(1), round(p.y + 0.5).wrapping_sub(1));
        let (u, v) = (smooth(p.x - column as f32), smooth(p.y - row as f32));
        let (top, bottom) = (self.edge(column, row, u), self.edge(column, row + 1, u));
        top + (bottom - top) * v
    }

    /// Between two neighbours in a row of the lattice.
    #[inline]
    fn edge(&self, column: u32, row: u32, u: f32) -> f32 {
        let knot = |column: u32| unit(hash(self.seed ^ (column | row << 16)));
        let (left, right) = (knot(column), knot(column + 1));
        left + (right - left) * u
    }
}

/// The cubic that eases from 0 to 1.
fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// A soft round spot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blob {
    centre: Point,
    /// One over the squared radius.
    sharpness: f32,
}

impl Blob {
    fn random(dice: &mut Dice) -> Self {
        let (centre, radius) = (Point::anywhere(dice), dice.between(12.0, 30.0));
        Self { centre, sharpness: 1.0 / (radius * radius) }
    }

    /// What all blobs cover together.
    #[inline]
    fn cover(blobs: &[Self], p: Point) -> f32 {
        blobs.iter().map(|blob| blob.at(p)).sum::<f32>().min(1.0)
    }

    #[inline]
    fn at(&self, p: Point) -> f32 {
        let d = p - self.centre;
        smooth((1.0 - d.dot(d) * self.sharpness).max(0.0))
    }
}

/// A pattern in two colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colours: [Rgb; 2],
    pattern: Pattern,
}

impl Paint {
    /// The least contrast between any colour of an object and any of its background.
    const VISIBLE: f32 = 0.25;

    /// A background: its colours are close enough to leave room for an object's.
    pub fn background(dice: &mut Dice) -> Self {
        let first = Rgb::random(dice);
        let second = first.mix(Rgb::random(dice), dice.between(0.2, 0.5));
        Self { colours: [first, second], pattern: Pattern::background(dice) }
    }

    /// A paint that stands out from `ground` everywhere: the first of a few that does, or else the best.
    pub fn object(dice: &mut Dice, ground: &Self) -> Self {
        const TRIES: usize = 256;
        let mut best = (f32::NEG_INFINITY, ground.colours);
        for _ in 0..TRIES {
            let first = Rgb::random(dice);
            let colours = [first, first.mix(Rgb::random(dice), dice.between(0.3, 0.8))];
            let contrast = contrast(colours, ground.colours);
            if contrast > best.0 {
                best = (contrast, colours);
            }
            if contrast >= Self::VISIBLE {
                break;
            }
        }
        Self { colours: best.1, pattern: Pattern::texture(dice) }
    }

    /// Paints the pixels of `row`, all of it.
    pub fn cover(&self, row: usize, pixels: &mut [[f32; 3]]) {
        let [first, second] = self.colours;
        for (pixel, weight) in pixels.iter_mut().zip(self.pattern.row(row)) {
            *pixel = first.mix(second, weight).0;
        }
    }

    /// The colour at a point of the picture.
    #[inline]
    pub fn at(&self, p: Point) -> Rgb {
        let [first, second] = self.colours;
        first.mix(second, self.pattern.at(p))
    }
}

/// The least contrast between two mixtures, looked at in their ends and middles.
fn contrast(one: [Rgb; 2], other: [Rgb; 2]) -> f32 {
    let samples = |[a, b]: [Rgb; 2]| [a, a.mix(b, 0.5), b];
    let pairs = samples(one).into_iter().flat_map(|a| samples(other).map(|b| a.contrast(b)));
    pairs.fold(f32::INFINITY, f32::min)
}

#[cfg(test)]
mod tests {
    use super::super::dice::Family;
    use super::*;

    #[test]
    fn an_object_paint_stands_out_from_its_background() {
        for seed in 0..2000 {
            let mut dice = Dice::new(seed, Family::Single);
            let ground = Paint::background(&mut dice);
            let object = Paint::object(&mut dice, &ground);
            let contrast = contrast(object.colours, ground.colours);
            assert!(contrast >= Paint::VISIBLE, "seed {seed}: {contrast}");
        }
    }

    #[test]
    fn a_pattern_stays_between_zero_and_one() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed, Family::Single);
            for pattern in [Pattern::background(&mut dice), Pattern::texture(&mut dice)] {
                for _ in 0..100 {
                    let p = Point::anywhere(&mut dice);
                    assert!((0.0..=1.0).contains(&pattern.at(p)), "{pattern:?} at {p:?}");
                }
            }
        }
    }

    #[test]
    fn the_colour_wheel_has_its_corners_in_place() {
        let corner = |hue: f32| Rgb::from_hsv(hue, 1.0, 1.0).0;
        assert_eq!(corner(0.0), [1.0, 0.0, 0.0]);
        assert_eq!(corner(2.0), [0.0, 1.0, 0.0]);
        assert_eq!(corner(4.0), [0.0, 0.0, 1.0]);
        assert_eq!(Rgb::from_hsv(1.3, 0.0, 0.4).0, [0.4; 3]);
    }
}
