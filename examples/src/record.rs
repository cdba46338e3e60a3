//! The record of a run: everything needed to repeat it.

use crate::job::{Explained, Job};
use crate::method::{Agreement, Finished, references_in_words};
use crate::subject::Origin;
use candlelight::{Convergence, Family, Ledger, LedgerLine};
use serde::Serialize;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// The candle release that the maps were computed with; a test holds it against the lock file.
pub const CANDLE: &str = "0.11.1";

#[derive(Serialize)]
pub struct Record {
    candlelight: &'static str,
    candle: &'static str,
    /// The command line, without the program.
    command: Vec<String>,
    /// Seconds since 1970 when the record was written.
    unix_time: u64,
    device: String,
    threads: usize,
    seed: u64,
    model: Model,
    input: Input,
    top: Vec<Class>,
    target: Target,
    /// The class that is explained beside it.
    contrast: Option<Target>,
    gradient_check: Check,
    methods: Vec<Method>,
    skipped: Vec<Skipped>,
    /// The method that Ctrl-C stopped.
    interrupted: Option<&'static str>,
}

#[derive(Serialize)]
struct Model {
    name: String,
    weights_sha256: String,
    config: Value,
    preprocessor: Value,
    /// What was assumed because the model does not say.
    assumed: Option<&'static str>,
}

#[derive(Serialize)]
struct Input {
    file: Option<String>,
    scene_seed: Option<u64>,
    sha256: String,
    shape: Vec<usize>,
    truth: Option<&'static str>,
    truth_share: Option<f64>,
}

#[derive(Serialize)]
struct Class {
    class: usize,
    label: String,
    probability: f64,
}

#[derive(Serialize)]
struct Target {
    asked: String,
    class: usize,
    label: String,
}

/// The largest relative difference between gradients and finite differences, or what is wrong.
#[derive(Serialize)]
struct Check {
    worst: Option<f64>,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Method {
    name: &'static str,
    title: &'static str,
    paper: &'static str,
    /// The class that this map explains.
    class: usize,
    settings: Settings,
    score: Option<f64>,
    seconds: f64,
    forwards: usize,
    backwards: usize,
    convergence: Converged,
    pointing_game: Option<bool>,
    relevance_mass_accuracy: Option<f64>,
    map_shape: Vec<usize>,
    picture: String,
}

/// What differs from the method's own setting.
#[derive(Serialize)]
struct Settings {
    steps: Option<usize>,
    until: Option<f64>,
    baseline: Option<String>,
    layer: Option<String>,
    references: Option<String>,
    rules: Option<String>,
    features: Option<String>,
    window: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
}

#[derive(Serialize)]
struct Converged {
    sum: Option<f64>,
    difference: Option<f64>,
    relative_residual: Option<f64>,
    samples: Option<usize>,
    standard_error: Option<f64>,
    /// Of a sampler that was cancelled: calls made, of so many.
    partial: Option<(usize, usize)>,
    /// Of a linear model of the score: the share of the variance that it explains.
    fit: Option<f64>,
    relevance: Option<Relevance>,
}

/// Where the relevance of a method of rules went.
#[derive(Serialize)]
struct Relevance {
    passed: f64,
    bias: f64,
    stabiliser: f64,
    missing: f64,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    layer: String,
    rule: String,
    received: f64,
    passed: f64,
    bias: f64,
    stabiliser: f64,
}

#[derive(Serialize)]
struct Skipped {
    name: &'static str,
    reason: String,
}

impl Record {
    pub fn of(job: &Job, explained: &Explained) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            candlelight: env!("CARGO_PKG_VERSION"),
            candle: CANDLE,
            command: job.command.clone(),
            unix_time: clock.map_or(0, |since| since.as_secs()),
            device: format!("{:?}", job.model.device.location()).to_lowercase(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            seed: job.args.seed,
            model: Model::of(job),
            input: Input::of(explained),
            top: explained.top.iter().map(|&(class, share)| Class::of(job, class, share)).collect(),
            target: Target::of(job, &job.args.target, explained.class),
            contrast: explained
                .contrast
                .map(|class| Target::of(job, job.args.contrast.as_deref().unwrap_or_default(), class)),
            gradient_check: Check::of(explained),
            methods: explained.finished.iter().map(|finished| Method::of(job, explained, finished)).collect(),
            skipped: explained.skipped.iter().map(Skipped::of).collect(),
            interrupted: explained.interrupted,
        }
    }
}

impl Model {
    fn of(job: &Job) -> Self {
        let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let loaded = &job.model.loaded;
        Self {
            name: job.args.model.model.clone(),
            weights_sha256: job.weights.clone(),
            config: json(&loaded.config),
            preprocessor: loaded.preprocessor.as_deref().map_or(Value::Null, json),
            assumed: job.model.assumed,
        }
    }
}

impl Input {
    fn of(explained: &Explained) -> Self {
        let subject = &explained.subject;
        let (file, scene_seed) = match &subject.origin {
            Origin::File(path) => (Some(path.display().to_string()), None),
            Origin::Scene(seed) => (None, Some(*seed)),
        };
        let truth = subject.truth.as_ref();
        Self {
            file,
            scene_seed,
            sha256: subject.sha256.clone(),
            shape: subject.input.dims().to_vec(),
            truth: truth.map(|truth| truth.shape.name()),
            truth_share: truth.map(|truth| truth.share),
        }
    }
}

impl Class {
    fn of(job: &Job, class: usize, probability: f64) -> Self {
        Self { class, label: job.model.loaded.labels.name(class), probability }
    }
}

impl Target {
    fn of(job: &Job, asked: &str, class: usize) -> Self {
        Self { asked: asked.into(), class, label: job.model.loaded.labels.name(class) }
    }
}

impl Check {
    fn of(explained: &Explained) -> Self {
        Self {
            worst: explained.check.as_ref().ok().map(|check| check.worst),
            problem: explained.check.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Method {
    fn of(job: &Job, explained: &Explained, finished: &Finished) -> Self {
        let (map, name) = (&finished.map, finished.method.name);
        let scores = finished.agreement.as_ref().and_then(|agreement| match agreement {
            Agreement::Scores { hit, mass } => Some((*hit, *mass)),
            Agreement::None(_) => None,
        });
        let references = || references_in_words(&job.settings, job.args.baseline.as_deref());
        let perturbs = finished.method.family == Family::Perturbation;
        let takes_baseline = perturbs || name == "integrated-gradients";
        Self {
            name,
            title: finished.method.title,
            paper: finished.method.paper,
            class: finished.class,
            settings: Settings {
                steps: job.args.steps,
                until: job.args.until,
                baseline: job.args.baseline.clone().filter(|_| takes_baseline),
                layer: map.layer().map(str::to_owned),
                references: (name == "expected-gradients").then(references),
                rules: job.args.rules.clone().filter(|_| name == "lrp"),
                features: job.args.features.clone().filter(|_| perturbs && name != "occlusion"),
                window: job.args.window.clone().filter(|_| name == "occlusion"),
                stride: job.args.stride.clone().filter(|_| name == "occlusion"),
            },
            score: map.scores().first().copied(),
            seconds: finished.time.as_secs_f64(),
            forwards: map.cost().forwards,
            backwards: map.cost().backwards,
            convergence: Converged::of(map.convergence()),
            pointing_game: scores.map(|scores| scores.0),
            relevance_mass_accuracy: scores.map(|scores| scores.1),
            map_shape: map.values().dims().to_vec(),
            picture: explained.picture(finished),
        }
    }
}

impl Converged {
    fn of(convergence: &Convergence) -> Self {
        let (completeness, sampling) = (convergence.completeness.as_ref(), convergence.sampling.as_ref());
        Self {
            sum: completeness.and_then(|it| it.sum.first().copied()),
            difference: completeness.and_then(|it| it.difference.first().copied()),
            relative_residual: completeness.and_then(|it| it.relative().first().copied()),
            samples: sampling.and_then(|it| it.samples.first().copied()),
            standard_error: sampling.and_then(|it| it.standard_error.first().copied()),
            partial: convergence.partial.map(|progress| (progress.done, progress.of)),
            fit: convergence.fit.as_ref().and_then(|fit| fit.explained.first().copied()),
            relevance: convergence.ledger.as_ref().and_then(Relevance::of),
        }
    }
}

impl Relevance {
    /// That of the first row.
    fn of(ledger: &Ledger) -> Option<Self> {
        let layer = |line: &LedgerLine| {
            Some(Layer {
                layer: line.layer.clone(),
                rule: line.rule.to_string(),
                received: *line.received.first()?,
                passed: *line.passed.first()?,
                bias: *line.bias.first()?,
                stabiliser: *line.stabiliser.first()?,
            })
        };
        Some(Self {
            passed: *ledger.arrived.first()?,
            bias: *ledger.bias().first()?,
            stabiliser: *ledger.stabiliser().first()?,
            missing: *ledger.missing().first()?,
            layers: ledger.lines.iter().map(layer).collect::<Option<_>>()?,
        })
    }
}

impl Skipped {
    fn of((name, reason): &(&'static str, String)) -> Self {
        Self { name, reason: reason.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candle_release_is_that_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"candle-core\"\nversion = \"{CANDLE}\"")));
    }
}
