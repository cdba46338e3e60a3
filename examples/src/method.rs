//! One method on one image.

use crate::args;
use crate::baseline;
use crate::failure::{Failure, Result};
use crate::features;
use crate::job::{Job, Watch};
use crate::metric;
use crate::model::{Opened, Origin};
use crate::subject::{Subject, Truth};
use candle_core::Tensor;
use candlelight::metrics::{PointingGame, RelevanceMassAccuracy};
use candlelight::models::scenes::Scene;
use candlelight::{Attribution, Composite, Error, METHODS, Method, Model, Query, Settings, Target, method};
use std::time::{Duration, Instant};

/// The first scene seed of the references for Expected Gradients: no scene of training or evaluation.
const FIRST_REFERENCE: u64 = 1 << 48;
/// How many scenes they are.
const REFERENCES: u64 = 50;

/// The methods that were asked for.
pub struct Selection {
    pub methods: Vec<&'static Method>,
    pub wish: Wish,
}

/// Whether a method that does not suit the model may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `all`: it may.
    WhatSuits,
    /// By name: it may not.
    Exactly,
}

impl Selection {
    /// What `--method` says; a method named twice runs once.
    pub fn of(names: &[String]) -> Result<Self> {
        let names: Vec<&str> = metric::listed(names).collect();
        if names.contains(&"all") {
            return Ok(Self { methods: METHODS.iter().collect(), wish: Wish::WhatSuits });
        }
        let mut methods: Vec<&'static Method> = Vec::new();
        for name in names {
            let found = method(name)?;
            if !methods.iter().any(|known| known.name == found.name) {
                methods.push(found);
            }
        }
        match methods.is_empty() {
            true => Err(Failure::input(
                "no method was named",
                "`candlelight methods` lists them, `all` runs them",
            )),
            false => Ok(Self { methods, wish: Wish::Exactly }),
        }
    }
}

/// The settings of every method where the command line says nothing.
pub fn plain_settings(model: &Opened) -> Result<Settings> {
    Ok(Settings { references: known_references(model)?, ..Settings::default() })
}

/// The settings of every method, from the command line and the model.
pub fn settings(args: &args::Explain, model: &Opened) -> Result<Settings> {
    let references = known_references(model)?;
    let baseline = args.baseline.as_deref().map(|name| baseline::of(name, model, references.as_ref()));
    let composite = args.rules.as_deref().map(Composite::named).transpose()?;
    let (layers, head, steps, until) = (args.layer.clone(), args.head, args.steps, args.until);
    let features = args.features.as_deref().map(features::of).transpose()?;
    let (window, stride, baseline) = (args.window.clone(), args.stride.clone(), baseline.transpose()?);
    Ok(Settings { layers, head, references, baseline, composite, steps, until, features, window, stride })
}

/// What Expected Gradients compares with, where training data is at hand.
fn known_references(model: &Opened) -> Result<Option<Tensor>> {
    match model.origin {
        Origin::Bundled => references(model).map(Some),
        Origin::Elsewhere => Ok(None),
    }
}

/// Scenes as Expected Gradients compares with, `[50, 3, 64, 64]`.
pub fn references(model: &Opened) -> Result<Tensor> {
    let scene = |seed| model.input(&crate::subject::picture(Scene::single(seed).pixels)?);
    let scenes = (FIRST_REFERENCE..FIRST_REFERENCE + REFERENCES).map(scene).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&scenes, 0)?)
}

/// What Expected Gradients compares with, in words; `asked` is what `--baseline` says.
pub fn references_in_words(settings: &Settings, asked: Option<&str>) -> String {
    match (asked, &settings.references) {
        (Some(asked), _) => asked.to_owned(),
        (None, Some(_)) => format!("{REFERENCES} scenes, seeds from {FIRST_REFERENCE}"),
        (None, None) => "uniform noise, for want of training data".into(),
    }
}

/// A method that ran.
pub struct Finished {
    pub method: &'static Method,
    pub class: usize,
    pub map: Attribution,
    pub time: Duration,
    pub agreement: Option<Agreement>,
}

/// How a map agrees with the ground truth.
pub enum Agreement {
    Scores {
        hit: bool,
        mass: f64,
    },
    /// The map has no score, and why.
    None(String),
}

impl Finished {
    /// The raw map of a first row of `[1, …]`.
    pub fn values(&self) -> &Tensor {
        self.map.values()
    }
}

/// Runs a method for a class; `model` is the job's. `Error::Cancelled` comes through as it is.
pub fn run(
    (method, model): (&'static Method, &dyn Model),
    job: &Job,
    subject: &Subject,
    class: usize,
    watch: Watch,
) -> Result<Finished, Error> {
    let query = Query::from((&subject.input, Target::Class(class))).seed(job.args.seed).on_progress(watch);
    let started = Instant::now();
    let map = method.with(&job.settings)?.attribute(model, &query)?;
    let time = started.elapsed();
    let truth = subject.truth.as_ref().filter(|truth| truth.answers(class, job.model));
    let agreement = truth.map(|truth| agree(&map, truth));
    Ok(Finished { method, class, map, time, agreement })
}

fn agree(map: &Attribution, truth: &Truth) -> Agreement {
    let hits = PointingGame::default().score(map, &truth.mask);
    let masses = RelevanceMassAccuracy::default().score(map, &truth.mask);
    match (hits, masses) {
        (Ok(hits), Ok(masses)) => Agreement::Scores { hit: hits[0] == 1.0, mass: masses[0] },
        (Err(error), _) | (_, Err(error)) => Agreement::None(error.to_string()),
    }
}
