//! Where everything stands on a sheet. All lengths are in pixels.

use image::{Rgb, RgbImage, imageops};

use crate::scale::{Scale, number};
use crate::text::{CAPTION, HEADING, LABEL, Style, TITLE};

/// What stands in one place of the sheet.
pub(crate) struct Cell {
    pub(crate) title: String,
    pub(crate) picture: RgbImage,
    pub(crate) bar: Option<Bar>,
    pub(crate) lines: Vec<String>,
}

/// A colour bar, [`cell_width`] x [`BAR`] pixels.
pub(crate) struct Bar {
    pub(crate) colors: RgbImage,
    pub(crate) scale: Scale,
}

const PAPER: Rgb<u8> = Rgb([252, 252, 250]);
const HAIRLINE: Rgb<u8> = Rgb([205, 208, 212]);
const MARGIN: u32 = 24;
const GUTTER: u32 = 28;
/// Between a picture and what stands above or under it.
const GAP: u32 = 8;
/// Height of a colour bar.
pub(crate) const BAR: u32 = 10;
/// The least width of a cell, so that captions have room under a narrow picture.
const NARROWEST: u32 = 224;

/// The width of a cell that shows `picture`.
pub(crate) fn cell_width(picture: &RgbImage) -> u32 {
    picture.width().max(NARROWEST)
}

/// Draws cells in rows of at most `columns`.
pub(crate) fn sheet(heading: &str, cells: &[Cell], columns: usize) -> RgbImage {
    let across = columns.min(cells.len()) as u32;
    let cell = cells.iter().map(|c| cell_width(&c.picture)).max().unwrap_or(NARROWEST);
    let rows: Vec<&[Cell]> = cells.chunks(columns).collect();
    let heights: Vec<u32> = rows.iter().map(|row| row_height(row, cell)).collect();
    let width = 2 * MARGIN + across * cell + (across - 1) * GUTTER;
    let headed = HEADING.wrap(heading, width - 2 * MARGIN);
    let top = MARGIN + if headed.is_empty() { 0 } else { headed.len() as u32 * HEADING.line() + GAP };
    let height = top + heights.iter().sum::<u32>() + (rows.len() as u32 - 1) * GUTTER + MARGIN;
    let mut canvas = RgbImage::from_pixel(width, height, PAPER);
    lines(&mut canvas, HEADING, MARGIN, MARGIN, &headed);
    let mut y = top;
    for (row, height) in rows.iter().zip(&heights) {
        draw_row(&mut canvas, y, row, cell);
        y += height + GUTTER;
    }
    canvas
}

fn row_height(row: &[Cell], width: u32) -> u32 {
    let under = row.iter().map(|cell| cell.under(width)).max().unwrap_or(0);
    title_height(row, width) + picture_height(row) + under
}

fn title_height(row: &[Cell], width: u32) -> u32 {
    let lines = row.iter().map(|cell| TITLE.wrap(&cell.title, width).len()).max().unwrap_or(0) as u32;
    if lines == 0 { 0 } else { lines * TITLE.line() + GAP }
}

fn picture_height(row: &[Cell]) -> u32 {
    row.iter().map(|cell| cell.picture.height()).max().unwrap_or(0)
}

fn draw_row(canvas: &mut RgbImage, top: u32, row: &[Cell], width: u32) {
    let picture = top + title_height(row, width);
    let under = picture + picture_height(row);
    for (column, cell) in row.iter().enumerate() {
        let x = MARGIN + column as u32 * (width + GUTTER);
        lines(canvas, TITLE, x, top, &TITLE.wrap(&cell.title, width));
        cell.draw(canvas, x, picture, under, width);
    }
}

impl Cell {
    /// Height of what stands under the picture.
    fn under(&self, width: u32) -> u32 {
        let bar = if self.bar.is_some() { GAP + BAR + GAP / 2 + LABEL.line() } else { 0 };
        let lines = self.wrapped(width).len() as u32;
        bar + if lines == 0 { 0 } else { GAP + lines * CAPTION.line() }
    }

    fn wrapped(&self, width: u32) -> Vec<String> {
        self.lines.iter().flat_map(|line| CAPTION.wrap(line, width)).collect()
    }

    fn draw(&self, canvas: &mut RgbImage, x: u32, picture: u32, under: u32, width: u32) {
        framed(canvas, x, picture, &self.picture);
        let bar = self.bar.as_ref().map_or(under, |bar| bar.draw(canvas, x, under + GAP));
        lines(canvas, CAPTION, x, bar + GAP, &self.wrapped(width));
    }
}

fn lines(canvas: &mut RgbImage, style: Style, x: u32, y: u32, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        style.write(canvas, x, y + index as u32 * style.line(), line);
    }
}

/// A picture with a hairline around it, on the paper.
fn framed(canvas: &mut RgbImage, x: u32, y: u32, picture: &RgbImage) {
    let frame = RgbImage::from_pixel(picture.width() + 2, picture.height() + 2, HAIRLINE);
    imageops::replace(canvas, &frame, i64::from(x) - 1, i64::from(y) - 1);
    imageops::replace(canvas, picture, x.into(), y.into());
}

impl Bar {
    /// Draws the colours with their numbers; gives the y under both.
    fn draw(&self, canvas: &mut RgbImage, x: u32, y: u32) -> u32 {
        framed(canvas, x, y, &self.colors);
        let below = y + BAR + GAP / 2;
        for (at, text) in self.labels() {
            LABEL.write(canvas, x + at, below, &text);
        }
        below + LABEL.line()
    }

    /// The numbers and where they start: both ends, and zero where it stands clear of them.
    fn labels(&self) -> Vec<(u32, String)> {
        let (width, Scale { lo, hi, .. }) = (self.colors.width(), &self.scale);
        let [low, high, zero] = [*lo, *hi, 0.0].map(number);
        if lo == hi {
            return vec![((width - LABEL.width(&low)) / 2, low)];
        }
        let last = width.saturating_sub(LABEL.width(&high));
        let middle = (f64::from(width) * (0.0 - lo) / (hi - lo)) as u32;
        let clear = middle > LABEL.width(&low) + 2 * GAP && middle + 2 * GAP < last;
        let mut labels = vec![(0, low), (last, high)];
        if clear {
            labels.push((middle - LABEL.width(&zero) / 2, zero));
        }
        labels
    }
}
