//! What the page says.

use super::card::{Card, Fact};
use super::{outline, plot, repeat};
use crate::failure::{Failure, Result};
use crate::job::{Explained, Job};
use crate::subject::{Origin, Truth};
use crate::words;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use candlelight::image::RgbImage;
use image::ImageFormat;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Cursor;

/// A run on one image.
#[derive(Serialize)]
pub struct Page {
    name: String,
    label: String,
    contrast: Option<String>,
    about: String,
    picture: Picture,
    classes: Vec<Class>,
    check: Check,
    truth: Option<Edge>,
    cards: Vec<Card>,
    skipped: Vec<Skipped>,
    /// The method that was stopped.
    interrupted: Option<&'static str>,
    /// The command line that repeats it.
    command: String,
    facts: Vec<Fact>,
    palettes: BTreeMap<&'static str, String>,
}

/// A picture in the page itself.
#[derive(Serialize)]
pub struct Picture {
    /// A PNG, base64.
    png: String,
    width: u32,
    height: u32,
    alt: String,
}

#[derive(Serialize)]
struct Class {
    label: String,
    /// Of the whole bar, in per cent.
    percent: f64,
    words: String,
    explained: bool,
}

/// Whether the gradients are the model's derivatives.
#[derive(Serialize)]
struct Check {
    agrees: bool,
    words: String,
}

/// Where the object is.
#[derive(Serialize)]
pub struct Edge {
    path: String,
    words: String,
}

#[derive(Serialize)]
struct Skipped {
    name: &'static str,
    reason: String,
}

impl Page {
    pub fn of(job: &Job, explained: &Explained) -> Result<Self> {
        let subject = &explained.subject;
        let skipped = |(name, reason): &(&'static str, String)| Skipped { name, reason: reason.clone() };
        Ok(Self {
            name: subject.stem.clone(),
            label: job.label(explained.class),
            contrast: explained.contrast.map(|class| job.label(class)),
            about: about(job, explained),
            picture: Picture::of(&subject.seen, format!("{}, as the model sees it", subject.stem))?,
            classes: explained.top.iter().map(|&class| Class::of(job, explained, class)).collect(),
            check: Check::of(explained),
            truth: subject.truth.as_ref().map(Edge::of).transpose()?,
            cards: cards(job, explained)?,
            skipped: explained.skipped.iter().map(skipped).collect(),
            interrupted: explained.interrupted,
            command: words::command(&job.command),
            facts: repeat::facts(
                job.model,
                (&job.args.model.model, &job.weights),
                Some(Fact::new("SHA-256 of the image", subject.sha256.clone())),
                job.args.seed,
            ),
            palettes: plot::palettes(),
        })
    }
}

/// Maps of one method share a card.
fn cards(job: &Job, explained: &Explained) -> Result<Vec<Card>> {
    let all: Vec<_> = explained.finished.iter().collect();
    all.chunk_by(|a, b| a.method.name == b.method.name).map(|maps| Card::of(job, explained, maps)).collect()
}

fn about(job: &Job, explained: &Explained) -> String {
    let (width, height) = explained.subject.seen.dimensions();
    let from = match &explained.subject.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Scene(seed) => format!("the scene of seed {seed}"),
    };
    format!("{from}, as {} sees it: {width} × {height} pixels", job.model.loaded.name)
}

impl Picture {
    pub fn of(pixels: &RgbImage, alt: String) -> Result<Self> {
        let mut png = Cursor::new(Vec::new());
        let written = pixels.write_to(&mut png, ImageFormat::Png);
        written.map_err(|error| Failure::result(error.to_string(), "please report this"))?;
        let (width, height) = pixels.dimensions();
        Ok(Self { png: BASE64_STANDARD.encode(png.into_inner()), width, height, alt })
    }
}

impl Class {
    fn of(job: &Job, explained: &Explained, (class, share): (usize, f64)) -> Self {
        Self {
            label: job.label(class),
            percent: (share * 1000.0).round() / 10.0,
            words: words::percent(share),
            explained: class == explained.class || explained.contrast == Some(class),
        }
    }
}

impl Check {
    fn of(explained: &Explained) -> Self {
        match &explained.check {
            Ok(check) => {
                let worst = words::percent(check.worst);
                Self {
                    agrees: true,
                    words: format!("Gradients agree with finite differences within {worst}."),
                }
            }
            Err(error) => {
                Self { agrees: false, words: format!("{error}. Do not trust the maps that need gradients.") }
            }
        }
    }
}

impl Edge {
    pub fn of(truth: &Truth) -> Result<Self> {
        let (_, _, width) = truth.mask.dims3()?;
        let inside: Vec<u8> = truth.mask.flatten_all()?.to_vec1()?;
        let (object, share) = (words::one(truth.shape.name()), words::percent(truth.share));
        Ok(Self { path: outline::path(&inside, width), words: format!("{object}, {share} of the picture") })
    }
}
