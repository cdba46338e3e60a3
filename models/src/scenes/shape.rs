//! The ten classes, each a signed distance in its unit disc.

use super::geometry::Point;

/// What a scene can show: the classes of the bundled demo models, in the order of their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A filled disc.
    Circle,
    /// A filled square.
    Square,
    /// A filled equilateral triangle.
    Triangle,
    /// A filled star with five points.
    Star,
    /// A plus with four equal arms.
    Cross,
    /// A heart: a square with a half disc on two of its sides.
    Heart,
    /// An arrow: a shaft and a triangular head.
    Arrow,
    /// A moon: a disc with a smaller disc bitten out of it.
    Crescent,
    /// The letter T.
    Tee,
    /// A rectangle three times as long as wide.
    Bar,
}

impl Shape {
    /// All shapes, in the order of their labels.
    pub const ALL: [Self; 10] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Star,
        Self::Cross,
        Self::Heart,
        Self::Arrow,
        Self::Crescent,
        Self::Tee,
        Self::Bar,
    ];

    /// The shape's label, from 0 to 9: its place in [`Shape::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The shape's name, a lower-case noun.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Heart => "heart",
            Self::Arrow => "arrow",
            Self::Crescent => "crescent",
            Self::Tee => "tee",
            Self::Bar => "bar",
        }
    }

    /// The distance from `p` to the outline, negative inside; the outline lies in the unit disc.
    ///
    /// Exact near the edges, a lower bound elsewhere (a corner is continued as a mitre): enough to smooth the
    /// outline over one pixel (<https://iquilezles.org/articles/distfunctions2d/>).
    pub(super) fn distance(self, p: Point) -> f32 {
        match self {
            Self::Circle => disc(p, Point::new(0.0, 0.0), 0.9),
            Self::Square => block(p, 0.0, 0.0, 0.707, 0.707),
            Self::Triangle => triangle(p),
            Self::Star => star(p),
            Self::Cross => block(p, 0.0, 0.0, 0.95, 0.3).min(block(p, 0.0, 0.0, 0.3, 0.95)),
            Self::Heart => heart(p),
            Self::Arrow => arrow(p),
            Self::Crescent => disc(p, Point::new(0.0, 0.0), 1.0).max(-disc(p, Point::new(0.46, 0.0), 0.76)),
            Self::Tee => block(p, 0.0, 0.46, 0.72, 0.23).min(block(p, 0.0, -0.36, 0.22, 0.6)),
            Self::Bar => block(p, 0.0, 0.0, 0.948, 0.316),
        }
    }
}

fn disc(p: Point, centre: Point, radius: f32) -> f32 {
    (p - centre).length() - radius
}

/// The rectangle around `(x, y)` that reaches `half_width` and `half_height` to each side.
fn block(p: Point, x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    ((p.x - x).abs() - half_width).max((p.y - y).abs() - half_height)
}

/// Equilateral, with a corner at `(0, 1)`: three sides at distance one half.
fn triangle(p: Point) -> f32 {
    const HALF_ROOT_3: f32 = 0.866_025_4;
    (p.x.abs() * HALF_ROOT_3 + p.y * 0.5).max(-p.y) - 0.5
}

/// Folds the five points onto the one at `(0, 1)`, whose edge runs to an inner corner at radius 0.45.
fn star(p: Point) -> f32 {
    /// Normals of the two mirrors, used in this order.
    const MIRRORS: [Point; 2] = [Point::new(0.809_017, -0.587_785_25), Point::new(-0.809_017, -0.587_785_25)];
    const INNER: f32 = 0.45;
    let mut p = Point::new(p.x.abs(), p.y);
    for mirror in MIRRORS {
        p = p - mirror * (2.0 * mirror.dot(p).max(0.0));
    }
    let (tip, corner) = (Point::new(0.0, 1.0), Point::new(0.587_785_25, 0.809_017) * INNER);
    let edge = corner - tip;
    edge.cross(Point::new(p.x.abs(), p.y) - tip) * (1.0 / edge.length())
}

/// Stands on its tip at `(-√½, -√½)`: the square from there to `(√2 - 1, √2 - 1)`, a disc on each far side.
fn heart(p: Point) -> f32 {
    const HALF: f32 = 0.560_66;
    const CENTRE: f32 = -0.146_447;
    const SIDE: f32 = 0.414_214;
    let square = block(p, CENTRE, CENTRE, HALF, HALF);
    let lobes = disc(p, Point::new(CENTRE, SIDE), HALF).min(disc(p, Point::new(SIDE, CENTRE), HALF));
    square.min(lobes)
}

/// Points to `(1, 0)`.
fn arrow(p: Point) -> f32 {
    /// Normal of the head's upper edge, from `(1, 0)` to `(0, 0.79)`.
    const EDGE: Point = Point::new(0.619_9, 0.784_7);
    let head = (EDGE.dot(Point::new(p.x, p.y.abs())) - EDGE.x).max(-p.x);
    head.min(block(p, -0.42, 0.0, 0.52, 0.23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_lies_in_its_unit_disc_and_nearly_fills_it() {
        for shape in Shape::ALL {
            let reach = grid().filter(|&p| shape.distance(p) <= 0.0).map(Point::length).fold(0.0, f32::max);
            assert!((0.88..=1.001).contains(&reach), "{} reaches {reach}", shape.name());
        }
    }

    #[test]
    fn every_shape_covers_a_fair_part_of_its_disc() {
        for shape in Shape::ALL {
            let covered = grid().filter(|&p| shape.distance(p) <= 0.0).count() as f32;
            let part = covered / grid().filter(|p| p.length() <= 1.0).count() as f32;
            assert!((0.3..0.85).contains(&part), "{} covers {part}", shape.name());
        }
    }

    #[test]
    fn a_distance_never_changes_faster_than_the_point_moves() {
        let step = Point::new(0.006, 0.008);
        for shape in Shape::ALL {
            for p in grid() {
                let change = (shape.distance(p + step) - shape.distance(p)).abs();
                assert!(change <= 0.01 * 1.001 + 1e-6, "{} at {p:?}: {change}", shape.name());
            }
        }
    }

    #[test]
    fn labels_are_places_in_the_list_and_names_differ() {
        for (index, shape) in Shape::ALL.into_iter().enumerate() {
            assert_eq!(shape.index(), index);
            assert!(Shape::ALL.iter().filter(|other| other.name() == shape.name()).count() == 1);
        }
    }

    /// Points from -1.2 to 1.2, a hundredth of a radius apart.
    fn grid() -> impl Iterator<Item = Point> {
        let ticks = || (-120..=120).map(|i| i as f32 / 100.0);
        ticks().flat_map(move |y| ticks().map(move |x| Point::new(x, y)))
    }
}
