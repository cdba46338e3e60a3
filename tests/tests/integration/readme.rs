//! The README says what there is.

use anyhow::{Context, Result, ensure};
use candlelight_core::METHODS;
use std::path::Path;

#[test]
fn the_table_of_methods_is_the_registry() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(path)?;
    let table = text.split("## Methods").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = table.context("no section of methods")?.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<&str> = rows.collect();
    ensure!(rows.len() == METHODS.len(), "{} rows for {} methods", rows.len(), METHODS.len());
    for (row, method) in rows.iter().zip(METHODS) {
        let starts = format!("| `{}` | {} |", method.name, method.title);
        ensure!(row.starts_with(&starts) && row.contains(method.paper), "`{row}` is not `{starts}`");
    }
    Ok(())
}
