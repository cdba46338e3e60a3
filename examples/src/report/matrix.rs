//! Methods by metrics, the control apart.

use crate::compare::{Cell, Job};
use crate::words;
use candlelight::metrics::{Better, Entry};
use serde::Serialize;

/// The table.
#[derive(Serialize)]
pub struct Matrix {
    metrics: Vec<Column>,
    methods: Vec<Row>,
    control: Row,
}

#[derive(Serialize)]
struct Column {
    title: &'static str,
    paper: &'static str,
    better: &'static str,
    /// Where the interval of the control lies.
    chance: Option<Span>,
}

#[derive(Serialize)]
struct Row {
    title: &'static str,
    name: String,
    numbers: Vec<Number>,
}

/// One method by one metric.
#[derive(Serialize)]
struct Number {
    /// The mean, for those that sort; none if no image has a number.
    value: Option<f64>,
    mean: String,
    interval: Option<String>,
    rank: Option<String>,
    /// Beside the map at random: `better` or `worse`, where the images say so.
    verdict: Option<&'static str>,
    /// Images without a number, and why.
    missing: Option<String>,
    span: Option<Span>,
}

/// A mean and its interval, in per cent of what the whole column reaches over.
#[derive(Clone, Copy, Serialize)]
struct Span {
    low: f64,
    width: f64,
    at: f64,
}

/// From the smallest number of a column to its largest.
struct Reach {
    low: f64,
    high: f64,
}

impl Matrix {
    /// `cells` are metric by metric, the control the last of each.
    pub fn of(job: &Job, cells: &[Vec<Cell>]) -> Self {
        let reaches: Vec<Reach> = cells.iter().map(|cells| Reach::of(cells)).collect();
        let row = |(place, contender): (usize, &crate::compare::Contender)| Row {
            title: contender.title,
            name: contender.name.clone(),
            numbers: cells
                .iter()
                .zip(&reaches)
                .map(|(cells, reach)| Number::of(&cells[place], reach))
                .collect(),
        };
        let mut methods: Vec<Row> = job.contenders.iter().enumerate().map(row).collect();
        let control = methods.remove(job.contenders.len() - 1);
        let chances = control.numbers.iter().map(|number| number.span);
        let metrics =
            job.metrics.iter().zip(chances).map(|(entry, chance)| Column::of(entry, chance)).collect();
        Self { metrics, methods, control }
    }
}

impl Column {
    fn of(entry: &Entry, chance: Option<Span>) -> Self {
        let better = match entry.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        Self { title: entry.title, paper: entry.paper, better, chance }
    }
}

impl Number {
    fn of(cell: &Cell, reach: &Reach) -> Self {
        let (mean, interval) = match (cell.mean, cell.interval) {
            (Some(mean), Some((low, high))) => {
                let [mean, low, high] = words::estimate(mean, low, high).map(|it| said(&it));
                (mean, Some(format!("{low} to {high}")))
            }
            (Some(mean), None) => (words::number(mean), None),
            (None, _) => ("none".into(), None),
        };
        let rank = cell.rank.map(|rank| match cell.told_from_best {
            Some(false) => format!("= {rank}"),
            _ => rank.to_string(),
        });
        let (low, high) = cell.interval.or(cell.mean.map(|mean| (mean, mean))).unzip();
        let span = low.zip(high).zip(cell.mean).map(|((low, high), at)| reach.span(low, high, at));
        let verdict = cell.beside_random.filter(|&verdict| verdict != "undecided");
        Self { value: cell.mean, mean, interval, rank, verdict, missing: missing(cell), span }
    }
}

/// A number with a minus as in print.
pub fn said(number: &str) -> String {
    number.replace('-', "−")
}

/// How many images have no number, and why the first of them has none.
fn missing(cell: &Cell) -> Option<String> {
    let without = cell.missing + cell.nan + cell.infinite;
    let reason = cell.reason.as_deref().map(words::short).unwrap_or("their numbers are not finite");
    (without > 0).then(|| format!("{without} of {} without: {reason}", without + cell.images))
}

impl Reach {
    fn of(cells: &[Cell]) -> Self {
        let ends = cells.iter().flat_map(|cell| cell.interval.map(|(low, high)| [low, high]));
        let numbers = ends.flatten().chain(cells.iter().filter_map(|cell| cell.mean));
        let empty = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };
        numbers.fold(empty, |reach, at| Self { low: reach.low.min(at), high: reach.high.max(at) })
    }

    /// In per cent, with room for a dot at both ends.
    fn span(&self, low: f64, high: f64, at: f64) -> Span {
        let wide = self.high - self.low;
        let share = |at: f64| if wide > 0.0 { 4.0 + 92.0 * (at - self.low) / wide } else { 50.0 };
        let rounded = |at: f64| (at * 10.0).round() / 10.0;
        Span { low: rounded(share(low)), width: rounded(share(high) - share(low)), at: rounded(share(at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_reaches_from_its_smallest_number_to_its_largest() {
        let reach = Reach { low: -2.0, high: 2.0 };
        let span = reach.span(-2.0, 2.0, 0.0);
        assert_eq!((span.low, span.width, span.at), (4.0, 92.0, 50.0));
        let flat = Reach { low: 1.0, high: 1.0 }.span(1.0, 1.0, 1.0);
        assert_eq!((flat.low, flat.width, flat.at), (50.0, 0.0, 50.0));
    }
}
