//! What is measured: samples, methods and metrics.

use super::dataset::{self, Sample};
use super::row::Row;
use super::shard::Shard;
use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::job;
use crate::method::{self, Selection, Wish};
use crate::metric;
use crate::model::{self, Opened};
use crate::target;
use crate::words;
use candle_core::{Device, Tensor};
use candlelight::image::{self, RgbImage};
use candlelight::metrics::{self, Metric, Subject};
use candlelight::{Error, Explain, Query, Target};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// Everything that is the same for all samples.
pub struct Plan {
    pub samples: Vec<Sample>,
    pub config: Config,
    targets: Vec<Target>,
    model: Opened,
    methods: Vec<(&'static str, Box<dyn Explain>)>,
    metrics: Vec<(&'static str, Box<dyn Metric>)>,
    seed: u64,
}

/// What two runs have in common whose rows fit together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The program's version.
    version: String,
    samples: usize,
    /// SHA-256 of the names, sizes, targets and masks of all samples.
    data: String,
    model: String,
    /// SHA-256 of the weights.
    weights: String,
    methods: Vec<String>,
    metrics: Vec<String>,
    seed: u64,
}

/// The same with the part of the samples that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharded {
    pub shard: Shard,
    pub config: Config,
}

impl Config {
    /// The first line of a journal.
    pub fn line(&self, shard: Shard) -> String {
        self.table(shard).text()
    }

    /// What a table says about itself.
    pub fn table(&self, shard: Shard) -> Sharded {
        Sharded { shard, config: self.clone() }
    }
}

impl Sharded {
    pub fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

impl Plan {
    pub fn of(args: &args::Evaluate) -> Result<Self> {
        let metrics = metrics_of(&args.metrics)?;
        let selection = Selection::of(&args.methods)?;
        if selection.wish == Wish::WhatSuits {
            return Err(Failure::input(
                "`all` means other methods for other models",
                "name the methods that you compare",
            ));
        }
        let samples = dataset::open(&args.dataset)?;
        let model = Opened::of(&args.model)?;
        let targets =
            samples.iter().map(|sample| wanted(sample, args, &model)).collect::<Result<Vec<_>>>()?;
        let settings = method::plain_settings(&model)?;
        let built = selection.methods.iter().map(|method| Ok((method.name, method.with(&settings)?)));
        let methods = built.collect::<Result<Vec<_>>>()?;
        let names = |names: Vec<&'static str>| names.into_iter().map(str::to_owned).collect();
        let config = Config {
            version: env!("CARGO_PKG_VERSION").into(),
            samples: samples.len(),
            data: fingerprint(&samples, &targets)?,
            model: model.loaded.name.clone(),
            weights: model.fingerprint()?,
            methods: names(methods.iter().map(|(name, _)| *name).collect()),
            metrics: names(metrics.iter().map(|(name, _)| *name).collect()),
            seed: args.seed,
        };
        Ok(Self { samples, config, targets, model, methods, metrics, seed: args.seed })
    }

    /// Rows of every sample.
    pub fn rows_of_a_sample(&self) -> usize {
        self.methods.len() * self.metrics.len()
    }

    /// The rows of one sample.
    pub fn measure(&self, index: usize) -> Result<Vec<Row>> {
        let sample = &self.samples[index];
        self.rows(index, sample).map_err(|failure| failure.about(&sample.image))
    }

    fn rows(&self, index: usize, sample: &Sample) -> Result<Vec<Row>> {
        let picture = image::open(&sample.image)?;
        let input = self.model.input(&picture)?;
        let mask = sample.mask.as_deref().map(|mask| self.mask(mask, &picture)).transpose()?;
        let class = match self.targets[index] {
            Target::Class(class) => class,
            _ => job::top(&self.model.logits(&input)?)[0].0,
        };
        let query =
            Query::from((&input, Target::Class(class))).seed(self.seed).on_progress(|_| interrupt::go_on());
        let mut rows = Vec::with_capacity(self.rows_of_a_sample());
        for (method, explainer) in &self.methods {
            let map = explainer.attribute(&self.model.loaded.model, &query).map_err(stopped)?;
            if map.convergence().partial.is_some() {
                return Err(interrupted());
            }
            let subject = Subject::new(&self.model.loaded.model, &query, &map)?.method(&**explainer);
            let subject = mask.iter().fold(subject, Subject::masks);
            for (metric, measure) in &self.metrics {
                let (value, note) = number(measure.measure(&subject))?;
                let (method, metric) = ((*method).to_owned(), (*metric).to_owned());
                let (sample, class) = (sample.name.clone(), class as u32);
                rows.push(Row { index: index as u64, sample, method, metric, class, value, note });
            }
        }
        Ok(rows)
    }

    /// Where the object is on what the model sees, `[1, H, W]`.
    fn mask(&self, path: &Path, picture: &RgbImage) -> Result<Tensor> {
        let mask = image::open(path)?;
        if mask.dimensions() != picture.dimensions() {
            let (found, expected) = (mask.dimensions(), picture.dimensions());
            let message =
                format!("the mask `{}` has `{found:?}` pixels, its image `{expected:?}`", path.display());
            return Err(Failure::input(message, "a mask has the size of its image"));
        }
        let seen = self.model.preprocess.pixels(&mask)?;
        let inside: Vec<u8> = seen.pixels().map(|pixel| u8::from(pixel.0[0] > 127)).collect();
        let shape = (1, seen.height() as usize, seen.width() as usize);
        Ok(Tensor::from_vec(inside, shape, &Device::Cpu)?)
    }
}

fn metrics_of(names: &[String]) -> Result<Vec<(&'static str, Box<dyn Metric>)>> {
    let found = metric::named(metric::listed(names))?;
    match found.is_empty() {
        true => Err(Failure::input(
            "no metric was named",
            "give some with `--metrics`, such as `deletion,insertion`",
        )),
        false => Ok(found.into_iter().map(|entry| (entry.name, (entry.build)())).collect()),
    }
}

/// The class to explain: as asked for, else as the data set says, else the likeliest.
fn wanted(sample: &Sample, args: &args::Evaluate, model: &Opened) -> Result<Target> {
    let asked = args.target.as_deref().or(sample.target.as_deref()).unwrap_or("top");
    target::resolve(asked, &model.loaded.labels).map_err(|failure| match &args.target {
        Some(_) => failure,
        None => failure
            .about(&sample.image)
            .or("name folders by classes of the model, or explain the likeliest with `--target top`"),
    })
}

/// SHA-256 of what the samples are, as far as that is known without reading them.
fn fingerprint(samples: &[Sample], targets: &[Target]) -> Result<String> {
    let mut hash = Sha256::new();
    for (sample, target) in samples.iter().zip(targets) {
        let class = if let Target::Class(class) = target { class.to_string() } else { "top".into() };
        let sizes = [Some(&sample.image), sample.mask.as_ref()].into_iter().flatten().map(|path| size(path));
        let sizes = sizes.collect::<Result<Vec<_>>>()?;
        hash.update(format!("{}\n{class}\n{sizes:?}\n", sample.name));
    }
    Ok(model::hex(&hash.finalize()))
}

fn size(path: &Path) -> Result<u64> {
    let size = fs::metadata(path).map(|file| file.len());
    size.map_err(|error| {
        Failure::input(format!("cannot read `{}`: {error}", path.display()), "check what the manifest names")
    })
}

/// The number of the one row, or why it has none.
fn number(measured: metrics::Result<metrics::Measured>) -> Result<(Option<f64>, Option<String>)> {
    match measured {
        Ok(measured) => Ok((measured.values.first().copied(), None)),
        Err(error @ (metrics::Error::ConstantMap { .. } | metrics::Error::NoRelevance { .. })) => {
            Ok((None, Some(error.to_string())))
        }
        Err(error @ metrics::Error::Missing { .. }) => Err(Failure::input(
            words::short(&error.to_string()),
            "name a mask for every image in a manifest, or leave the metric out",
        )),
        Err(metrics::Error::Core(error)) => Err(stopped(error)),
        Err(error) => Err(error.into()),
    }
}

/// Why a method or a metric ended early.
fn stopped(error: Error) -> Failure {
    match error {
        Error::Cancelled { .. } => interrupted(),
        error => error.into(),
    }
}

fn interrupted() -> Failure {
    Failure::interrupted("interrupted: the same command goes on with this image")
}
