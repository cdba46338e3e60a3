//! Ours and the peers' side by side: the same work on the same machine, results compared before times.
//!
//! Every row runs in two processes of its own, ours and the peer's, in turn; what is printed is the median of the
//! pairs. Nothing else should run on the machine: one busy compiler makes the numbers worthless.

mod agreement;
mod host;
mod ours;
mod own;
mod rated;
mod row;
mod worker;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use row::Row;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use worker::{Side, Worker};

/// The allocator that the programs use: candle asks for fresh pages all the time, and this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compares candlelight with PyTorch, Captum and Quantus, row by row.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(flatten)]
    compare: Compare,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(clap::Args)]
struct Compare {
    /// An interpreter with PyTorch, torchvision, timm, Captum and Quantus (`benches/peers/requirements.txt`)
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The rows to run; all unless given
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<Row>,
    /// Pairs of runs, ours and the peer's in turn
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Threads on both sides; as many as there are unless given
    #[arg(long)]
    threads: Option<usize>,
    /// Prints one JSON object per row
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Work {
    /// Our side of one row, told line by line on stdin (the comparison starts it)
    #[command(hide = true)]
    Work { row: Row, folder: PathBuf, dtype: String, steps: usize },
}

/// One row of the table.
#[derive(Serialize)]
struct Line {
    row: &'static str,
    ours_s: f64,
    peer_s: f64,
    /// The peer's time over ours, the median of the pairs.
    ratio: f64,
    ratio_min: f64,
    ratio_max: f64,
    ours_rss_mib: f64,
    peer_rss_mib: f64,
    agreement: agreement::Agreement,
    peer: &'static str,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.work {
        Some(Work::Work { row, folder, dtype, steps }) => ours::work(row, &folder, &dtype, steps),
        None => compare(&args.compare),
    }
}

fn compare(args: &Compare) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rows = if args.rows.is_empty() { Row::ALL.to_vec() } else { args.rows.clone() };
    prepare(&args.python, folder.path(), &rows)?;
    if !args.json {
        println!("{}", Line::HEADER);
    }
    for row in rows {
        let before = host::Ticks::now();
        let line = measure(args, row, folder.path()).with_context(|| format!("row `{}`", row.name()))?;
        if let Some(share) = before.zip(host::Ticks::now()).and_then(|(then, now)| now.stolen_since(then)) {
            eprintln!(
                "warning: the host took {:.0} % of the processors from `{}`",
                100.0 * share,
                row.name()
            );
        }
        match args.json {
            true => println!("{}", serde_json::to_string(&line)?),
            false => println!("{}", line.text()),
        }
    }
    Ok(())
}

/// Weights and inputs, made by the peer; those of small models are trained ones where they are.
fn prepare(python: &Path, folder: &Path, rows: &[Row]) -> Result<()> {
    let models: BTreeSet<&str> = rows.iter().map(|row| row.model()).collect();
    let trained = rated::trained();
    if trained.is_none() && rows.iter().any(|row| row.work() == row::Work::NonSensitivity) {
        eprintln!(
            "note: LeNet and ResNet-20 have weights at random, no trained ones are beside the checkout"
        );
    }
    let trained = trained.unwrap_or_else(|| "none".into());
    let status =
        Command::new(python).arg(worker::PEER).arg("prepare").args([folder, &trained]).args(models).status();
    let status =
        status.with_context(|| format!("cannot start `{}`; name one with `--python`", python.display()))?;
    anyhow::ensure!(
        status.success(),
        "the peer could not make the models; see `benches/peers/requirements.txt`"
    );
    Ok(())
}

fn measure(args: &Compare, row: Row, folder: &Path) -> Result<Line> {
    let threads = args.threads.map_or_else(std::thread::available_parallelism, |n| {
        std::num::NonZeroUsize::new(n).ok_or(std::io::ErrorKind::InvalidInput.into())
    })?;
    let worker = |side, dtype, steps| Worker::start(side, row, folder, dtype, steps, threads.get());
    let peer = Side::Peer(&args.python);
    let agreement =
        agreement::check(folder, |side, dtype| worker(side.of(&args.python), dtype, row.few_steps()))?;
    let mut ours = worker(Side::Ours, "float32", row.steps())?;
    let mut theirs = worker(peer, "float32", row.steps())?;
    let (mut pairs, mut rss) = (Vec::new(), (0.0, 0.0));
    for pair in 0..=args.runs {
        let (a, b) = (ours.run()?, theirs.run()?);
        rss = (a.rss_mib, b.rss_mib);
        // The first pair warms up.
        if pair > 0 {
            pairs.push((a.seconds, b.seconds));
        }
    }
    Ok(Line::of(row, &pairs, rss, agreement))
}

impl Line {
    const HEADER: &str = "row                              ours       peer    ratio   (min   max)   memory, MiB: ours   peer   farthest from float64: ours   peer";

    fn of(row: Row, pairs: &[(f64, f64)], rss: (f64, f64), agreement: agreement::Agreement) -> Self {
        let ratios: Vec<f64> = pairs.iter().map(|(ours, peer)| peer / ours).collect();
        Self {
            row: row.name(),
            ours_s: median(pairs.iter().map(|pair| pair.0)),
            peer_s: median(pairs.iter().map(|pair| pair.1)),
            ratio: median(ratios.iter().copied()),
            ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_max: ratios.iter().copied().fold(0.0, f64::max),
            ours_rss_mib: rss.0,
            peer_rss_mib: rss.1,
            agreement,
            peer: row.peer(),
        }
    }

    fn text(&self) -> String {
        format!(
            "{:<30} {:>6.3} s   {:>6.3} s   {:>6.2}  ({:.2}  {:.2})   {:>17.0} {:>6.0}   {:>27.1e} {:.1e}",
            self.row,
            self.ours_s,
            self.peer_s,
            self.ratio,
            self.ratio_min,
            self.ratio_max,
            self.ours_rss_mib,
            self.peer_rss_mib,
            self.agreement.float32_ours,
            self.agreement.float32_peer
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
