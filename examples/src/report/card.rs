//! One method on the page: its maps, and what is known of them.

use super::plot::{self, Plot};
use crate::failure::Result;
use crate::job::{Explained, Job};
use crate::method::Finished;
use crate::words;
use crate::words::number;
use candlelight::image::{ColorMap, Heatmap, Numbers};
use candlelight::{Ledger, LedgerLine, Reading};
use serde::Serialize;

/// What is said of a method.
#[derive(Serialize)]
pub struct Card {
    name: &'static str,
    title: &'static str,
    paper: &'static str,
    /// The layer whose maps they are, if it is one's.
    layer: Option<String>,
    maps: Vec<Map>,
    /// How numbers became colours.
    colours: Vec<String>,
}

/// One map, and what is said of it.
#[derive(Serialize)]
struct Map {
    /// What it is called in the maps' file.
    key: String,
    label: String,
    /// In the place of the picture, for those who do not see it.
    alt: String,
    plot: Plot,
    /// The ends of the colours as they are written.
    low: String,
    high: String,
    facts: Vec<Fact>,
    ledger: Option<Account>,
}

/// Something with a name.
#[derive(Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// Where relevance went.
#[derive(Serialize)]
struct Account {
    summary: String,
    lines: Vec<Line>,
    total: Line,
}

/// What became of relevance at one layer, in units of the score.
#[derive(Serialize)]
struct Line {
    layer: String,
    rule: String,
    received: String,
    passed: String,
    bias: String,
    stabiliser: String,
}

impl Fact {
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }
}

impl Card {
    /// All maps of one method, of which there is at least one.
    pub fn of(job: &Job, explained: &Explained, finished: &[&Finished]) -> Result<Self> {
        let drawn: Vec<_> = finished.iter().map(|it| Heatmap::of(&it.map)).collect();
        let numbers = plot::on_one_scale(&drawn)?;
        let map = |(finished, numbers): (&&Finished, &Numbers)| Map::of(job, explained, finished, numbers);
        let method = finished[0].method;
        Ok(Self {
            name: method.name,
            title: method.title,
            paper: method.paper,
            layer: finished[0].map.layer().map(str::to_owned),
            maps: finished.iter().zip(&numbers).map(map).collect(),
            colours: colours(finished[0].map.reading(), &numbers),
        })
    }
}

/// How numbers became colours, in plain words: one sentence each.
fn colours(reading: Reading, numbers: &[Numbers]) -> Vec<String> {
    let first = &numbers[0];
    let ends = match (first.range.1, first.colors) {
        (0.0, _) => "The map is zero everywhere.".into(),
        (end, ColorMap::BlueRed) => {
            format!("Red speaks for the class, blue against it; both are full at ±{}.", number(end))
        }
        (end, _) => format!("Zero has no colour; it is full at {}.", number(end)),
    };
    let scaled = match numbers.len() {
        1 => format!("{}.", sentence(&first.scaled)),
        _ => "Scaled alike in both maps, by the one that reaches further.".into(),
    };
    let largest =
        |numbers: &Numbers| numbers.values.iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
    let peak = format!("Largest |a|: {}.", number(numbers.iter().map(largest).fold(0.0, f64::max)));
    let channels =
        (first.channels > 1).then(|| format!("A value is the sum of {} channels.", first.channels));
    let below = numbers.iter().flat_map(|it| &it.values).any(|value| *value < 0.0);
    let clipped = (reading == Reading::Positive && below)
        .then(|| "Values below zero mean nothing in this method and have no colour.".into());
    [ends, scaled, peak].into_iter().chain(channels).chain(clipped).collect()
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Map {
    fn of(job: &Job, explained: &Explained, finished: &Finished, numbers: &Numbers) -> Self {
        let label = job.label(finished.class);
        let Numbers { height, width, .. } = numbers;
        let cells = format!("{height} rows and {width} columns");
        Self {
            key: explained.key(finished),
            alt: format!("{} for {label}: a map of {cells} over the picture", finished.method.title),
            label,
            plot: Plot::of(numbers),
            low: number(numbers.range.0),
            high: number(numbers.range.1),
            facts: facts(finished),
            ledger: finished.map.convergence().ledger.as_ref().and_then(Account::of),
        }
    }
}

fn facts(finished: &Finished) -> Vec<Fact> {
    let map = &finished.map;
    let cost = map.cost();
    let passes = match (cost.forwards, cost.backwards) {
        (forwards, 0) => format!("{forwards} forward"),
        (forwards, backwards) => format!("{forwards} forward, {backwards} backward"),
    };
    let score = map.scores().first().map(|&score| Fact::new("Score explained", number(score)));
    let truth = finished.agreement.as_ref().map(words::agreement);
    let rest = [
        Fact::new("Convergence", words::convergence(map.convergence())),
        Fact::new("Cost", format!("{passes} · {}", words::time(finished.time))),
    ];
    score.into_iter().chain(rest).chain(truth.map(|words| Fact::new("Ground truth", words))).collect()
}

impl Account {
    /// That of the first row.
    fn of(ledger: &Ledger) -> Option<Self> {
        let total = Line {
            layer: "input".into(),
            rule: String::new(),
            received: number(*ledger.score.first()?),
            passed: number(*ledger.arrived.first()?),
            bias: number(*ledger.bias().first()?),
            stabiliser: number(*ledger.stabiliser().first()?),
        };
        let lines = ledger.lines.iter().map(Line::of).collect::<Option<Vec<_>>>()?;
        let summary = format!("Relevance at {} layers", lines.len());
        Some(Self { summary, lines, total })
    }
}

impl Line {
    fn of(line: &LedgerLine) -> Option<Self> {
        Some(Self {
            layer: line.layer.clone(),
            rule: line.rule.to_string(),
            received: number(*line.received.first()?),
            passed: number(*line.passed.first()?),
            bias: number(*line.bias.first()?),
            stabiliser: number(*line.stabiliser.first()?),
        })
    }
}
