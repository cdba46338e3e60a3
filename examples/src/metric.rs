//! Which metrics are meant.

use crate::failure::Result;
use candlelight::metrics::Entry;

/// The metrics of these names; one named twice is measured once.
pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'static Entry>> {
    let mut metrics: Vec<&'static Entry> = Vec::new();
    for name in names {
        let entry = Entry::named(name)?;
        if !metrics.iter().any(|known| known.name == entry.name) {
            metrics.push(entry);
        }
    }
    Ok(metrics)
}

/// What was written between the commas of a list.
pub fn listed(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(|name| name.trim()).filter(|name| !name.is_empty())
}
