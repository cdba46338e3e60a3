//! `docs/benchmarks.md`, made of the records and of nothing else.

use crate::growth::{self, Point};
use crate::median;
use crate::record::{self, Line, State};
use crate::rivals::{Rivals, Work};
use crate::table;
use anyhow::{Context, Result};
use candlelight::METHODS;
use candlelight::metrics::METRICS;
use std::fs;
use std::path::{Path, PathBuf};

const INTRODUCTION: &str = "# Benchmarks

Made from [`benches/record/`](../benches/record/) by

    cargo run --release -p candlelight-benches --bin page

and measured by

    cargo run --release -p candlelight-benches --bin side-by-side
    cargo run --release -p candlelight-benches --bin growth

Ours and the peer's run the same work on the same weights and images, each in a process of its own with the same number of
threads, in turn, with nothing else on the machine. Results are compared before times: in double precision by the
relative L2 distance in the column \"apart\", where sampled methods take the same samples or, where the note says so, the
values that they estimate. Times are medians; the ratio is the peer's time over ours, pair by pair, with the
smallest and the largest pair: where they are far apart, something disturbed the machine and the median says little. Memory is the largest resident size of each process. What is compared, and which row of
[DEVIATIONS.md](../DEVIATIONS.md) says what differs, stands in the note; the peers' calls and settings are in
[`rivals.json`](../benches/peers/rivals.json).
";

const NO_CARD: &str = "\n## On a card\n\nThere is no record of a card: none was at hand. `side-by-side --device cuda` makes one; how to \
build it is in [`benches/README.md`](../benches/README.md).\n";

const HEADER: &str = "| row | peer | ours, ms | peer, ms | ratio | min, max | images/s, ours and peer | MiB, ours and peer | \
apart | note |\n|---|---|---|---|---|---|---|---|---|---|\n";

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Methods,
    Metrics,
    Passes,
}

const PARTS: [(&str, Part); 3] =
    [("Methods", Part::Methods), ("Metrics", Part::Metrics), ("Passes of the model", Part::Passes)];

/// The folder of the records.
pub fn records() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record")
}

/// The page's own path.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md")
}

/// The page as the records have it.
///
/// # Errors
/// If a record cannot be read.
pub fn page() -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    let tables = tables()?;
    let mut has_card = false;
    for path in &tables {
        let lines = record::read(path)?;
        has_card |= lines.iter().any(|line| line.device == "cuda");
        page.push_str(&section(path, &lines)?);
    }
    if !has_card {
        page.push_str(NO_CARD);
    }
    let points = table::read(&records().join(growth::RECORD))?;
    Ok(page + &grown(&points))
}

/// The records of tables, the newest first.
fn tables() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(records())?.collect::<Result<Vec<_>, _>>()?;
    let dated = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".csv") && name.starts_with(|first: char| first.is_ascii_digit())
    };
    let mut tables: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(dated).collect();
    tables.sort();
    tables.reverse();
    Ok(tables)
}

fn section(path: &Path, lines: &[Line]) -> Result<String> {
    let rivals = Rivals::known()?;
    let name = path.file_stem().context("a record has a name")?.to_string_lossy();
    let threads = lines.first().and_then(|line| line.threads).unwrap_or(0.0);
    let mut text =
        format!("\n## {name}\n\n{threads} threads on each side, {} rows. {}\n", lines.len(), summary(lines));
    for (title, part) in PARTS {
        let rows: Vec<&Line> = lines.iter().filter(|line| part_of(line, &rivals) == part).collect();
        if !rows.is_empty() {
            text.push_str(&format!("\n### {title}\n\n{HEADER}"));
            rows.into_iter().for_each(|line| text.push_str(&row(line)));
        }
    }
    Ok(text)
}

fn part_of(line: &Line, rivals: &Rivals) -> Part {
    let name = line.row.split('/').next().unwrap_or_default();
    let does = rivals.works.iter().find(|work| work.work == name).map_or(name, Work::does);
    match does {
        _ if METHODS.iter().any(|method| does == method.name) => Part::Methods,
        _ if METRICS.iter().any(|entry| does == entry.name) => Part::Metrics,
        _ => Part::Passes,
    }
}

fn summary(lines: &[Line]) -> String {
    let count = |state: State| lines.iter().filter(|line| line.state == state).count();
    let quiet = lines.iter().filter(|line| line.stolen.is_none());
    let ratios: Vec<f64> = quiet.filter_map(|line| line.ratio).collect();
    let (agrees, alone) = (count(State::Agrees), count(State::NoPeer));
    let other = lines.len() - agrees - alone;
    let slower = ratios.iter().filter(|ratio| **ratio < 1.0).count();
    let faster = match ratios.is_empty() {
        true => String::new(),
        false => format!(
            " The median ratio of the {} that nothing disturbed is {:.1}; the peer is faster in {slower} of them.",
            ratios.len(),
            median(ratios)
        ),
    };
    let failed = if other == 0 {
        String::new()
    } else {
        format!(" {other} could not be compared; the note says why.")
    };
    let stolen = lines.iter().filter(|line| line.stolen.is_some()).count();
    let disturbed = match stolen {
        0 => String::new(),
        _ => format!(" In {stolen} the host took processors away: their times say little."),
    };
    format!("{agrees} are compared and agree, {alone} have no peer.{failed}{faster}{disturbed}")
}

fn row(line: &Line) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let pair = |ours: Option<f64>, peer: Option<f64>, write: fn(f64) -> String| {
        or_dash(ours.map(|ours| {
            format!("{}{}", write(ours), peer.map_or(String::new(), |peer| format!(", {}", write(peer))))
        }))
    };
    let milliseconds = |seconds: Option<f64>| or_dash(seconds.map(|seconds| digits(seconds * 1e3)));
    let state = match line.state.is_whole() {
        true => String::new(),
        false => format!("**{}**: ", line.state.words()),
    };
    let stolen = line
        .stolen
        .map(|share| format!("**disturbed**: the host took {:.0} % of the processors; ", 100.0 * share));
    let state = state + &stolen.unwrap_or_default();
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {state}{} |\n",
        line.row,
        if line.rival.is_empty() { "none" } else { &line.rival },
        milliseconds(line.ours_s),
        milliseconds(line.peer_s),
        or_dash(line.ratio.map(|ratio| format!("**{ratio:.2}**"))),
        pair(line.ratio_min, line.ratio_max, |ratio| format!("{ratio:.2}")),
        pair(line.ours_images_per_s, line.peer_images_per_s, digits),
        pair(line.ours_mib, line.peer_mib, |mib| format!("{mib:.0}")),
        or_dash(line.float64.map(|apart| format!("{apart:.0e}"))),
        line.note,
    )
}

/// Three digits that count.
fn digits(number: f64) -> String {
    let places = (2.0 - number.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{number:.places$}")
}

fn grown(points: &[Point]) -> String {
    if points.is_empty() {
        return String::new();
    }
    let mut text = "\n## Growth\n\nIntegrated Gradients, every point in a process of its own; memory is the peak of the resident size over \
what the process held with the model and the images loaded, weights laid out for both ways. Raw: [`growth.csv`](../benches/record/growth.csv).\n"
        .to_owned();
    for axis in growth::AXES {
        let of: Vec<&Point> = points.iter().filter(|point| point.axis == axis.name).collect();
        text.push_str(&format!("\n![{}](figures/growth-{}.svg)\n\n{}\n\n", axis.title, axis.name, axis.what));
        text.push_str(&format!("| {} | s | MiB | budget, MiB |\n|---|---|---|---|\n", axis.x));
        of.iter().for_each(|point| {
            let (at, seconds) = (&point.label, digits(point.seconds));
            text.push_str(&format!("| {at} | {seconds} | {:.0} | {:.0} |\n", point.mib, point.budget));
        });
        text.push_str(&format!("\n{}\n", growth::verdict(axis, points)));
    }
    text
}
