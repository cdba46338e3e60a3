//! A sheet of charts with plotters, on whatever it draws on.

use super::{Chart, Charts, Series, Stroke, Ticks};
use crate::error::{Error, Result};
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{DashedPathElement, PathElement, Polygon, Text};
use plotters::prelude::{DrawingBackend, SVGBackend};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle};
use std::error::Error as Cause;
use std::ops::Range;

/// Width and height of one chart, in units of the sheet.
const CHART: (u32, u32) = (560, 380);
/// Height of heading and note where there are some.
const HEAD: u32 = 76;
/// Height of a line of the legend, and how wide its samples are.
const LINE: u32 = 24;
const SAMPLE: i32 = 36;
/// Space at the sheet's edges.
const MARGIN: i32 = 20;
/// The width of a letter as a share of its height, at most.
const LETTER: f64 = 0.62;
const INK: RGBColor = RGBColor(28, 30, 34);
const SOFT: RGBColor = RGBColor(96, 100, 110);
const GRID: RGBColor = RGBColor(232, 234, 238);

type Area<DB> = plotters::drawing::DrawingArea<DB, Shift>;
type Axes<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Height of heading and note; a sheet without them begins with its charts.
fn head(charts: &Charts) -> u32 {
    if charts.heading.is_empty() && charts.note.is_empty() { 0 } else { HEAD }
}

/// Width and height of the sheet.
pub(super) fn size(charts: &Charts) -> (u32, u32) {
    let columns = charts.columns.min(charts.charts.len()) as u32;
    let rows = (charts.charts.len() as u32).div_ceil(columns);
    let width = columns * CHART.0 + 2 * MARGIN as u32;
    let legend = legend(charts, width).len() as u32 * LINE + 2 * MARGIN as u32;
    (width, head(charts) + rows * CHART.1 + legend)
}

/// plotters on text.
pub(super) fn svg<'a>(text: &'a mut String, charts: &Charts) -> SVGBackend<'a> {
    SVGBackend::with_string(text, size(charts))
}

/// Draws the sheet, `unit` pixels for each of its units.
pub(super) fn sheet<DB: DrawingBackend>(charts: &Charts, backend: DB, unit: u32) -> Result<()>
where
    DB::ErrorType: 'static,
{
    Sheet { charts, unit: f64::from(unit) }
        .draw(backend)
        .map_err(|error| Error::Drawing { detail: error.to_string() })
}

/// For every line of the legend its curves.
fn legend(charts: &Charts, width: u32) -> Vec<Vec<&Series>> {
    let mut known: Vec<&Series> = Vec::new();
    for series in charts.charts.iter().flat_map(|chart| &chart.series) {
        if !known.iter().any(|other| other.name == series.name) {
            known.push(series);
        }
    }
    let columns = ((width as i32 - 2 * MARGIN) / entry(&known)).max(1) as usize;
    known.chunks(columns).map(<[_]>::to_vec).collect()
}

/// How wide an entry of the legend is.
fn entry(series: &[&Series]) -> i32 {
    let longest = series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    SAMPLE + 30 + (longest as f64 * 14.0 * LETTER) as i32
}

struct Sheet<'a> {
    charts: &'a Charts,
    unit: f64,
}

type Drawn = std::result::Result<(), Box<dyn Cause>>;

impl Sheet<'_> {
    fn draw<DB: DrawingBackend>(&self, backend: DB) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let area: Area<DB> = plotters::prelude::IntoDrawingArea::into_drawing_area(backend);
        area.fill(&RGBColor(255, 255, 255))?;
        let (width, _) = size(self.charts);
        area.draw(&Text::new(self.charts.heading.clone(), self.at(MARGIN, 18), self.bold(20)))?;
        area.draw(&Text::new(self.charts.note.clone(), self.at(MARGIN, 48), self.text(13, SOFT)))?;
        let columns = self.charts.columns.min(self.charts.charts.len());
        for (index, chart) in self.charts.charts.iter().enumerate() {
            let (column, row) = ((index % columns) as u32, (index / columns) as u32);
            let left = self.px(MARGIN as u32 + column * CHART.0);
            let top = self.px(head(self.charts) + row * CHART.1);
            let part = area.clone().shrink((left, top), (self.px(CHART.0), self.px(CHART.1)));
            self.chart(&part, chart)?;
        }
        let rows = self.charts.charts.len().div_ceil(columns) as u32;
        self.legend(
            &area,
            &legend(self.charts, width),
            (head(self.charts) + rows * CHART.1) as i32 + MARGIN,
        )?;
        Ok(area.present()?)
    }

    fn chart<DB: DrawingBackend>(&self, area: &Area<DB>, chart: &Chart) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        area.draw(&Text::new(chart.title.clone(), self.at(52, 4), self.bold(14)))?;
        let [x, y] = ranges(chart);
        let mut axes = ChartBuilder::on(area)
            .margin_top(self.px(30))
            .margin_right(self.px(24))
            .margin_bottom(self.px(8))
            .x_label_area_size(self.px(46))
            .y_label_area_size(self.px(58))
            .build_cartesian_2d(x, y)?;
        self.mesh(&mut axes, chart)?;
        for series in chart.series.iter().rev() {
            self.band(&mut axes, series)?;
        }
        for series in chart.series.iter().rev() {
            self.line(&mut axes, series)?;
        }
        Ok(())
    }

    fn mesh<DB: DrawingBackend>(&self, axes: &mut Axes<DB>, chart: &Chart) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let label = self.text(12, SOFT);
        axes.configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .bold_line_style(GRID.stroke_width(self.px(1)))
            .axis_style(SOFT.stroke_width(self.px(1)))
            .set_all_tick_mark_size(self.px(4))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| chart.x.1.write(*value))
            .y_label_formatter(&|value| chart.y.1.write(*value))
            .label_style(label)
            .axis_desc_style(self.text(13, INK))
            .x_desc(chart.x.0.clone())
            .y_desc(chart.y.0.clone())
            .draw()?;
        Ok(())
    }

    /// The interval around a curve.
    fn band<DB: DrawingBackend>(&self, axes: &mut Axes<DB>, series: &Series) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let places = || series.points.iter().map(|point| point.0).zip(&series.band);
        let low = places().map(|(x, band)| (x, band.0));
        let high = places().rev().map(|(x, band)| (x, band.1));
        let around: Vec<(f64, f64)> = low.chain(high).collect();
        axes.draw_series([Polygon::new(around, color(series).mix(0.16))])?;
        Ok(())
    }

    fn line<DB: DrawingBackend>(&self, axes: &mut Axes<DB>, series: &Series) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let (points, style) = (series.points.iter().copied(), self.stroke(series));
        match self.dashes(series.stroke) {
            None => axes.draw_series(LineSeries::new(points, style))?,
            Some((dash, gap)) => axes.draw_series([DashedPathElement::new(points, dash, gap, style)])?,
        };
        Ok(())
    }

    fn legend<DB: DrawingBackend>(&self, area: &Area<DB>, lines: &[Vec<&Series>], top: i32) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let wide = entry(&lines.concat());
        for (row, line) in lines.iter().enumerate() {
            for (column, series) in line.iter().enumerate() {
                let (left, middle) = (MARGIN + column as i32 * wide, top + row as i32 * LINE as i32);
                let sample = [self.at(left, middle), self.at(left + SAMPLE, middle)];
                let style = self.stroke(series);
                match self.dashes(series.stroke) {
                    None => area.draw(&PathElement::new(sample, style))?,
                    Some((dash, gap)) => area.draw(&DashedPathElement::new(sample, dash, gap, style))?,
                }
                let name = self.text(13, INK).pos(Pos::new(HPos::Left, VPos::Center));
                area.draw(&Text::new(series.name.clone(), self.at(left + SAMPLE + 8, middle), name))?;
            }
        }
        Ok(())
    }

    fn stroke(&self, series: &Series) -> ShapeStyle {
        color(series).stroke_width(self.px(2))
    }

    /// Lengths of dashes and of the gaps between them.
    fn dashes(&self, stroke: Stroke) -> Option<(u32, u32)> {
        match stroke {
            Stroke::Solid => None,
            Stroke::Dashed => Some((self.px(7), self.px(4))),
            Stroke::Dotted => Some((self.px(2), self.px(3))),
        }
    }

    fn text(&self, height: u32, ink: RGBColor) -> TextStyle<'static> {
        ("sans-serif", self.px(height)).into_font().color(&ink)
    }

    fn bold(&self, height: u32) -> TextStyle<'static> {
        ("sans-serif", self.px(height)).into_font().style(FontStyle::Bold).color(&INK)
    }

    fn at(&self, x: i32, y: i32) -> (i32, i32) {
        (x * self.unit as i32, y * self.unit as i32)
    }

    fn px(&self, units: u32) -> u32 {
        units * self.unit as u32
    }
}

fn color(series: &Series) -> RGBColor {
    let [red, green, blue] = series.color;
    RGBColor(red, green, blue)
}

/// What both axes show: all points and bands, and a little air above and below.
fn ranges(chart: &Chart) -> [Range<f64>; 2] {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let band = chart.series.iter().flat_map(|series| &series.band).flat_map(|&(low, high)| [low, high]);
    let (low, high) = extent(points().map(|point| point.1).chain(band));
    let (left, right) = extent(points().map(|point| point.0));
    let air = (high - low) * 0.04;
    [left..right, low - air..high + air]
}

/// The smallest and the largest number; where they are the same, one with room around it.
fn extent(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    let room = if low == high { 0.5 } else { 0.0 };
    (low - room, high + room)
}

impl Ticks {
    /// A number, with no more digits than it needs.
    fn write(self, value: f64) -> String {
        let rounded = |value: f64| (value * 1e4).round() / 1e4 + 0.0;
        match self {
            Self::Plain => format!("{}", rounded(value)),
            Self::Percent => format!("{} %", rounded(value * 100.0)),
        }
    }
}
