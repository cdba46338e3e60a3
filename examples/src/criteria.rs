//! `candlelight criteria`: how fourteen methods share out effects that are known.

use crate::args;
use crate::failure::Result;
use crate::term;
use crate::write;
use candlelight::metrics::criteria::{Verdict, candidates, judge, probes};
use serde::Serialize;

/// One method's row.
#[derive(Serialize)]
struct Row {
    method: &'static str,
    /// Whether some part of every effect goes to its variables.
    covers_all_effects: bool,
    /// The smallest share of an effect that its variables have between them.
    covered: f64,
    /// Whether variables that take no part have nothing.
    none_to_others: bool,
    /// The largest share that one of them has.
    strayed: f64,
    /// Whether every effect is allocated whole.
    allocates_completely: bool,
    /// The largest share of an effect that is missing or too much.
    incomplete: f64,
}

pub fn run(args: &args::Json) -> Result<()> {
    let probes = probes();
    let judged = candidates().into_iter().map(|candidate| Ok(row(judge(&candidate, &probes)?)));
    let rows = judged.collect::<Result<Vec<Row>>>()?;
    if args.json {
        term::say(&write::json(&rows)?);
        return Ok(());
    }
    let titles = ["", "covers all effects", "none to others", "allocates completely"];
    let mut table = vec![titles.map(String::from).to_vec()];
    table.extend(rows.iter().map(|row| {
        let told = |passed: bool, value: f64| {
            if passed { "yes".to_owned() } else { format!("no, {value:.2}") }
        };
        vec![
            row.method.to_owned(),
            told(row.covers_all_effects, row.covered),
            told(row.none_to_others, row.strayed),
            told(row.allocates_completely, row.incomplete),
        ]
    }));
    term::table(&table, &[]);
    Ok(())
}

fn row(verdict: Verdict) -> Row {
    Row {
        method: verdict.name,
        covers_all_effects: verdict.covers(),
        covered: verdict.covered,
        none_to_others: verdict.is_exclusive(),
        strayed: verdict.strayed,
        allocates_completely: verdict.is_complete(),
        incomplete: verdict.incomplete,
    }
}
