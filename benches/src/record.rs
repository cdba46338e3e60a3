//! What was measured, a line for each row, in a file of comma-separated values.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// One row of the table; what does not apply is empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// `work/model/rows`.
    pub row: String,
    /// Where the model ran.
    pub device: String,
    /// Whose time is compared.
    pub rival: String,
    /// `agrees`, `no peer`, `differs` or `failed`.
    pub state: String,
    /// Medians, smallest and largest of our times, in seconds.
    pub ours_s: Option<f64>,
    /// The smallest.
    pub ours_min_s: Option<f64>,
    /// The largest.
    pub ours_max_s: Option<f64>,
    /// Median of the peer's times, in seconds.
    pub peer_s: Option<f64>,
    /// The smallest.
    pub peer_min_s: Option<f64>,
    /// The largest.
    pub peer_max_s: Option<f64>,
    /// The peer's time over ours, the median of the pairs.
    pub ratio: Option<f64>,
    /// The smallest of the pairs.
    pub ratio_min: Option<f64>,
    /// The largest.
    pub ratio_max: Option<f64>,
    /// Images in a second, ours.
    pub ours_images_per_s: Option<f64>,
    /// Images in a second, the peer's.
    pub peer_images_per_s: Option<f64>,
    /// Our largest resident size, in MiB.
    pub ours_mib: Option<f64>,
    /// The peer's.
    pub peer_mib: Option<f64>,
    /// How far both are apart in double precision, relative L2.
    pub float64: Option<f64>,
    /// How far our result in the timed precision is from double precision.
    pub ours_rounding: Option<f64>,
    /// The same of the peer.
    pub peer_rounding: Option<f64>,
    /// How far our result on the device is from that on the CPU, in single precision.
    pub device_apart: Option<f64>,
    /// The share of the processors that the host took away meanwhile, where it is worth a warning.
    pub stolen: Option<f64>,
    /// Pairs, or runs without a peer.
    pub runs: Option<f64>,
    /// Threads of each side.
    pub threads: Option<f64>,
    /// What there is to say: why there is no peer, what is compared, what went wrong.
    pub note: String,
}

impl Line {
    fn values(&self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(values) => Ok(values),
            _ => anyhow::bail!("a line is an object"),
        }
    }

    /// The names of the columns, in their order.
    fn columns() -> Vec<&'static str> {
        vec![
            "row",
            "device",
            "rival",
            "state",
            "ours_s",
            "ours_min_s",
            "ours_max_s",
            "peer_s",
            "peer_min_s",
            "peer_max_s",
            "ratio",
            "ratio_min",
            "ratio_max",
            "ours_images_per_s",
            "peer_images_per_s",
            "ours_mib",
            "peer_mib",
            "float64",
            "ours_rounding",
            "peer_rounding",
            "device_apart",
            "stolen",
            "runs",
            "threads",
            "note",
        ]
    }
}

/// Reads a file; one that is not there has no lines.
///
/// # Errors
/// If it is no such file.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path)?;
    let mut rows = text.lines();
    let header: Vec<&str> = rows.next().context("the file is empty")?.split(',').collect();
    rows.map(|row| line(&header, row).with_context(|| format!("{}: `{row}`", path.display()))).collect()
}

fn line(header: &[&str], row: &str) -> Result<Line> {
    let values = header.iter().zip(row.split(',')).filter(|(_, text)| !text.is_empty());
    let value = |(name, text): (&&str, &str)| {
        let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
        ((*name).to_owned(), number.unwrap_or_else(|| Value::String(text.to_owned())))
    };
    let mut values: Map<String, Value> = values.map(value).collect();
    for text in ["row", "device", "rival", "state", "note"] {
        values.entry(text).or_insert_with(|| Value::String(String::new()));
    }
    Ok(serde_json::from_value(Value::Object(values))?)
}

/// Writes lines, those of rows that are there already in their place.
///
/// # Errors
/// If the file cannot be read or written.
pub fn put(path: &Path, line: &Line) -> Result<()> {
    let mut lines = read(path)?;
    match lines.iter_mut().find(|old| old.row == line.row && old.device == line.device) {
        Some(old) => *old = line.clone(),
        None => lines.push(line.clone()),
    }
    let mut text = Line::columns().join(",");
    for line in &lines {
        let values = line.values()?;
        let cells: Vec<String> = Line::columns().iter().map(|name| cell(&values[*name])).collect();
        text.push_str(&format!("\n{}", cells.join(",")));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

/// Numbers with five digits, text without what separates cells and lines.
fn cell(value: &Value) -> String {
    match value {
        Value::Number(number) => rounded(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.replace(',', ";").replace(['\n', '\r', '"'], " "),
        _ => String::new(),
    }
}

fn rounded(number: f64) -> String {
    match number == 0.0 || (1e-3..1e6).contains(&number.abs()) {
        true => format!("{}", format!("{number:.4e}").parse::<f64>().unwrap_or(number)),
        false => format!("{number:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_takes_the_place_of_an_older_one() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("record.csv");
        let line = |row: &str, note: &str| Line {
            row: row.to_owned(),
            ours_s: Some(0.25),
            float64: Some(3e-15),
            note: note.to_owned(),
            ..Line::default()
        };
        put(&path, &line("a", "one, two"))?;
        put(&path, &line("b", ""))?;
        put(&path, &line("a", "three"))?;
        assert_eq!(read(&path)?, [line("a", "three"), line("b", "")]);
        put(&path, &line("a", "one, two"))?;
        assert_eq!(read(&path)?[0].note, "one; two");
        Ok(())
    }
}
