//! Colours for numbers: even steps of a map look like even steps of the value.

use image::Rgb;

/// A colour map; diverging ones have their light middle at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorMap {
    /// Diverging: blue below zero, white at zero, red above. Safe for red-green colour blindness.
    BlueRed,
    /// Diverging: purple below zero, white at zero, green above.
    PurpleGreen,
    /// Sequential: black, purple, orange, pale yellow.
    Inferno,
    /// Sequential: black, purple, pink, cream.
    Magma,
    /// Sequential: purple, teal, yellow.
    Viridis,
    /// Sequential: black to white, in equal steps of lightness.
    Grey,
}

/// What a colour map is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorMapKind {
    /// Signed values: the middle of the map is zero.
    Diverging,
    /// Values of one sign: the start of the map is the smallest.
    Sequential,
}

// The sequential maps are matplotlib's (CC0, by Nathaniel Smith, Stefan van der Walt and Eric Firing), at ten
// points each; between points, colours are mixed in OKLab. The diverging maps are made here: end points of equal
// lightness on both sides, and a straight walk in OKLab to white.
const INFERNO: [u32; 10] =
    [0x000004, 0x1b0c41, 0x4a0c6b, 0x781c6d, 0xa52c60, 0xcf4446, 0xed6925, 0xfb9b06, 0xf7d13d, 0xfcffa4];
const MAGMA: [u32; 10] =
    [0x000004, 0x180f3d, 0x440f76, 0x721f81, 0x9e2f7f, 0xcd4071, 0xf1605d, 0xfd9668, 0xfeca8d, 0xfcfdbf];
const VIRIDIS: [u32; 10] =
    [0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725];

/// Lightness, and the two opponent axes, of OKLab (<https://bottosson.github.io/posts/oklab/>).
type Lab = [f64; 3];

const WHITE: Lab = [0.985, 0.0, 0.0];
/// Lightness at both ends of a diverging map.
const END_LIGHTNESS: f64 = 0.44;

impl ColorMap {
    /// Whether the map is made for signed values.
    pub fn kind(self) -> ColorMapKind {
        match self {
            Self::BlueRed | Self::PurpleGreen => ColorMapKind::Diverging,
            _ => ColorMapKind::Sequential,
        }
    }

    /// The colour at `position`, 0 (the start) to 1 (the end); 0.5 is the white middle of a diverging map.
    ///
    /// Positions outside are moved to the nearest end, and NaN to the start: any number gives a colour.
    pub fn at(self, position: f64) -> Rgb<u8> {
        let position = if position.is_nan() { 0.0 } else { position.clamp(0.0, 1.0) };
        to_rgb(match self {
            Self::BlueRed => diverging(position, polar(0.165, 262.0), polar(0.175, 25.0)),
            Self::PurpleGreen => diverging(position, polar(0.170, 312.0), polar(0.115, 150.0)),
            Self::Inferno => along(&INFERNO, position),
            Self::Magma => along(&MAGMA, position),
            Self::Viridis => along(&VIRIDIS, position),
            Self::Grey => [position, 0.0, 0.0],
        })
    }
}

/// An end point from its chroma and its hue in degrees.
fn polar(chroma: f64, degrees: f64) -> Lab {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [END_LIGHTNESS, chroma * cos, chroma * sin]
}

fn diverging(position: f64, below: Lab, above: Lab) -> Lab {
    let end = if position < 0.5 { below } else { above };
    let far = (position - 0.5).abs() * 2.0;
    let lightness = WHITE[0] + (end[0] - WHITE[0]) * far;
    // Colour comes in a little before darkness does, so that small values are told apart by their sign.
    let colour = far.powf(0.85);
    [lightness, end[1] * colour, end[2] * colour]
}

fn along(points: &[u32], position: f64) -> Lab {
    let at = position * (points.len() - 1) as f64;
    let index = (at as usize).min(points.len() - 2);
    let (from, to) = (from_hex(points[index]), from_hex(points[index + 1]));
    std::array::from_fn(|axis| from[axis] + (to[axis] - from[axis]) * (at - index as f64))
}

fn from_hex(hex: u32) -> Lab {
    let channel = |shift: u32| linear(f64::from((hex >> shift) & 255) / 255.0);
    let (r, g, b) = (channel(16), channel(8), channel(0));
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    [
        0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
    ]
}

fn to_rgb([lightness, a, b]: Lab) -> Rgb<u8> {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    Rgb([
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
    .map(|v| (display(v) * 255.0).round().clamp(0.0, 255.0) as u8))
}

/// sRGB's transfer function, from display to light.
fn linear(v: f64) -> f64 {
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// sRGB's transfer function, from light to display.
fn display(v: f64) -> f64 {
    if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ColorMap; 6] = [
        ColorMap::BlueRed,
        ColorMap::PurpleGreen,
        ColorMap::Inferno,
        ColorMap::Magma,
        ColorMap::Viridis,
        ColorMap::Grey,
    ];

    fn lightness(map: ColorMap, position: f64) -> f64 {
        let [r, g, b] = map.at(position).0.map(u32::from);
        from_hex((r << 16) | (g << 8) | b)[0]
    }

    #[test]
    fn sequential_maps_get_lighter_all_the_way() {
        for map in ALL.into_iter().filter(|m| m.kind() == ColorMapKind::Sequential) {
            let steps: Vec<f64> = (0..=16).map(|i| lightness(map, f64::from(i) / 16.0)).collect();
            assert!(steps.windows(2).all(|w| w[1] > w[0]), "{map:?}: {steps:?}");
        }
    }

    #[test]
    fn diverging_maps_are_white_at_zero_and_equally_dark_on_both_sides() {
        for map in ALL.into_iter().filter(|m| m.kind() == ColorMapKind::Diverging) {
            assert!(map.at(0.5).0.iter().all(|v| *v >= 248), "{map:?}");
            for step in 0..=32 {
                let far = f64::from(step) / 64.0;
                let (below, above) = (lightness(map, 0.5 - far), lightness(map, 0.5 + far));
                assert!((below - above).abs() < 0.02, "{map:?} at {far}: {below} and {above}");
            }
        }
    }

    #[test]
    fn any_number_has_a_colour() {
        for map in ALL {
            assert_eq!(map.at(f64::NAN), map.at(0.0));
            assert_eq!(map.at(f64::INFINITY), map.at(1.0));
            assert_eq!(map.at(-3.0), map.at(0.0));
        }
    }

    #[test]
    fn stored_points_come_back_as_they_are() {
        assert_eq!(ColorMap::Viridis.at(0.0).0, [0x44, 0x01, 0x54]);
        assert_eq!(ColorMap::Inferno.at(1.0).0, [0xfc, 0xff, 0xa4]);
        assert_eq!(ColorMap::Magma.at(5.0 / 9.0).0, [0xcd, 0x40, 0x71]);
    }
}
