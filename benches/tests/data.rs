//! The data of the benchmarks is whole, and the page is what the records say.

use anyhow::{Context, Result, ensure};
use candlelight::METHODS;
use candlelight::metrics::METRICS;
use candlelight_benches::page;
use candlelight_benches::rivals::{Extent, Rivals};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_method_and_every_metric_has_a_row_in_the_quick_table() -> Result<()> {
    let rivals = Rivals::known()?;
    let rows = rivals.rows()?;
    let quick: Vec<&str> =
        rows.iter().filter(|row| row.extent == Extent::Quick).map(|row| row.work.does()).collect();
    let names = METHODS.iter().map(|method| method.name).chain(METRICS.iter().map(|entry| entry.name));
    for name in names {
        ensure!(quick.contains(&name), "`{name}` has no row in `benches/peers/rivals.json`");
    }
    Ok(())
}

#[test]
fn no_row_is_there_twice_and_each_has_a_call_or_a_reason_for_none() -> Result<()> {
    let rivals = Rivals::known()?;
    let rows = rivals.rows()?;
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    ensure!(names.len() == rows.len(), "{} names for {} rows", names.len(), rows.len());
    for work in &rivals.works {
        let is_compared = work.rival.is_some() && work.call.is_some() && work.no_peer.is_none();
        let is_alone = work.rival.is_none() && work.call.is_none() && work.no_peer.is_some();
        ensure!(is_compared || is_alone, "`{}` has neither a rival's call nor a reason", work.work);
    }
    Ok(())
}

#[test]
fn every_deviation_is_a_row_of_the_page_of_deviations() -> Result<()> {
    let text = fs::read_to_string(root().join("DEVIATIONS.md"))?;
    for work in Rivals::known()?.works {
        let Some(deviation) = work.deviation else { continue };
        ensure!(text.contains(&format!("\n| {deviation} |")), "`{}`: no row `{deviation}`", work.work);
    }
    Ok(())
}

#[test]
fn every_package_is_pinned_and_every_runner_is_there() -> Result<()> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let pinned = fs::read_to_string(peers.join("requirements.txt"))?;
    ensure!(pinned.lines().all(|line| line.contains("==")), "a requirement without a version");
    for rival in Rivals::known()?.rivals {
        ensure!(peers.join(format!("{}.py", rival.runner)).is_file(), "no runner of `{}`", rival.name);
        for package in &rival.requires {
            let is_pinned = pinned.lines().any(|line| line.starts_with(&format!("{package}==")));
            ensure!(is_pinned, "`{package}` is not in the requirements");
        }
    }
    Ok(())
}

#[test]
fn the_page_is_what_the_records_say() -> Result<()> {
    let text = fs::read_to_string(page::path()).context("`docs/benchmarks.md`")?;
    ensure!(
        text == page::page()?,
        "`docs/benchmarks.md` is out of date; run `cargo run --release -p candlelight-benches --bin page`"
    );
    Ok(())
}
