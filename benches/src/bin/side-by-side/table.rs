//! The table: row by row, results before times, each row kept as soon as it is there.

use crate::agreement::{self, Agreement, Checked, Differs};
use crate::printed::Printed;
use crate::python::Python;
use crate::worker::{Ran, Side, Spec, Worker};
use crate::{Compare, host, inputs};
use anyhow::Result;
use candlelight_benches::median;
use candlelight_benches::record::{self, Line, State};
use candlelight_benches::rivals::Row;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Below so many seconds a work is short, and repeated three times as often.
const SHORT: f64 = 0.1;
/// Above so many seconds a work has warmed up long before it is over, and its first run counts.
const LONG: f64 = 30.0;

/// Where and how rows are measured.
pub struct Table<'a> {
    pub args: &'a Compare,
    pub python: Option<Python>,
    /// Holds a folder for each model.
    pub folder: &'a Path,
    pub record: PathBuf,
    pub threads: usize,
    pub printed: Printed,
}

impl Table<'_> {
    /// Measures the rows, and prints them.
    pub fn run(&self, rows: &[Row]) -> Result<()> {
        self.printed.start();
        let (measured, mut ready) = (record::read(&self.record)?, BTreeSet::new());
        for row in rows {
            let known = measured.iter().find(|line| self.is_known(line, row));
            let line = match known {
                Some(line) => line.clone(),
                None => {
                    if ready.insert(row.model.clone()) {
                        inputs::prepare(&row.model, &self.folder.join(&row.model))?;
                    }
                    let line = self.watched(row);
                    record::put(&self.record, line.clone())?;
                    line
                }
            };
            self.printed.line(&line);
        }
        eprintln!("\n{}", self.record.display());
        Ok(())
    }

    fn is_known(&self, line: &Line, row: &Row) -> bool {
        self.args.resume
            && line.state.is_whole()
            && line.row == row.name
            && line.device == self.args.device.name()
    }

    /// One row, and how much of the processors the host took away meanwhile.
    fn watched(&self, row: &Row) -> Line {
        let before = host::Ticks::now();
        let line = self.line(row);
        let stolen = before.zip(host::Ticks::now()).and_then(|(then, now)| now.stolen_since(then));
        if let Some(share) = stolen {
            eprintln!("warning: the host took {:.0} % of the processors from `{}`", 100.0 * share, row.name);
        }
        Line { stolen, ..line }
    }

    /// A row, whatever goes wrong in it.
    fn line(&self, row: &Row) -> Line {
        let named = Line {
            row: row.name.clone(),
            device: self.args.device.name().into(),
            rival: row.rival.map(|rival| rival.title.clone()).unwrap_or_default(),
            threads: Some(self.threads as f64),
            note: note(row),
            ..Line::default()
        };
        self.measure(row, named.clone()).unwrap_or_else(|error| {
            let state = if error.is::<Differs>() { State::Differs } else { State::Failed };
            Line { state, note: format!("{error:#}"), ..named }
        })
    }

    fn measure(&self, row: &Row, line: Line) -> Result<Line> {
        let spec = self.spec(row);
        let side = self.python.as_ref().filter(|_| row.rival.is_some()).map(Side::Peer);
        let Checked { agreement, ours, peer } = agreement::check(row.work, &spec, side)?;
        let line = with(line, &agreement);
        match peer {
            Some(Ok(peer)) => self.pairs(row, (ours, peer), Line { state: State::Agrees, ..line }),
            Some(Err(error)) => {
                let note = format!("the peer failed: {error:#}");
                self.alone(row, ours, Line { state: State::PeerFailed, note, ..line })
            }
            None if row.rival.is_some() => self.alone(row, ours, Line { state: State::NotCompared, ..line }),
            None => self.alone(row, ours, Line { state: State::NoPeer, ..line }),
        }
    }

    fn spec(&self, row: &Row) -> Spec {
        Spec {
            work: row.work.does().to_owned(),
            model: row.model.clone(),
            folder: self.folder.join(&row.model),
            batch: row.batch,
            dtype: row.dtype.clone(),
            device: self.args.device.name().into(),
            threads: self.threads,
            runner: row.rival.map(|rival| rival.runner.clone()).unwrap_or_default(),
            settings: row.settings(),
            check: row.check(),
        }
    }

    /// Both sides in turn.
    fn pairs(&self, row: &Row, (mut ours, mut peer): (Worker, Worker), line: Line) -> Result<Line> {
        let pairs = self.repeated(|| Ok([ours.run()?, peer.run()?]))?;
        let ratio = Spread::of(pairs.iter().map(|[ours, peer]| peer.seconds / ours.seconds));
        let theirs = Spread::of(pairs.iter().map(|[_, peer]| peer.seconds));
        let line = ours_of(line, row, pairs.iter().map(|[ours, _]| *ours));
        Ok(Line {
            peer_s: Some(theirs.median),
            peer_min_s: Some(theirs.min),
            peer_max_s: Some(theirs.max),
            peer_images_per_s: Some(row.batch as f64 / theirs.median),
            peer_mib: pairs.last().map(|[_, peer]| peer.rss_mib),
            ratio: Some(ratio.median),
            ratio_min: Some(ratio.min),
            ratio_max: Some(ratio.max),
            ..line
        })
    }

    fn alone(&self, row: &Row, mut ours: Worker, line: Line) -> Result<Line> {
        let times = self.repeated(|| Ok([ours.run()?]))?;
        Ok(ours_of(line, row, times.into_iter().flatten()))
    }

    /// What counts of running all sides in turn: the first time warms up, if it is not a long one.
    fn repeated<const N: usize>(&self, mut run: impl FnMut() -> Result<[Ran; N]>) -> Result<Vec<[Ran; N]>> {
        let first = run()?;
        let longest = first.iter().map(|ran| ran.seconds).fold(0.0, f64::max);
        let count = if longest < SHORT { 3 * self.args.runs } else { self.args.runs };
        let mut all = if longest > LONG { vec![first] } else { Vec::new() };
        while all.len() < count {
            all.push(run()?);
        }
        Ok(all)
    }
}

/// What the row's data says of it.
fn note(row: &Row) -> String {
    let work = row.work;
    let parts = [&work.no_peer, &work.compared, &work.note];
    let said = parts.into_iter().flatten().cloned();
    let deviation = work.deviation.iter().map(|name| format!("deviation: {name}"));
    said.chain(deviation).collect::<Vec<_>>().join("; ")
}

fn with(line: Line, agreement: &Agreement) -> Line {
    Line {
        float64: agreement.float64,
        ours_rounding: agreement.ours,
        peer_rounding: agreement.peer,
        device_apart: agreement.device,
        ..line
    }
}

fn ours_of(line: Line, row: &Row, ran: impl Iterator<Item = Ran> + Clone) -> Line {
    let spread = Spread::of(ran.clone().map(|ran| ran.seconds));
    Line {
        ours_s: Some(spread.median),
        ours_min_s: Some(spread.min),
        ours_max_s: Some(spread.max),
        ours_images_per_s: Some(row.batch as f64 / spread.median),
        ours_mib: ran.clone().last().map(|ran| ran.rss_mib),
        runs: Some(ran.count() as f64),
        ..line
    }
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(0.0, f64::max);
        Self { median: median(values), min, max }
    }
}
