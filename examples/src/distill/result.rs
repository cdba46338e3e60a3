//! What came out: a table, numbers in files, and the picture.

use super::contenders::{Contender, RANDOM};
use super::journal::Line;
use super::{TESTS, places};
use crate::args;
use crate::failure::Result;
use crate::term;
use crate::words;
use crate::write;
use candlelight::image::{Chart, Charts, Series, Ticks};
use candlelight::metrics::{Band, Better, Bootstrap, Curve, Estimate};
use serde::Serialize;
use std::path::Path;

/// One contender in one test.
#[derive(Serialize)]
struct Cell {
    baseline: &'static str,
    test: &'static str,
    /// The area below the curve, ln p(what is left) − ln p(x): the mean over the scenes, and its interval.
    area: f64,
    low: f64,
    high: f64,
    /// Beside a random map, scene by scene; none for the random map itself.
    beside_random: Option<&'static str>,
    scenes: usize,
    curve: Vec<Place>,
}

/// One place of a mean curve.
#[derive(Serialize)]
struct Place {
    at: f64,
    value: f64,
    low: f64,
    high: f64,
}

pub fn show(args: &args::Distill, contenders: &[Contender], lines: &[Line]) -> Result<()> {
    let cells = cells(args, contenders, lines)?;
    let json = write::json(&cells)?;
    write::text(&args.out, "distill.json", &format!("{json}\n"))?;
    write::text(&args.out, "distill.csv", &csv(&cells))?;
    write::charts(&charts(args, contenders, &cells), &args.out, "distill")?;
    match args.json {
        true => term::say(&json),
        false => table(contenders, &cells, &args.out),
    }
    Ok(())
}

/// Contender by contender, test by test.
fn cells(args: &args::Distill, contenders: &[Contender], lines: &[Line]) -> Result<Vec<Cell>> {
    let bootstrap = Bootstrap::default().seed(args.seed);
    let curves = |contender: usize, test: usize| -> Vec<Curve> {
        let curve = |line: &Line| Curve { at: places(test), values: line.curves[contender][test].clone() };
        lines.iter().map(curve).collect()
    };
    let areas = |contender, test| curves(contender, test).iter().map(Curve::area).collect::<Vec<f64>>();
    let random = contenders.iter().position(|contender| contender.name == RANDOM);
    let mut cells = Vec::new();
    for (index, contender) in contenders.iter().enumerate() {
        for (test, (name, _)) in TESTS.iter().enumerate() {
            let Estimate { value, low, high, samples, .. } = bootstrap.mean(&areas(index, test))?;
            let beside = random
                .filter(|random| *random != index)
                .map(|random| bootstrap.compare(Better::Lower, &areas(index, test), &areas(random, test)));
            let beside_random = beside.transpose()?.map(|found| words::verdict(found.verdict));
            let curve = shown(&bootstrap.band(&curves(index, test))?);
            let baseline = contender.name;
            cells.push(Cell {
                baseline,
                test: name,
                area: value,
                low,
                high,
                beside_random,
                scenes: samples,
                curve,
            });
        }
    }
    Ok(cells)
}

fn shown(band: &Band) -> Vec<Place> {
    let place = |(&at, estimate): (&f64, &Estimate)| {
        let Estimate { value, low, high, .. } = *estimate;
        Place { at, value, low, high }
    };
    band.at.iter().zip(&band.estimates).map(place).collect()
}

fn csv(cells: &[Cell]) -> String {
    let mut text = String::from("baseline,test,at,value,low,high,scenes\n");
    for cell in cells {
        for Place { at, value, low, high } in &cell.curve {
            let (baseline, test, scenes) = (cell.baseline, cell.test, cell.scenes);
            text += &format!("\"{baseline}\",\"{test}\",{at},{value},{low},{high},{scenes}\n");
        }
    }
    text
}

fn table(contenders: &[Contender], cells: &[Cell], out: &Path) {
    let head = std::iter::once(String::new()).chain(TESTS.iter().map(|(name, _)| (*name).to_owned()));
    let mut rows = vec![head.collect::<Vec<_>>()];
    for (contender, cells) in contenders.iter().zip(cells.chunks(TESTS.len())) {
        let mut row = vec![contender.name.to_owned()];
        row.extend(cells.iter().map(|cell| {
            let mark = match cell.beside_random {
                Some("better") => "+",
                Some("worse") => "-",
                _ => " ",
            };
            format!("{} {mark}", words::interval(cell.area, cell.low, cell.high))
        }));
        rows.push(row);
    }
    term::table(&rows, &[]);
    term::say("");
    term::say(&format!(
        "area below ln p(what is left) - ln p(x) over {} scenes, lower is better; 95 % intervals; + better and - worse than random",
        cells.first().map_or(0, |cell| cell.scenes)
    ));
    term::say(&format!("wrote {}, .svg, .csv and .json", out.join("distill.png").display()));
}

fn charts(args: &args::Distill, contenders: &[Contender], cells: &[Cell]) -> Charts {
    let heading = format!("Which baseline finds what {} looks at?", args.model.model);
    let note = format!(
        "mean over {} scenes, with 95 % intervals; lower is better: the model misses what is gone",
        args.images
    );
    let mut charts = Charts::new(heading).note(note);
    for (test, (title, x)) in TESTS.iter().enumerate() {
        let chart =
            Chart::new(*title, *x, "ln p(what is left) - ln p(x)").ticks(Ticks::Percent, Ticks::Plain);
        let cells = cells.iter().skip(test).step_by(TESTS.len());
        charts = charts.chart(contenders.iter().zip(cells).fold(chart, |chart, (contender, cell)| {
            let points: Vec<_> = cell.curve.iter().map(|place| (place.at, place.value)).collect();
            let band: Vec<_> = cell.curve.iter().map(|place| (place.low, place.high)).collect();
            chart.curve(
                Series::new(contender.name, points, contender.color).band(band).stroke(contender.stroke),
            )
        }));
    }
    charts
}
