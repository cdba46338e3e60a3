//! Small things that belong to no class.

use super::canvas::{Canvas, coverage};
use super::dice::Dice;
use super::geometry::Point;
use super::paint::{Clouds, Rgb};

/// Lays two to six distractors on the canvas.
pub(super) fn scatter(canvas: &mut Canvas, dice: &mut Dice) {
    for _ in 0..2 + dice.below(5) {
        let (centre, colour) = (Point::anywhere(dice), Rgb::random(dice));
        match dice.below(4) {
            0 => dot(canvas, dice, centre, colour),
            1 => line(canvas, dice, centre, colour),
            2 => arc(canvas, dice, centre, colour),
            _ => patch(canvas, dice, centre, colour),
        }
    }
}

/// A spot of at most 2.5 pixels radius: far smaller than the smallest circle.
fn dot(canvas: &mut Canvas, dice: &mut Dice, centre: Point, colour: Rgb) {
    let radius = dice.between(0.8, 2.5);
    canvas.lay(centre, radius + 1.0, |p, _| (colour, coverage((p - centre).length() - radius)));
}

/// A line, far thinner than the thinnest bar.
fn line(canvas: &mut Canvas, dice: &mut Dice, centre: Point, colour: Rgb) {
    let (along, half) = (dice.direction(), dice.between(3.0, 10.0));
    let width = dice.between(0.4, 0.9);
    canvas.lay(centre, half + 1.0, |p, _| {
        let p = p - centre;
        let distance = (along.dot(p).abs() - half).max(along.cross(p).abs() - width);
        (colour, coverage(distance))
    });
}

/// Half of a thin ring.
fn arc(canvas: &mut Canvas, dice: &mut Dice, centre: Point, colour: Rgb) {
    let (side, radius) = (dice.direction(), dice.between(3.0, 6.5));
    let width = dice.between(0.4, 0.8);
    canvas.lay(centre, radius + 2.0, |p, _| {
        let p = p - centre;
        (colour, coverage(((p.length() - radius).abs() - width).max(side.dot(p))))
    });
}

/// A little cloud of fine noise, without an outline.
fn patch(canvas: &mut Canvas, dice: &mut Dice, centre: Point, colour: Rgb) {
    let (clouds, radius) = (Clouds::random(dice, 1.0, 2.0), dice.between(3.0, 6.0));
    canvas.lay(centre, radius, |p, _| {
        let fade = 1.0 - (p - centre).length() * (1.0 / radius);
        (colour, clouds.at(p) * (2.0 * fade).clamp(0.0, 1.0))
    });
}
