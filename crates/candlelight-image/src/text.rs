//! Anti-aliased text from a bundled bitmap font (Noto Sans Mono).

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::heatmap::mix;

/// A size, a weight and a colour.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    height: RasterHeight,
    weight: FontWeight,
    color: Rgb<u8>,
}

/// What stands above everything.
pub(crate) const HEADING: Style =
    Style { height: RasterHeight::Size24, weight: FontWeight::Bold, color: Rgb([28, 30, 34]) };
/// What stands above a panel.
pub(crate) const TITLE: Style =
    Style { height: RasterHeight::Size20, weight: FontWeight::Bold, color: Rgb([28, 30, 34]) };
/// The numbers at a colour bar.
pub(crate) const LABEL: Style =
    Style { height: RasterHeight::Size16, weight: FontWeight::Regular, color: Rgb([60, 64, 72]) };
/// The lines under a panel.
pub(crate) const CAPTION: Style =
    Style { height: RasterHeight::Size16, weight: FontWeight::Regular, color: Rgb([110, 115, 125]) };

impl Style {
    /// Pixels from the top of a line to the top of the next.
    pub(crate) fn line(self) -> u32 {
        self.height.val() as u32 + 3
    }

    fn advance(self) -> u32 {
        get_raster_width(self.weight, self.height) as u32
    }

    /// Pixels across.
    pub(crate) fn width(self, text: &str) -> u32 {
        self.advance() * text.chars().count() as u32
    }

    /// Writes one line with its top left corner at (x, y); what falls off the canvas is dropped.
    pub(crate) fn write(self, canvas: &mut RgbImage, x: u32, y: u32, text: &str) {
        for (index, char) in text.chars().enumerate() {
            self.stamp(canvas, x + index as u32 * self.advance(), y, char);
        }
    }

    fn stamp(self, canvas: &mut RgbImage, x: u32, y: u32, char: char) {
        let raster = |char| get_raster(char, self.weight, self.height);
        let Some(glyph) = raster(char).or_else(|| raster('?')) else { return };
        for (row, line) in glyph.rows().enumerate() {
            for (column, ink) in line.iter().enumerate() {
                if let Some(pixel) = canvas.get_pixel_mut_checked(x + column as u32, y + row as u32) {
                    *pixel = mix(*pixel, self.color, f64::from(*ink) / 255.0);
                }
            }
        }
    }

    /// Breaks a text at spaces into lines of at most `width` pixels; a word that is longer is cut.
    pub(crate) fn wrap(self, text: &str, width: u32) -> Vec<String> {
        let most = (width / self.advance()).max(1) as usize;
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace().flat_map(|word| pieces(word, most)) {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        lines
    }
}

fn pieces(word: &str, most: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(most).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_lose_nothing(text in "[a-z ]{0,80}", width in 1u32..400) {
            let lines = CAPTION.wrap(&text, width);
            let fits = |line: &String| CAPTION.width(line) <= width.max(CAPTION.advance());
            prop_assert!(lines.iter().all(fits));
            let squeezed = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeezed(&lines.concat()), squeezed(&text));
        }

        #[test]
        fn any_text_anywhere_can_be_written(text in "\\PC{0,12}", x in 0u32..60, y in 0u32..60) {
            TITLE.write(&mut RgbImage::new(40, 40), x, y, &text);
        }
    }
}
