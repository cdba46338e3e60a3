//! Ours and the peers' side by side: the same work on the same machine, results compared before times.
//!
//! Every row runs in two processes of its own, ours and the peer's, in turn; what is printed is the median of the
//! pairs. Nothing else should run on the machine: one busy compiler makes the numbers worthless.

mod agreement;
mod host;
mod inputs;
mod ours;
mod own;
mod printed;
mod python;
mod table;
mod worker;

use anyhow::{Result, ensure};
use candlelight_benches::machine;
use candlelight_benches::rivals::{Extent, Rivals, Row};
use clap::{Parser, Subcommand, ValueEnum};
use printed::Printed;
use python::Python;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use table::Table;

/// The allocator that the programs use: candle asks for fresh pages all the time, and this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compares candlelight with PyTorch, Captum, pytorch-grad-cam, zennit and Quantus, row by row
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
    /// An interpreter with `benches/peers/requirements.txt`; a virtual environment is made unless given
    #[arg(long, conflicts_with = "without_peers")]
    python: Option<PathBuf>,
    /// Measures ours alone
    #[arg(long)]
    without_peers: bool,
    /// Only these rows, large ones included, and those below a name that ends so: `grad-cam/`, `gradient/resnet50`
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Large models, too: ResNet-50, ViT-B/16 and others at 224 x 224
    #[arg(long)]
    full: bool,
    /// Pairs of runs, ours and the peer's in turn; three times as many of works below a tenth of a second
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Threads on both sides; as many as there are unless given
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Where models run
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    /// What the machine is called in the name of the record; its processor unless given
    #[arg(long)]
    machine: Option<String>,
    /// Where rows are kept; `benches/record/<date>-<machine>.csv` unless given
    #[arg(long)]
    record: Option<PathBuf>,
    /// Goes on with a table that was interrupted: rows that the record has are printed, not measured
    #[arg(long)]
    resume: bool,
    /// One object of JSON for each row in place of the table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Device {
    Cpu,
    Cuda,
}

impl Device {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

#[derive(Subcommand)]
enum Work {
    /// Our side of one row, told line by line on stdin (the comparison starts it)
    #[command(hide = true)]
    Work { spec: String },
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.work {
        Some(Work::Work { spec }) => ours::work(&serde_json::from_str(&spec)?),
        None => compare(&args.compare),
    }
}

fn compare(args: &Compare) -> Result<()> {
    let rivals = Rivals::known()?;
    let all = rivals.rows()?;
    for name in &args.rows {
        ensure!(all.iter().any(|row| means(name, row)), "no row is `{name}` or below `{name}`");
    }
    let rows: Vec<Row> = all.into_iter().filter(|row| is_wanted(args, row)).collect();
    ensure!(!rows.is_empty(), "all rows below `{}` are large: add `--full`", args.rows.join("`, `"));
    let folder = tempfile::tempdir()?;
    let python =
        (!args.without_peers).then(|| Python::new(args.python.as_deref(), folder.path())).transpose()?;
    let threads = args.threads.map_or_else(thread::available_parallelism, Ok)?.get();
    let record = args.record.clone().unwrap_or_else(|| record(args));
    let printed = if args.json { Printed::Json } else { Printed::Table };
    Table { args, python, folder: folder.path(), record, threads, printed }.run(&rows)
}

fn is_wanted(args: &Compare, row: &Row) -> bool {
    let is_in = args.full || row.extent == Extent::Quick;
    if args.rows.is_empty() {
        return is_in;
    }
    args.rows.contains(&row.name) || (is_in && args.rows.iter().any(|name| means(name, row)))
}

/// Whether the row has this name, or is below it.
fn means(name: &str, row: &Row) -> bool {
    name == row.name || name.ends_with('/') && row.name.starts_with(name)
}

/// Where today's rows are kept: beside the others, or here where the sources are elsewhere.
fn record(args: &Compare) -> PathBuf {
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/record"));
    let folder = if sources.is_dir() { sources } else { Path::new("record") };
    let machine = args.machine.clone().unwrap_or_else(machine::description);
    folder.join(format!("{}-{machine}.csv", machine::today()))
}
