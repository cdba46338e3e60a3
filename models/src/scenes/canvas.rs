//! The picture while it is painted: floats, until it is developed to bytes.

use std::ops::RangeInclusive;

use super::SIZE;
use super::dice::{Dice, hash, round};
use super::geometry::{Point, Pose};
use super::paint::{Paint, Rgb};
use super::shape::Shape;

/// `SIZE` by `SIZE` colours, row by row.
#[derive(Debug, Clone)]
pub(super) struct Canvas(Vec<[f32; 3]>);

impl Canvas {
    /// A canvas covered with `ground`.
    pub fn covered(ground: &Paint) -> Self {
        let mut colours = vec![[0.0; 3]; SIZE * SIZE];
        for (row, colours) in colours.chunks_exact_mut(SIZE).enumerate() {
            ground.cover(row, colours);
        }
        Self(colours)
    }

    /// Lays what `stroke` says, a colour and its opacity, over every pixel within `reach` of `centre`.
    #[inline]
    pub fn lay(&mut self, centre: Point, reach: f32, mut stroke: impl FnMut(Point, usize) -> (Rgb, f32)) {
        for row in near(centre.y, reach) {
            for column in near(centre.x, reach) {
                let index = row * SIZE + column;
                let (colour, opacity) = stroke(Point::pixel(row, column), index);
                if opacity > 0.0 {
                    self.0[index] = Rgb(self.0[index]).mix(colour, opacity).0;
                }
            }
        }
    }

    /// Paints an object, and returns its mask: the pixels that it covers at least by half.
    pub fn draw(&mut self, shape: Shape, pose: &Pose, paint: &Paint) -> Vec<bool> {
        let mut mask = vec![false; SIZE * SIZE];
        self.lay(pose.centre, pose.radius + 1.0, |p, index| {
            let distance = shape.distance(pose.local(p)) * pose.radius;
            mask[index] = distance <= 0.0;
            let opacity = coverage(distance);
            if opacity > 0.0 { (paint.at(p), opacity) } else { (Rgb([0.0; 3]), 0.0) }
        });
        mask
    }

    /// The finished picture: RGB bytes, row by row, with the grain of a camera.
    ///
    /// The grain is white and uniform, of up to `strength` levels.
    pub fn develop(&self, dice: &mut Dice) -> Vec<u8> {
        let (seed, strength) = (dice.bits(), dice.between(0.5, 6.0));
        let mut pixels = vec![0; SIZE * SIZE * 3];
        for (index, (byte, &level)) in (0..).zip(pixels.iter_mut().zip(self.0.as_flattened())) {
            let noise = (hash(seed ^ index) >> 24) as f32 - 127.5;
            let level = level * 255.0 + noise * (strength / 127.5);
            *byte = round(level.clamp(0.0, 255.0)) as u8;
        }
        pixels
    }
}

/// How much of a pixel lies inside an outline that passes its centre at `distance` pixels.
pub(super) fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// The rows or columns whose pixels may lie within `reach` of `centre`, cut to the picture.
fn near(centre: f32, reach: f32) -> RangeInclusive<usize> {
    // A cast from float to integer saturates: what lies beyond the upper left edge starts at 0.
    (centre - reach) as usize..=((centre + reach) as usize).min(SIZE - 1)
}
