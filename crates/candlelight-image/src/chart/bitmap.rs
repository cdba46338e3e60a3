//! plotters on pixels, with the font that is bundled.

use crate::heatmap::mix;
use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};
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
