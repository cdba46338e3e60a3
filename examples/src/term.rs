//! Words on the terminal: colours only where they are seen, and no complaint when nobody reads on.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::io::Write;

/// What matters most.
pub const BOLD: Style = Style::new().bold();
/// What can be skipped.
pub const DIM: Style = Style::new().dimmed();
/// What went well.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// What deserves a look.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What went wrong.
pub const RED: Style = AnsiColor::Red.on_default().bold();

/// `text` in a style; the streams below drop it again where it would not be seen, or `NO_COLOR` is set.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// One line on stdout. A closed pipe is no error: whoever reads has seen enough.
pub fn say(line: &str) {
    drop(writeln!(anstream::stdout().lock(), "{line}"));
}

/// One line on stderr.
pub fn warn(line: &str) {
    drop(writeln!(anstream::stderr().lock(), "{line}"));
}

/// Rows of cells in columns as wide as their widest cell; the first row is the header.
pub fn table(rows: &[Vec<String>], right: &[usize]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(move |row| row.get(column)).map(|cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns).map(|column| width(column).max().unwrap_or(0)).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        say(&if index == 0 { paint(DIM, line.trim_end()) } else { line.trim_end().to_string() });
    }
}
