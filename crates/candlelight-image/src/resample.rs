//! Pillow's 8-bit resampling, bit for bit.
//!
//! Image processors of the Python world resize with Pillow: antialiased, separable, horizontal pass first, each
//! pass rounded to 8 bits, weights in fixed point with 22 fractional bits. General resize libraries round in other
//! places and differ by a level here and there, which a model then sees; so this is Pillow's own arithmetic.
//!
//! The order of the passes is that of Pillow up to 12. Pillow 13 takes the vertical pass first for some tall
//! pictures, where its levels differ from its own earlier ones, and so from these.
//! Source: `src/libImaging/Resample.c` and `Geometry.c` of <https://github.com/python-pillow/Pillow>.

use std::f64::consts::PI;

use image::{Rgb, RgbImage};

/// A resampling filter, named as in Pillow; `resample` of a preprocessor configuration is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// The nearest pixel (0).
    Nearest,
    /// Windowed sinc over three pixels (1).
    Lanczos,
    /// A triangle (2).
    Bilinear,
    /// A cubic with `a` = -0.5 (3).
    Bicubic,
    /// A plain average (4).
    Box,
    /// A Hamming window (5).
    Hamming,
}

impl Filter {
    /// The filter of a Pillow number, 0 to 5.
    pub fn from_pillow(number: u64) -> Option<Self> {
        use Filter::*;
        [Nearest, Lanczos, Bilinear, Bicubic, Box, Hamming].get(usize::try_from(number).ok()?).copied()
    }

    /// How far the filter reaches, in source pixels when enlarging.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Hamming => hamming(x.abs()),
            Self::Bicubic => bicubic(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn hamming(x: f64) -> f64 {
    match x {
        0.0 => 1.0,
        x if x >= 1.0 => 0.0,
        x => (x * PI).sin() / (x * PI) * (0.54 + 0.46 * (x * PI).cos()),
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// Resizes to `width` x `height` exactly as `Image.resize((width, height), filter)` of Pillow does.
///
/// Both sides must be at least 1 in the source and in the target; a side that keeps its length is not filtered.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    if filter == Filter::Nearest {
        return nearest(image, width, height);
    }
    let wide = if image.width() == width { image.clone() } else { across(image, width, filter) };
    if wide.height() == height { wide } else { down(&wide, height, filter) }
}

/// Fractional bits of the fixed-point weights: 32, less 8 for the level and 2 for overshoot and sign.
const PRECISION: u32 = 32 - 8 - 2;

/// The source pixels that one target pixel is made of: the first one's index, and the weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(source: usize, target: usize, filter: Filter) -> Vec<Taps> {
    let scale = source as f64 / target as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let one = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(source);
        let weight = |x| filter.weight((x as f64 - center + 0.5) * (1.0 / stretch));
        Taps { first, weights: fixed_point((first..end).map(weight).collect()) }
    };
    (0..target).map(one).collect()
}

fn fixed_point(mut weights: Vec<f64>) -> Vec<i32> {
    // Pillow adds in index order and divides one by one: so do we, for the last bit.
    let sum: f64 = weights.iter().sum();
    if sum != 0.0 {
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    let round = |w: f64| (w * f64::from(1 << PRECISION) + if w < 0.0 { -0.5 } else { 0.5 }) as i32;
    weights.into_iter().map(round).collect()
}

/// One target pixel from `weights.len()` source pixels that lie `step` samples apart.
fn blend(samples: &[u8], start: usize, step: usize, weights: &[i32]) -> [u8; 3] {
    let mut sums = [1_i32 << (PRECISION - 1); 3];
    for (index, weight) in weights.iter().enumerate() {
        let at = start + index * step;
        for (sum, sample) in sums.iter_mut().zip(&samples[at..at + 3]) {
            *sum += i32::from(*sample) * weight;
        }
    }
    sums.map(|sum| (sum >> PRECISION).clamp(0, 255) as u8)
}

fn across(image: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let taps = taps(image.width() as usize, width as usize, filter);
    let row = image.width() as usize * 3;
    RgbImage::from_fn(width, image.height(), |x, y| {
        let taps = &taps[x as usize];
        Rgb(blend(image.as_raw(), y as usize * row + taps.first * 3, 3, &taps.weights))
    })
}

fn down(image: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let taps = taps(image.height() as usize, height as usize, filter);
    let row = image.width() as usize * 3;
    RgbImage::from_fn(image.width(), height, |x, y| {
        let taps = &taps[y as usize];
        Rgb(blend(image.as_raw(), taps.first * row + x as usize * 3, row, &taps.weights))
    })
}

fn nearest(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let columns = nearest_indices(image.width(), width);
    let rows = nearest_indices(image.height(), height);
    RgbImage::from_fn(width, height, |x, y| *image.get_pixel(columns[x as usize], rows[y as usize]))
}

/// Pillow walks by adding the scale again and again; the same sum in the same order, for the last bit.
fn nearest_indices(source: u32, target: u32) -> Vec<u32> {
    let scale = f64::from(source) / f64::from(target);
    let walk = std::iter::successors(Some(scale * 0.5), |at| Some(at + scale));
    walk.take(target as usize).map(|at| (at as u32).min(source - 1)).collect()
}
