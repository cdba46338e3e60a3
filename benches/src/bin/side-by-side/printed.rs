//! How rows are printed: as a table for people, or as JSON for programs.

use candlelight_benches::record::Line;
use serde_json::json;

/// The form of what stands on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printed {
    /// A line of text for each row under a header.
    Table,
    /// An object for each row.
    Json,
}

impl Printed {
    /// What stands before the rows.
    pub fn start(self) {
        if self == Self::Table {
            println!("{HEADER}");
        }
    }

    /// A row.
    pub fn line(self, line: &Line) {
        match self {
            Self::Table => println!("{}", text(line)),
            Self::Json => println!("{}", object(line)),
        }
    }
}

const HEADER: &str = "row                                                 ours s     peer s  ratio   (min    max)  images/s: ours     peer   MiB: ours   peer  apart in float64  state";

/// The line of the table.
fn text(line: &Line) -> String {
    let number =
        |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    let apart = line.float64.map_or("-".into(), |apart| format!("{apart:.0e}"));
    let why = if line.state.is_whole() { "" } else { &line.note };
    format!(
        "{:<46} {:>11} {:>10} {:>6} {:>7} {:>7} {:>15} {:>8} {:>11} {:>6} {:>17}  {} {why}",
        line.row,
        number(line.ours_s, 4),
        number(line.peer_s, 4),
        number(line.ratio, 2),
        number(line.ratio_min, 2),
        number(line.ratio_max, 2),
        number(line.ours_images_per_s, 1),
        number(line.peer_images_per_s, 1),
        number(line.ours_mib, 0),
        number(line.peer_mib, 0),
        apart,
        line.state.words(),
    )
}

/// The row as an object; what does not apply is null.
fn object(line: &Line) -> serde_json::Value {
    json!({
        "row": line.row,
        "ours_s": line.ours_s,
        "peer_s": line.peer_s,
        "ratio": line.ratio,
        "ratio_min": line.ratio_min,
        "ratio_max": line.ratio_max,
        "ours_rss_mib": line.ours_mib,
        "peer_rss_mib": line.peer_mib,
        "agreement": { "float64": line.float64, "ours": line.ours_rounding, "peer": line.peer_rounding },
        "peer": line.rival,
        "state": line.state.words(),
        "stolen": line.stolen,
        "note": line.note,
    })
}
