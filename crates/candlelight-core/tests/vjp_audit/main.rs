//! The audit of every pull-back: against central differences where a layer is smooth, against PyTorch's values where it
//! has a kink. It makes `docs/vjp-audit.md`; `UPDATE_DOCS=1` rewrites that page.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod facts;
mod harness;
mod layers;
mod maps;

use harness::Found;
use std::collections::BTreeMap;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vjp-audit.md");

const HEADER: &str = "\
# Audit of the pull-backs

Written by the test `vjp_audit` of `candlelight-core`, which fails where this page is not what it found
(`UPDATE_DOCS=1 cargo test --release -p candlelight-core --test vjp_audit` writes it anew).

Everything runs in double precision, on odd and even sizes and, where the settings do not say otherwise, on batches of
0, 1 and 5. A case is one layer in one
setting: its gradients while its parameters train, that of its input once they are frozen, and the check that nothing is
tracked where nothing asks.
";

/// Runs every smooth row and gives the table's lines.
fn smooth() -> String {
    let mut table = format!(
        "\n## Smooth points: central differences\n\nAlong random directions d, to {:e} of Σ|gradient · d|.\n\n\
         | layer | settings | gradients of | cases |\n|---|---|---|---|\n",
        harness::TOLERANCE
    );
    for (layer, settings, check) in layers::ROWS.iter().chain(maps::ROWS) {
        let mut found = Found::default();
        check(&mut found).unwrap_or_else(|error| panic!("{layer}, {settings}: {error}"));
        let tensors: Vec<_> = found.tensors.into_iter().collect();
        writeln!(table, "| {layer} | {settings} | {} | {} |", tensors.join(", "), found.cases).unwrap();
    }
    table
}

/// Runs every fact and gives the table's lines.
fn kinks() -> String {
    let facts = facts::facts();
    let mut counts = BTreeMap::<&str, usize>::new();
    for case in &facts.cases {
        case.check().unwrap();
        *counts.entry(&case.op).or_default() += 1;
    }
    let mut table = format!(
        "\n## Kinks, ties, signed zeros, rows without variance: PyTorch {}\n\nOutput and input gradient, to {:e}; the \
         inputs are made by `tests/data/pytorch.py`.\n\n| layer | cases |\n|---|---|\n",
        facts.pytorch,
        facts::TOLERANCE
    );
    for (op, count) in counts {
        writeln!(table, "| `{op}` | {count} |").unwrap();
    }
    table
}

#[test]
fn every_pull_back_is_the_derivative_and_the_page_says_what_was_checked() {
    let page = format!("{HEADER}{}{}", smooth(), kinks());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(committed == page, "docs/vjp-audit.md is out of date; `UPDATE_DOCS=1` rewrites it");
}
