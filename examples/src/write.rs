//! The files of a run.

use crate::failure::{Failure, Result};
use crate::job::{Explained, Job};
use crate::method::Finished;
use crate::record::Record;
use crate::words;
use candlelight::image::{Heatmap, Panel, SideBySide};
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
    let path = folder.join(RECORD);
    let json = serde_json::to_string_pretty(&Record::of(job, explained));
    let json = json.map_err(|error| Failure::unwritable(&path, error))?;
    fs::write(&path, json + "\n").map_err(|error| Failure::unwritable(&path, error))?;
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
