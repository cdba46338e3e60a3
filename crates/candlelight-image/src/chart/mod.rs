//! Curves with their intervals, as SVG or PNG.

mod bitmap;
mod draw;

use crate::error::{Error, Result};
use crate::heatmap::save;
use image::RgbImage;
use std::path::Path;

/// Pixels of a PNG for each unit of the sheet: enough for print.
const SCALE: u32 = 2;

/// Colours that people with any colour vision tell apart, on white
/// ([Okabe and Ito 2008](https://jfly.uni-koeln.de/color/)), without the yellow, which is too light for lines.
pub const OKABE_ITO: [[u8; 3]; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [20, 20, 20],
];

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// Without a gap.
    #[default]
    Solid,
    /// Dashes: another form of what is solid in the same colour.
    Dashed,
    /// Dots: what the others are held against.
    Dotted,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    band: Vec<(f64, f64)>,
    color: [u8; 3],
    stroke: Stroke,
}

impl Series {
    /// A curve through these points, (x, y), in a colour, such as one of [`OKABE_ITO`].
    pub fn new(name: impl Into<String>, points: impl Into<Vec<(f64, f64)>>, color: [u8; 3]) -> Self {
        Self { name: name.into(), points: points.into(), band: Vec::new(), color, stroke: Stroke::Solid }
    }

    /// With an interval (low, high) at every point, drawn as a band.
    pub fn band(self, band: impl Into<Vec<(f64, f64)>>) -> Self {
        Self { band: band.into(), ..self }
    }

    /// How the line is drawn.
    pub fn stroke(self, stroke: Stroke) -> Self {
        Self { stroke, ..self }
    }
}

/// How the numbers on an axis are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ticks {
    /// As they are.
    #[default]
    Plain,
    /// Shares as per cent.
    Percent,
}

/// Curves over one pair of axes.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x: (String, Ticks),
    y: (String, Ticks),
    series: Vec<Series>,
}

impl Chart {
    /// A chart whose axes mean this, units included.
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        let (x, y) = ((x.into(), Ticks::Plain), (y.into(), Ticks::Plain));
        Self { title: title.into(), x, y, series: Vec::new() }
    }

    /// How the numbers on both axes are written.
    pub fn ticks(self, x: Ticks, y: Ticks) -> Self {
        Self { x: (self.x.0, x), y: (self.y.0, y), ..self }
    }

    /// Adds a curve; the first ones lie on top.
    pub fn curve(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    fn check(&self) -> Result<()> {
        let wrong = |what, value: String, expected| Err(Error::Option { what, value, expected });
        let Some(series) = self.series.first() else {
            return wrong("the chart's list of curves", "[]".into(), "at least one");
        };
        if series.points.is_empty() {
            return wrong("a curve's list of points", "[]".into(), "at least one");
        }
        for series in &self.series {
            if !series.band.is_empty() && series.band.len() != series.points.len() {
                let value = format!("{} intervals for {} points", series.band.len(), series.points.len());
                return wrong("a curve's band", value, "one interval for each point, or none");
            }
            let numbers = series.points.iter().chain(&series.band).flat_map(|&(a, b)| [a, b]);
            let numbers: Vec<f64> = numbers.collect();
            if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
                let (value, of) = (numbers[index], numbers.len());
                let count = numbers.iter().filter(|number| !number.is_finite()).count();
                return Err(Error::NotFinite { what: "a curve", value, index, count, of });
            }
        }
        Ok(())
    }
}

/// Charts on one sheet, above one legend for all of them.
///
/// ```
/// use candlelight_image::{Chart, Charts, OKABE_ITO, Series, Stroke};
///
/// let chart = Chart::new("top-k ablation", "pixels replaced", "change of ln p")
///     .curve(Series::new("a method", [(0.0, 0.0), (1.0, -2.0)], OKABE_ITO[0]).band([(0.0, 0.0), (-2.5, -1.5)]))
///     .curve(Series::new("random", [(0.0, 0.0), (1.0, -1.0)], [120; 3]).stroke(Stroke::Dotted));
/// let svg = Charts::new("Which pixels matter?").chart(chart).svg()?;
/// assert!(svg.contains("a method"));
/// # Ok::<(), candlelight_image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Charts {
    heading: String,
    note: String,
    charts: Vec<Chart>,
    columns: usize,
}

impl Charts {
    /// An empty sheet under a heading, which may be empty.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), note: String::new(), charts: Vec::new(), columns: 2 }
    }

    /// A line below the heading: of what, how many, what the bands mean.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// How many charts stand side by side; 2 unless set.
    pub fn columns(self, columns: usize) -> Self {
        Self { columns: columns.max(1), ..self }
    }

    /// Adds a chart.
    pub fn chart(mut self, chart: Chart) -> Self {
        self.charts.push(chart);
        self
    }

    /// The sheet as SVG.
    ///
    /// # Errors
    /// [`Error::Option`] for charts without curves and bands of another length, [`Error::NotFinite`].
    pub fn svg(&self) -> Result<String> {
        self.check()?;
        let mut text = String::new();
        draw::sheet(self, draw::svg(&mut text, self), 1)?;
        Ok(text)
    }

    /// The sheet as pixels, two for each unit of the SVG.
    ///
    /// # Errors
    /// As [`svg`](Self::svg).
    pub fn image(&self) -> Result<RgbImage> {
        self.check()?;
        let (width, height) = draw::size(self);
        let mut picture = RgbImage::new(width * SCALE, height * SCALE);
        draw::sheet(self, bitmap::Bitmap(&mut picture), SCALE)?;
        Ok(picture)
    }

    /// Writes the sheet, as SVG where the path ends so, else as pixels.
    ///
    /// # Errors
    /// As [`svg`](Self::svg); [`Error::File`] if the path cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
            true => std::fs::write(path, self.svg()?).map_err(|error| Error::Io(error).at(path)),
            false => save(&self.image()?, path),
        }
    }

    fn check(&self) -> Result<()> {
        match self.charts.is_empty() {
            true => Err(Error::Option {
                what: "the sheet's list of charts",
                value: "[]".into(),
                expected: "at least one",
            }),
            false => self.charts.iter().try_for_each(Chart::check),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Series {
        Series::new("line", points, OKABE_ITO[0])
    }

    fn sheet(series: Series) -> Charts {
        Charts::new("heading").chart(Chart::new("title", "x axis", "y axis").curve(series))
    }

    #[test]
    fn svg_and_pixels_show_the_same_sheet() {
        let sheet = sheet(line(&[(0.0, 1.0), (1.0, 2.0)]).band([(0.5, 1.5), (1.0, 3.0)])).note("a note");
        let svg = sheet.svg().unwrap();
        assert!(
            ["heading", "a note", "title", "x axis", "y axis", "line"].iter().all(|text| svg.contains(text))
        );
        let picture = sheet.image().unwrap();
        let blue = picture.pixels().filter(|pixel| pixel.0 == OKABE_ITO[0]).count();
        assert!(blue > 200, "{blue} pixels of the line");
        let dark = picture.pixels().filter(|pixel| pixel.0.iter().all(|&value| value < 90)).count();
        assert!(dark > 500, "{dark} pixels of text");
    }

    #[test]
    fn a_sheet_without_a_heading_begins_with_its_charts() {
        let chart = || Chart::new("title", "x", "y").curve(line(&[(0.0, 1.0), (1.0, 2.0)]));
        let height = |charts: Charts| charts.chart(chart()).image().unwrap().height();
        assert_eq!(height(Charts::new("heading")) - height(Charts::new("")), 2 * 76);
        assert_eq!(height(Charts::new("").note("note")), height(Charts::new("heading")));
    }

    #[test]
    fn every_way_of_drawing_a_line_and_a_flat_curve_can_be_drawn() {
        for stroke in [Stroke::Solid, Stroke::Dashed, Stroke::Dotted] {
            let points = [(0.0, 3.0), (0.5, 3.0), (1.0, 3.0)];
            assert!(sheet(line(&points).stroke(stroke)).image().is_ok());
            assert!(sheet(line(&points[..1]).stroke(stroke)).svg().is_ok());
        }
    }

    #[test]
    fn empty_sheets_numbers_that_are_none_and_wrong_bands_are_errors() {
        assert!(matches!(Charts::new("none").svg(), Err(Error::Option { .. })));
        assert!(matches!(sheet(line(&[])).svg(), Err(Error::Option { .. })));
        assert!(matches!(sheet(line(&[(0.0, f64::NAN)])).svg(), Err(Error::NotFinite { index: 1, .. })));
        let short = line(&[(0.0, 1.0), (1.0, 2.0)]).band([(0.0, 1.0)]);
        assert!(matches!(sheet(short).image(), Err(Error::Option { .. })));
    }
}
