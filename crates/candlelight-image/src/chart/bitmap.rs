//! plotters on pixels, with the font that is bundled.

use crate::heatmap::mix;
use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// A picture that plotters draws on.
pub(super) struct Bitmap<'a>(pub(super) &'a mut RgbImage);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Bitmap<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
        if let Some(pixel) = place.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y)) {
            let (red, green, blue) = color.rgb;
            *pixel = mix(*pixel, Rgb([red, green, blue]), color.alpha);
        }
        Ok(())
    }

    /// Every pixel by its distance from the path: plotters' own polygons are rounded to pixels, and short dashes lose their
    /// width.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<(f64, f64)> = path.into_iter().map(|(x, y)| (f64::from(x), f64::from(y))).collect();
        let half = f64::from(style.stroke_width()) / 2.0;
        let mut ink: BTreeMap<BackendCoord, f64> = BTreeMap::new();
        for (at, share) in points.windows(2).flat_map(|pair| covered([pair[0], pair[1]], half)) {
            let most = ink.entry(at).or_default();
            *most = most.max(share);
        }
        ink.into_iter().try_for_each(|(at, share)| self.draw_pixel(at, style.color().mix(share)))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let font = Font::of(style);
        let (width, height) = font.size(text);
        let left = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Right => -width,
            HPos::Center => -width / 2,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        for (x, y, ink) in font.ink(text) {
            let (x, y) = style.transform().transform(x + left, y + top);
            self.draw_pixel((at.0 + x, at.1 + y), style.color().mix(ink))?;
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = Font::of(style).size(text);
        Ok((width as u32, height as u32))
    }
}

/// The pixels that a line from one point to another covers, `half` to both sides, and how much of each.
fn covered([from, to]: [(f64, f64); 2], half: f64) -> Vec<(BackendCoord, f64)> {
    let way = (to.0 - from.0, to.1 - from.1);
    let length = (way.0 * way.0 + way.1 * way.1).max(f64::MIN_POSITIVE);
    let distance = |x: f64, y: f64| {
        let along = ((x - from.0) * way.0 + (y - from.1) * way.1) / length;
        let along = along.clamp(0.0, 1.0);
        (x - from.0 - along * way.0).hypot(y - from.1 - along * way.1)
    };
    let range = |a: f64, b: f64| (a.min(b) - half - 1.0) as i32..=(a.max(b) + half + 1.0) as i32;
    let places = range(from.1, to.1).flat_map(|y| range(from.0, to.0).map(move |x| (x, y)));
    let shares = places.map(|(x, y)| ((x, y), half + 0.5 - distance(f64::from(x), f64::from(y))));
    shares.filter(|(_, share)| *share > 0.0).map(|(at, share)| (at, share.min(1.0))).collect()
}

/// A size and a weight of the bundled font.
#[derive(Clone, Copy)]
struct Font {
    height: RasterHeight,
    weight: FontWeight,
}

impl Font {
    /// The size that is next to what `style` asks for.
    fn of(style: &impl BackendTextStyle) -> Self {
        let height = match style.size() {
            size if size < 18.0 => RasterHeight::Size16,
            size if size < 22.0 => RasterHeight::Size20,
            size if size < 28.0 => RasterHeight::Size24,
            _ => RasterHeight::Size32,
        };
        let weight = match style.style() {
            FontStyle::Bold => FontWeight::Bold,
            _ => FontWeight::Regular,
        };
        Self { height, weight }
    }

    /// Width and height of a line.
    fn size(self, text: &str) -> (i32, i32) {
        let advance = get_raster_width(self.weight, self.height);
        ((advance * text.chars().count()) as i32, self.height.val() as i32)
    }

    /// The pixels of a line that have ink, and how much.
    fn ink(self, text: &str) -> impl Iterator<Item = (i32, i32, f64)> {
        let advance = get_raster_width(self.weight, self.height);
        let raster = move |char| get_raster(char, self.weight, self.height);
        let glyphs = text.chars().enumerate();
        glyphs.filter_map(move |(k, char)| Some((k, raster(char).or_else(|| raster('?'))?))).flat_map(
            move |(k, glyph)| {
                let row = |(y, row): (usize, &'static [u8])| {
                    let inked = row.iter().enumerate().filter(|(_, ink)| **ink > 0);
                    let places = inked
                        .map(move |(x, ink)| ((k * advance + x) as i32, y as i32, f64::from(*ink) / 255.0));
                    places.collect::<Vec<_>>()
                };
                glyph.rows().enumerate().flat_map(row).collect::<Vec<_>>()
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_wide_as_it_should_be_at_every_angle() {
        for to in [(40.0, 0.0), (0.0, 40.0), (30.0, 17.0), (-9.0, 25.0)] {
            let length: f64 = f64::hypot(to.0, to.1);
            let ink: f64 =
                covered([(50.0, 50.0), (50.0 + to.0, 50.0 + to.1)], 2.0).iter().map(|it| it.1).sum();
            // A strip of its length and width, and a half disc at both ends.
            let area = length * 4.0 + std::f64::consts::PI * 4.0;
            assert!((ink / area - 1.0).abs() < 0.03, "{to:?}: {ink} and {area}");
        }
    }
}
