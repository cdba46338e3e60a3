//! Points, and the pose that carries a shape from its unit disc into the picture.

use std::ops::{Add, Mul, Sub};

use super::SIZE;
use super::dice::Dice;

/// A point or a direction in the plane, in pixels or in radii.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f32,
    pub y: f32,
}

impl Point {
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// The centre of the pixel in row `row` and column `column`.
    pub fn pixel(row: usize, column: usize) -> Self {
        // By way of i32, as its conversion is the only one that every processor vectorises.
        Self::new(column as i32 as f32 + 0.5, row as i32 as f32 + 0.5)
    }

    /// A point anywhere in the picture.
    pub fn anywhere(dice: &mut Dice) -> Self {
        Self::new(dice.between(0.0, SIZE as f32), dice.between(0.0, SIZE as f32))
    }

    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    /// The component of `other` on this direction turned by a quarter.
    pub fn cross(self, other: Self) -> f32 {
        self.x * other.y - self.y * other.x
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }
}

impl Add for Point {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;

    fn mul(self, scale: f32) -> Self {
        Self::new(self.x * scale, self.y * scale)
    }
}

/// Where an object lies: its enclosing circle, and the direction of its own x axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    pub centre: Point,
    /// Of the enclosing circle, in pixels.
    pub radius: f32,
    /// A unit vector.
    pub axis: Point,
}

impl Pose {
    /// A pose anywhere in the picture, with its whole enclosing circle and a pixel of margin inside.
    pub fn inside(dice: &mut Dice, smallest: f32, largest: f32) -> Self {
        let radius = dice.between(smallest, largest);
        let (low, high) = (radius + 1.0, SIZE as f32 - radius - 1.0);
        let centre = Point::new(dice.between(low, high), dice.between(low, high));
        Self { centre, radius, axis: dice.direction() }
    }

    /// Where the picture's point `p` lies in the object's own frame, whose unit is the radius.
    pub fn local(&self, p: Point) -> Point {
        let p = (p - self.centre) * (1.0 / self.radius);
        Point::new(self.axis.dot(p), self.axis.cross(p))
    }

    /// Whether the enclosing circles of two poses keep `gap` pixels apart.
    pub fn is_clear_of(&self, other: &Self, gap: f32) -> bool {
        (self.centre - other.centre).length() >= self.radius + other.radius + gap
    }
}
