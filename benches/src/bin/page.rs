//! Writes `docs/benchmarks.md` from the records.

use anyhow::Result;
use candlelight_benches::page;

fn main() -> Result<()> {
    std::fs::write(page::path(), page::page()?)?;
    println!("{}", page::path().display());
    Ok(())
}
