//! Lines through points, as a picture.

use candlelight::image::RgbImage;

/// Pixels across and down.
pub const SIZE: u32 = 320;
/// Pixels kept free around the lines.
const MARGIN: f64 = 12.0;

/// A line through points (x, y), and its colour.
pub type Line = (Vec<(f64, f64)>, [u8; 3]);

/// Draws the lines over one another, the box as large as the points of all.
pub fn plot(lines: &[Line]) -> RgbImage {
    let mut picture = RgbImage::from_pixel(SIZE, SIZE, [250, 250, 250].into());
    let points = || lines.iter().flat_map(|line| &line.0);
    let (x, y) = (range(points().map(|point| point.0)), range(points().map(|point| point.1)));
    let place = |(low, high): (f64, f64), value: f64| {
        MARGIN + (value - low) / (high - low) * (f64::from(SIZE) - 2.0 * MARGIN)
    };
    for (points, colour) in lines {
        for pair in points.windows(2) {
            let at = |point: (f64, f64)| (place(x, point.0), f64::from(SIZE) - place(y, point.1));
            stroke(&mut picture, at(pair[0]), at(pair[1]), *colour);
        }
    }
    picture
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// A line two pixels wide.
fn stroke(picture: &mut RgbImage, from: (f64, f64), to: (f64, f64), colour: [u8; 3]) {
    let dots = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
    for dot in 0..=dots as u32 {
        let share = f64::from(dot) / dots;
        let (x, y) = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (x, y) = (x as u32 + dx, y as u32 + dy);
            if x < SIZE && y < SIZE {
                picture.put_pixel(x, y, colour.into());
            }
        }
    }
}
