//! `candlelight`: explains predictions of image models, and says how far the explanation can be trusted.

#![forbid(unsafe_code)]

mod args;
mod baseline;
mod check;
mod compare;
mod completions;
mod criteria;
mod distill;
#[cfg(feature = "evaluate")]
mod evaluate;
mod explain;
mod failure;
mod features;
mod interrupt;
mod job;
mod journal;
mod list;
mod method;
mod metric;
mod model;
mod progress;
mod record;
mod report;
mod roar;
mod scene;
mod score;
#[cfg(feature = "serve")]
mod serve;
mod style;
mod subject;
mod target;
mod term;
mod words;
mod write;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// candle asks for fresh pages with every operation; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::listen();
    let done = match &cli.command {
        Command::Explain(args) => explain::run(args),
        Command::Layers(args) => list::layers(args),
        Command::Methods(args) => list::methods(args),
        Command::Models(args) => list::models(args),
        Command::Check(args) => check::run(args),
        Command::Scene(args) => scene::run(args),
        Command::Criteria(args) => criteria::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Distill(args) => distill::run(args),
        Command::Roar(args) => roar::run(args),
        #[cfg(feature = "evaluate")]
        Command::Evaluate(args) => evaluate::run(args),
        #[cfg(feature = "evaluate")]
        Command::Merge(args) => evaluate::merge(args),
        Command::Score(args) => score::run(args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args),
        Command::Completions(args) => completions::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
