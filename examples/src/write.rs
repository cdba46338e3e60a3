//! The files of a run.

use crate::failure::{Failure, Result};
use crate::job::{Explained, Job};
use crate::method::Finished;
use crate::record::Record;
use crate::words;
use candlelight::image::{Charts, Heatmap, Panel, SideBySide};
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the raw maps are.
pub const MAPS: &str = "maps.safetensors";
/// Where the record is.
pub const RECORD: &str = "record.json";

/// Makes a folder, and those above it.
pub fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::unwritable(path, error))
}

/// A text in a folder.
pub fn text(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| Failure::unwritable(&path, error))
}

/// Charts in a folder, as SVG and as PNG.
pub fn charts(charts: &Charts, folder: &Path, stem: &str) -> Result<()> {
    ["svg", "png"].into_iter().try_for_each(|ending| {
        let path = folder.join(format!("{stem}.{ending}"));
        charts.save(&path).map_err(|error| Failure::unwritable(&path, error))
    })
}

/// A value as JSON for people.
pub fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Failure::result(error.to_string(), "please report this"))
}

/// One map over the picture.
pub fn overlay(explained: &Explained, finished: &Finished, folder: &Path) -> Result<()> {
    let path = folder.join(explained.picture(finished));
    let overlay = Heatmap::of(&finished.map).over(&explained.subject.seen);
    overlay.save(&path).map_err(|error| Failure::unwritable(&path, error))
}

/// The picture beside all maps, the raw maps, and the record; gives the picture's path.
pub fn all(job: &Job, explained: &Explained, folder: &Path) -> Result<PathBuf> {
    let sheet = folder.join(format!("{}.png", explained.subject.stem));
    side_by_side(job, explained)?.save(&sheet).map_err(|error| Failure::unwritable(&sheet, error))?;
    maps(explained, &folder.join(MAPS))?;
    text(folder, RECORD, &(json(&Record::of(job, explained))? + "\n"))?;
    Ok(sheet)
}

fn side_by_side(job: &Job, explained: &Explained) -> Result<SideBySide> {
    let Explained { subject, .. } = explained;
    let label = |class: usize| words::label(&job.model.loaded.labels.name(class));
    let heading = format!("{} by {}: why {}?", subject.stem, job.model.loaded.name, label(explained.class));
    let mut sheet = SideBySide::of(&subject.seen).heading(heading);
    for &(class, share) in explained.top.iter().take(3) {
        sheet = sheet.note(format!("{} {}", label(class), words::percent(share)));
    }
    for finished in &explained.finished {
        sheet = sheet.panel(panel(job, explained, finished));
    }
    Ok(match &subject.truth {
        Some(truth) => sheet.outline(truth.outline()?),
        None => sheet,
    })
}

fn panel(job: &Job, explained: &Explained, finished: &Finished) -> Panel {
    let title = match explained.contrast {
        Some(_) => format!("{}: {}", finished.method.title, job.label(finished.class)),
        None => finished.method.title.to_owned(),
    };
    let panel = Panel::new(title, Heatmap::of(&finished.map));
    let panel = panel.note(words::convergence(finished.map.convergence()));
    match &finished.agreement {
        Some(agreement) => panel.note(words::agreement(agreement)),
        None => panel,
    }
}

/// One tensor per map, with the sign, the scale and the type that it was computed with.
fn maps(explained: &Explained, path: &Path) -> Result<()> {
    let maps: HashMap<String, _> =
        explained.finished.iter().map(|it| (explained.key(it), it.values().clone())).collect();
    candle_core::safetensors::save(&maps, path).map_err(|error| Failure::unwritable(path, error))
}
