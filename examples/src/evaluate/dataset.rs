//! Which images there are.

use crate::failure::{Failure, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// An image and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its path inside of the data set, with `/` between the parts.
    pub name: String,
    pub image: PathBuf,
    /// The class to explain, by number or label.
    pub target: Option<String>,
    /// The picture that is not black where the object is.
    pub mask: Option<PathBuf>,
}

/// Manifests that a folder may have.
const MANIFESTS: [&str; 2] = ["manifest.jsonl", "manifest.csv"];
/// Endings of images.
const IMAGES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// A line of a manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    image: String,
    #[serde(default)]
    target: Option<Class>,
    #[serde(default)]
    mask: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Class {
    Number(u64),
    Label(String),
}

/// The samples of a folder `class/image.png`, or of a manifest, in an order that does not change.
pub fn open(path: &Path) -> Result<Vec<Sample>> {
    let manifest = match path.is_dir() {
        true => MANIFESTS.iter().map(|name| path.join(name)).find(|manifest| manifest.is_file()),
        false => Some(path.to_path_buf()),
    };
    let samples = match manifest {
        Some(manifest) => listed(&manifest)?,
        None => folders(path)?,
    };
    match samples.is_empty() {
        false => Ok(samples),
        true => Err(Failure::input(
            format!("`{}` has no images", path.display()),
            "put them into a folder for each class, `class/image.png`, or write a `manifest.jsonl` with a line \
             `{\"image\": \"a.png\", \"target\": \"cat\", \"mask\": \"a-mask.png\"}` for each",
        )),
    }
}

fn folders(root: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let class = name_of(&folder);
        for image in entries(&folder)?.into_iter().filter(|path| is_image(path)) {
            let name = format!("{class}/{}", name_of(&image));
            samples.push(Sample { name, image, target: Some(class.clone()), mask: None });
        }
    }
    Ok(samples)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().map_err(|error| unreadable(folder, &error))?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| IMAGES.contains(&&*ending))
}

fn listed(manifest: &Path) -> Result<Vec<Sample>> {
    let text = fs::read_to_string(manifest).map_err(|error| unreadable(manifest, &error))?;
    let is_csv = manifest.extension().is_some_and(|ending| ending == "csv");
    let lines = if is_csv { of_csv(&text) } else { of_json(&text) };
    let lines = lines.map_err(|(number, message)| {
        let message = format!("line {number} of `{}`: {message}", manifest.display());
        Failure::input(message, "a line names `image` and, where they are known, `target` and `mask`")
    })?;
    let root = manifest.parent().unwrap_or_else(|| Path::new(""));
    Ok(lines.into_iter().map(|line| line.sample(root)).collect())
}

impl Line {
    fn sample(self, root: &Path) -> Sample {
        let target = self.target.map(|class| match class {
            Class::Number(number) => number.to_string(),
            Class::Label(label) => label,
        });
        let (image, mask) = (root.join(&self.image), self.mask.map(|mask| root.join(mask)));
        Sample { name: self.image, image, target, mask }
    }
}

/// A line's number and what is wrong with it.
type Wrong = (usize, String);

fn of_json(text: &str) -> Result<Vec<Line>, Wrong> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| (at + 1, error.to_string()))).collect()
}

fn of_csv(text: &str) -> Result<Vec<Line>, Wrong> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<&str> =
        lines.next().map_or_else(Vec::new, |(_, line)| line.split(',').map(str::trim).collect());
    if let Some(unknown) = header.iter().find(|name| !["image", "target", "mask"].contains(name)) {
        return Err((1, format!("`{unknown}` is no column")));
    }
    let line = |(at, line): (usize, &str)| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if line.contains('"') {
            return Err((
                at + 1,
                "quotes are not understood; write JSON lines where names have commas".to_owned(),
            ));
        }
        if cells.len() != header.len() {
            return Err((at + 1, format!("has `{}` cells, the first line `{}`", cells.len(), header.len())));
        }
        let cell = |name: &str| {
            let column = header.iter().position(|known| *known == name)?;
            Some(cells[column].to_owned()).filter(|cell| !cell.is_empty())
        };
        let image = cell("image").ok_or_else(|| (at + 1, "names no image".to_owned()))?;
        Ok(Line { image, target: cell("target").map(Class::Label), mask: cell("mask") })
    };
    lines.map(line).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read `{}`: {error}", path.display()), "check the path and its permissions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_manifest_say_the_same() {
        let json = "{\"image\": \"a.png\", \"target\": 3, \"mask\": \"m.png\"}\n\n{\"image\": \"b.png\"}\n";
        let csv = "image, target, mask\na.png, 3, m.png\nb.png,,\n";
        let samples = |lines: Result<Vec<Line>, Wrong>| {
            lines
                .ok()
                .map(|lines| lines.into_iter().map(|line| line.sample(Path::new("root"))).collect::<Vec<_>>())
        };
        let found = samples(of_json(json));
        assert_eq!(found, samples(of_csv(csv)));
        let found = found.unwrap_or_default();
        assert_eq!((found.len(), found[0].target.as_deref(), &*found[1].name), (2, Some("3"), "b.png"));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let number = |lines: Result<Vec<Line>, Wrong>| lines.err().map(|(number, _)| number);
        assert_eq!(number(of_json("{\"image\": \"a.png\"}\n{\"imge\": \"b.png\"}")), Some(2));
        assert_eq!(number(of_csv("image,colour\na.png,red")), Some(1));
        assert_eq!(number(of_csv("image,mask\na.png,b.png\nc.png")), Some(3));
        assert_eq!(number(of_csv("image,mask\n\"a,b.png\",c.png")), Some(2));
        assert_eq!(number(of_csv("image,mask\n,c.png")), Some(2));
    }
}
