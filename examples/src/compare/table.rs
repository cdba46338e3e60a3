//! Means with intervals, ranks, and what may be said beside a map at random.

use super::Job;
use super::measure::Column;
use crate::failure::Result;
use crate::term::{self, BOLD, DIM, paint};
use crate::words;
use crate::write;
use candlelight::metrics::{Better, Bootstrap, Entry, Error, Estimate, LeftOut, Verdict};
use serde::Serialize;

/// Where an interval begins and ends.
type Ends = (f64, f64);

/// One method by one metric.
#[derive(Serialize)]
pub struct Cell {
    pub method: String,
    pub metric: &'static str,
    /// The mean over the images; none if no image has a number.
    pub mean: Option<f64>,
    /// Its 95 % interval; none for a single image.
    pub interval: Option<Ends>,
    /// Images with a number, and without one.
    pub images: usize,
    pub missing: usize,
    pub nan: usize,
    pub infinite: usize,
    /// Why the first image without a number has none.
    pub reason: Option<String>,
    /// 1 for the best mean; the same for equal means.
    pub rank: Option<usize>,
    /// Whether the images tell it from the method of the best mean.
    pub told_from_best: Option<bool>,
    /// Beside a map at random, image by image.
    pub beside_random: Option<&'static str>,
}

/// A cell for every method and metric, metric by metric.
pub fn cells(job: &Job, columns: &[Vec<Column>]) -> Result<Vec<Vec<Cell>>> {
    let of_metric = |(index, entry): (usize, &&'static Entry)| {
        let columns: Vec<&Column> = columns.iter().map(|method| &method[index]).collect();
        of_metric(job, entry, &columns)
    };
    job.metrics.iter().enumerate().map(of_metric).collect()
}

fn of_metric(job: &Job, entry: &'static Entry, columns: &[&Column]) -> Result<Vec<Cell>> {
    let bootstrap = Bootstrap::default().seed(job.args.seed);
    let means: Vec<Option<f64>> = columns.iter().map(|column| mean(column)).collect();
    let worth = |mean: f64| if entry.better == Better::Higher { -mean } else { mean };
    let best = (0..means.len()).filter(|&k| means[k].is_some()).min_by(|&a, &b| {
        let worth = |k: usize| means[k].map_or(f64::INFINITY, worth);
        worth(a).total_cmp(&worth(b))
    });
    let cell = |(index, column): (usize, &&Column)| {
        let (samples, left_out, interval) = spread(&bootstrap, column)?;
        let rank =
            |mean: f64| 1 + means.iter().flatten().filter(|other| worth(**other) < worth(mean)).count();
        let beside = |other: Option<usize>| match other.filter(|&other| other != index) {
            Some(other) => verdict(&bootstrap, entry.better, (column, columns[other])),
            None => Ok(None),
        };
        let from_best = beside(best)?.map(|verdict| verdict != Verdict::Undecided);
        Ok(Cell {
            method: job.contenders[index].name.clone(),
            metric: entry.name,
            mean: means[index],
            interval,
            images: samples,
            missing: left_out.missing,
            nan: left_out.nan,
            infinite: left_out.infinite,
            reason: column.reason.clone(),
            rank: means[index].map(rank),
            told_from_best: from_best,
            beside_random: beside(Some(columns.len() - 1))?.map(words::verdict),
        })
    };
    columns.iter().enumerate().map(cell).collect()
}

/// The mean of the finite values.
fn mean(column: &Column) -> Option<f64> {
    let values: Vec<f64> =
        column.values.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How many images have a number, how many none, and the interval of the mean.
fn spread(bootstrap: &Bootstrap, column: &Column) -> Result<(usize, LeftOut, Option<Ends>)> {
    match bootstrap.mean(&column.values) {
        Ok(Estimate { low, high, samples, left_out, .. }) => Ok((samples, left_out, Some((low, high)))),
        Err(Error::TooFewSamples { samples, .. }) => Ok((samples, LeftOut::of(&column.values), None)),
        Err(error) => Err(error.into()),
    }
}

fn verdict(bootstrap: &Bootstrap, better: Better, (a, b): (&Column, &Column)) -> Result<Option<Verdict>> {
    match bootstrap.compare(better, &a.values, &b.values) {
        Ok(difference) => Ok(Some(difference.verdict)),
        Err(Error::TooFewSamples { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes the numbers into files, and prints them.
pub fn show(job: &Job, cells: &[Vec<Cell>], columns: &[Vec<Column>]) -> Result<()> {
    let json = write::json(&cells.iter().flatten().collect::<Vec<_>>())?;
    write::text(&job.args.out, "compare.json", &format!("{json}\n"))?;
    write::text(&job.args.out, "compare.csv", &csv(job, columns))?;
    match job.args.json {
        true => term::say(&json),
        false => print(job, cells),
    }
    Ok(())
}

/// A line for every image: what is needed to count again.
fn csv(job: &Job, columns: &[Vec<Column>]) -> String {
    let mut text = String::from("method,metric,image,value\n");
    for (contender, columns) in job.contenders.iter().zip(columns) {
        for (entry, column) in job.metrics.iter().zip(columns) {
            for (image, value) in column.values.iter().enumerate() {
                let value = value.map(|value| value.to_string()).unwrap_or_default();
                text += &format!("{},{},{image},{value}\n", contender.name, entry.name);
            }
        }
    }
    text
}

fn print(job: &Job, cells: &[Vec<Cell>]) {
    for (entry, cells) in job.metrics.iter().zip(cells) {
        let better = if entry.better == Better::Higher { "higher is better" } else { "lower is better" };
        term::say(&format!("{}, {}", paint(BOLD, entry.title), paint(DIM, better)));
        let mut order: Vec<&Cell> = cells.iter().collect();
        order.sort_by_key(|cell| cell.rank.unwrap_or(usize::MAX));
        let mut rows =
            vec![["rank", "method", "mean [95 %]", "images", "beside random", ""].map(String::from).to_vec()];
        rows.extend(order.into_iter().map(row));
        term::table(&rows, &[0, 3]);
        term::say("");
    }
    term::say("= is not told from the best by these images");
    term::say(&format!("wrote {} and .csv", job.args.out.join("compare.json").display()));
}

fn row(cell: &Cell) -> Vec<String> {
    let rank = match (cell.rank, cell.told_from_best) {
        (Some(rank), Some(false)) => format!("= {rank}"),
        (Some(rank), _) => rank.to_string(),
        (None, _) => String::new(),
    };
    let mean = match (cell.mean, cell.interval) {
        (Some(mean), Some((low, high))) => words::interval(mean, low, high),
        (Some(mean), None) => format!("{mean:.4}"),
        (None, _) => "none".into(),
    };
    let reason = cell.reason.as_deref().map(words::short).unwrap_or_default();
    let beside = cell.beside_random.unwrap_or_default();
    vec![rank, cell.method.clone(), mean, cell.images.to_string(), beside.into(), reason.into()]
}
