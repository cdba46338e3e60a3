//! `candlelight evaluate` and `candlelight merge`: methods x metrics over a whole folder of images, one row for each.

mod dataset;
mod journal;
mod plan;
mod row;
mod shard;
mod table;

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::progress::Bar;
use crate::term;
use candlelight::Progress;
use journal::Journal;
use plan::Plan;
use shard::Shard;
use std::path::{Path, PathBuf};

/// Explains every image, measures every map, and writes the rows.
pub fn run(args: &args::Evaluate) -> Result<()> {
    let shard = Shard::of(args.shard.as_deref(), |name| std::env::var(name).ok())?;
    let plan = Plan::of(args)?;
    let out = shard.name(&args.out);
    let mut journal = Journal::open(&journal_of(&out), &plan.config.line(shard))?;
    let mine: Vec<usize> = shard.samples(plan.samples.len()).collect();
    let left: Vec<usize> = mine.iter().copied().filter(|sample| !journal.has(*sample)).collect();
    let bar = Bar::rated("images");
    for (done, &sample) in left.iter().enumerate() {
        if bar.update(Progress { done, of: left.len() }).is_break() || interrupt::asked() {
            let done = mine.len() - left.len() + done;
            let message = format!(
                "interrupted after {done} of {} images: the same command goes on from there",
                mine.len()
            );
            return Err(Failure::interrupted(message));
        }
        let rows = plan.measure(sample)?;
        journal.add(sample, rows)?;
    }
    drop(bar);
    table::write(&out, &plan.config.table(shard), &journal.into_rows())?;
    term::say(&format!(
        "{} images, {} rows in {}",
        mine.len(),
        mine.len() * plan.rows_of_a_sample(),
        out.display()
    ));
    Ok(())
}

/// Joins the results of all shards.
pub fn merge(args: &args::Merge) -> Result<()> {
    let parts = args.shards.iter().map(|path| table::read(path)).collect::<Result<Vec<_>>>()?;
    let merged = shard::merge(&args.shards, parts)?;
    table::write(&args.out, &merged.config, &merged.rows)?;
    term::say(&format!("{} rows in {}", merged.rows.len(), args.out.display()));
    Ok(())
}

/// Where what was done is written down until all is.
fn journal_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}
