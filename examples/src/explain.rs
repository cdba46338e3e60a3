//! `candlelight explain`.

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::method::{self, Finished, Selection, Wish, references_in_words};
use crate::model::{Opened, Origin};
use crate::record::Record;
use crate::subject::{self, Subject};
use crate::target;
use crate::term::{self, BOLD, DIM, GREEN, RED, YELLOW, paint};
use crate::words;
use crate::write;
use candlelight::{Error, Family, GradientCheck, Method, Settings, Target, check_gradients, layers_like};
use std::collections::HashSet;
use std::path::Path;

/// How many classes are shown.
const SHOWN: usize = 5;

/// What is the same for all images.
pub struct Job<'a> {
    pub args: &'a args::Explain,
    pub model: Opened,
    /// SHA-256 of the model's weights.
    pub weights: String,
    pub settings: Settings,
    selection: Selection,
    target: Target,
}

/// What came out for one image.
pub struct Explained {
    pub subject: Subject,
    /// The likeliest classes with their probabilities.
    pub top: Vec<(usize, f64)>,
    /// The class explained.
    pub class: usize,
    pub check: Result<GradientCheck, Error>,
    pub finished: Vec<Finished>,
    pub skipped: Vec<(&'static str, String)>,
    pub interrupted: Option<&'static str>,
}

impl Explained {
    /// The file name of one method's picture.
    pub fn picture(&self, method: &str) -> String {
        format!("{}.{method}.png", self.subject.stem)
    }
}

pub fn run(args: &args::Explain) -> Result<()> {
    let selection = Selection::of(&args.method)?;
    let model = Opened::of(&args.model)?;
    let target = target::resolve(&args.target, &model.loaded.labels)?;
    let settings = method::settings(args, &model)?;
    let job = Job { args, weights: model.fingerprint()?, model, settings, selection, target };
    job.notes();
    if args.images.is_empty() {
        return job.explain(Subject::scene(args.seed, &job.model)?, &args.out);
    }
    let mut stems = HashSet::new();
    for path in &args.images {
        let mut subject = Subject::open(path, &job.model)?;
        subject.stem = unused(&subject.stem, &mut stems);
        let folder = if args.images.len() == 1 { args.out.clone() } else { args.out.join(&subject.stem) };
        job.explain(subject, &folder)?;
    }
    Ok(())
}

/// `stem`, or with a number behind it if another image has it.
fn unused(stem: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let free = std::iter::once(stem.to_owned()).chain(numbered).find(|name| taken.insert(name.clone()));
    free.unwrap_or_else(|| stem.to_owned())
}

impl Job<'_> {
    fn say(&self, line: &str) {
        if !self.args.json {
            term::say(line);
        }
    }

    fn label(&self, class: usize) -> String {
        words::label(&self.model.loaded.labels.name(class))
    }

    /// What was assumed, said once.
    fn notes(&self) {
        let asked = |name: &str| self.selection.methods.iter().any(|method| method.name == name);
        let note = |text: &str| term::warn(&format!("{} {text}", paint(YELLOW, "note:")));
        self.model.assumed.iter().for_each(|text| note(text));
        let any = self.selection.methods.iter().any(|method| has_a_layer(method));
        if !self.args.layer.is_empty() && !any {
            note("`--layer` means the layer of methods such as grad-cam, and none of them is asked for");
        }
        if self.model.origin == Origin::Elsewhere && asked("expected-gradients") {
            let references = references_in_words(&self.settings, self.args.baseline.as_deref());
            note(&format!("expected-gradients compares with {references}"));
        }
    }

    fn explain(&self, subject: Subject, folder: &Path) -> Result<()> {
        if !self.args.layer.is_empty() {
            let seen = candlelight::layers(&self.model.loaded.model, &subject.input)?;
            self.args.layer.iter().try_for_each(|layer| layers_like(layer, &seen).map(drop))?;
        }
        write::folder(folder)?;
        let logits = self.model.logits(&subject.input)?;
        let top = top(&logits);
        let class = match self.target {
            Target::Class(class) => class,
            _ => top[0].0,
        };
        let check = check_gradients(&self.model.loaded.model, &subject.input);
        let nothing = (Vec::new(), Vec::new());
        let mut explained = Explained {
            subject,
            top,
            class,
            check,
            finished: nothing.0,
            skipped: nothing.1,
            interrupted: None,
        };
        self.head(&explained)?;
        let ran = self.methods(&mut explained, folder);
        if ran.is_ok() || !explained.finished.is_empty() {
            let sheet = write::all(self, &explained, folder)?;
            self.foot(&explained, &sheet)?;
        }
        ran
    }

    /// What was given, what the model sees in it, and whether its gradients can be trusted.
    fn head(&self, explained: &Explained) -> Result<()> {
        self.say(&format!("{} {}", paint(BOLD, &explained.subject.stem), described(explained, self)));
        let shown: Vec<_> = explained.top.iter().map(|&(class, share)| (self.label(class), share)).collect();
        let width = shown.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, share) in shown {
            self.say(&format!("  {label:<width$}  {:>8}", words::percent(share)));
        }
        match &explained.check {
            Ok(check) => {
                let worst = words::percent(check.worst);
                let line = format!("gradients agree with finite differences within {worst}");
                self.say(&format!("{} {line}\n", paint(GREEN, "ok")));
                Ok(())
            }
            Err(error @ Error::WrongGradient { .. }) => {
                let (red, advice) = (paint(RED, "warning:"), "do not trust the maps that need gradients");
                term::warn(&format!("{red} {error}\n{} {advice}", paint(DIM, "hint:")));
                Ok(())
            }
            Err(error) => Err(Failure::severed(error)),
        }
    }

    fn methods(&self, explained: &mut Explained, folder: &Path) -> Result<()> {
        let name = |method: &&candlelight::Method| method.name.len();
        let width = self.selection.methods.iter().map(name).max().unwrap_or(0);
        let header =
            format!("{:<width$}  {:>10}  {:<52}{}", "method", "time", "convergence", self.truth(explained));
        self.say(&paint(DIM, header.trim_end()));
        for &method in &self.selection.methods {
            let seed = self.args.seed;
            let ran =
                method::run(method, &self.settings, &self.model, &explained.subject, (explained.class, seed));
            match ran {
                Ok(finished) => {
                    write::overlay(explained, &finished, folder)?;
                    self.say(&line(&finished, width));
                    self.ledger(&finished);
                    let partial = finished.map.convergence().partial.is_some();
                    explained.finished.push(finished);
                    if partial {
                        explained.interrupted = Some(method.name);
                        return Ok(());
                    }
                }
                Err(Error::Cancelled { .. }) => {
                    explained.interrupted = Some(method.name);
                    return Ok(());
                }
                Err(error) if self.selection.wish == Wish::WhatSuits && is_unsuited(&error) => {
                    let reason = error.to_string();
                    let short = reason.split("; ").next().unwrap_or(&reason);
                    self.say(&paint(DIM, format!("{:<width$}  {:>10}  {short}", method.name, "skipped")));
                    explained.skipped.push((method.name, reason));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What became of relevance at every layer, if nothing else is asked for.
    fn ledger(&self, finished: &Finished) {
        if let (Some(ledger), [_]) = (&finished.map.convergence().ledger, &self.selection.methods[..]) {
            self.say(&format!("\n{ledger}"));
        }
    }

    /// The header of the last column, if there is a ground truth for the class explained.
    fn truth(&self, explained: &Explained) -> String {
        match &explained.subject.truth {
            Some(truth) if truth.answers(explained.class, &self.model) => {
                format!("ground truth: {} of the picture", words::percent(truth.share))
            }
            Some(truth) => format!("no ground truth: the object is {}", words::one(truth.shape.name())),
            None => String::new(),
        }
    }

    /// Where everything was written, or what was finished before Ctrl-C.
    fn foot(&self, explained: &Explained, sheet: &Path) -> Result<()> {
        if self.args.json {
            let line = serde_json::to_string(&Record::of(self, explained));
            term::say(&line.map_err(|error| Failure::unwritable(sheet, error))?);
        }
        let maps = match explained.finished.len() {
            1 => "1 map".to_owned(),
            n => format!("{n} maps"),
        };
        let files = format!("{}, {maps}, {}, {}", sheet.display(), write::MAPS, write::RECORD);
        self.say(&format!("\nwrote {files}"));
        match explained.interrupted {
            None if !interrupt::asked() => Ok(()),
            stopped => Err(Failure::interrupted(self.unfinished(explained, stopped))),
        }
    }

    fn unfinished(&self, explained: &Explained, stopped: Option<&str>) -> String {
        let is_partial = |finished: &&Finished| finished.map.convergence().partial.is_some();
        let (parts, whole): (Vec<_>, Vec<_>) = explained.finished.iter().partition(is_partial);
        let names: Vec<_> = whole.iter().map(|finished| finished.method.name).collect();
        let done = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        let during = stopped.map_or_else(String::new, |name| format!(" during {name}"));
        let parts = parts.first().map_or_else(String::new, |it| format!(", {} in part", it.method.name));
        let of = self.selection.methods.len();
        format!("interrupted{during}: {} of {of} methods finished and written ({done}){parts}", names.len())
    }
}

/// Whether `--layer` says anything to a method.
fn has_a_layer(method: &Method) -> bool {
    match method.family {
        Family::ClassActivation | Family::Layer | Family::Neuron => method.name != "full-grad",
        Family::Attention => {
            !["attention-rollout", "gradient-attention-rollout", "attention-flow", "transformer-relevance"]
                .contains(&method.name)
        }
        _ => false,
    }
}

/// Whether a method does not go with the model, or not with a layer that there is.
fn is_unsuited(error: &Error) -> bool {
    matches!(
        error,
        Error::MissingLayer { .. }
            | Error::NoRule { .. }
            | Error::NoRuleFired { .. }
            | Error::NotPooled { .. }
            | Error::NoFullGradient { .. }
            | Error::UnknownLayer { .. }
            | Error::PatchesUnread { .. }
            | Error::Shape { what: "the output of the layer", .. }
            | Error::Setting { setting: "baseline of this method", .. }
            | Error::Setting { setting: "layer of this method", .. }
    )
}

/// The likeliest classes, most likely first; of equals the first.
fn top(logits: &[f64]) -> Vec<(usize, f64)> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
    let mut classes: Vec<_> = logits.iter().map(|logit| (logit - most).exp() / sum).enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(SHOWN);
    classes
}

fn described(explained: &Explained, job: &Job) -> String {
    let subject = &explained.subject;
    let (width, height) = subject.seen.dimensions();
    let model = format!("as {} sees it, {width} x {height} pixels", job.model.loaded.name);
    match (&subject.origin, &subject.truth) {
        (subject::Origin::File(path), _) => format!("from {}, {model}", path.display()),
        (_, Some(truth)) => {
            format!(
                "shows {} on {} of its area, {model}",
                words::one(truth.shape.name()),
                words::percent(truth.share)
            )
        }
        (subject::Origin::Scene(seed), None) => format!("of seed {seed}, {model}"),
    }
}

/// The line of one method.
fn line(finished: &Finished, width: usize) -> String {
    let time = words::time(finished.time);
    let convergence = words::convergence(finished.map.convergence());
    let agreement = finished.agreement.as_ref().map(words::agreement).unwrap_or_default();
    let line = format!("{:<width$}  {time:>10}  {convergence:<52}{agreement}", finished.method.name);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_however_large_the_logits_are() {
        let top = top(&[1000.0, 1000.0, 998.0]);
        assert_eq!(top[0].0, 0);
        assert!((top.iter().map(|class| class.1).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn images_of_the_same_name_get_folders_of_their_own() {
        let mut taken = HashSet::new();
        let names: Vec<_> = ["cat", "cat", "dog", "cat"].map(|stem| unused(stem, &mut taken)).into();
        assert_eq!(names, ["cat", "cat-2", "dog", "cat-3"]);
    }
}
