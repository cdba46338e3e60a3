//! What is asked of a model about an image, and what came out: no word on a terminal, no file.

use crate::args;
use crate::failure::{Failure, Result};
use crate::method::{self, Finished, Selection, Wish};
use crate::model::Opened;
use crate::subject::Subject;
use crate::target;
use crate::words;
use candlelight::{
    Error, GradientCheck, Method, Model, Progress, Remembered, Settings, Target, check_gradients, layers_like,
};
use std::ops::ControlFlow;

/// How many classes are shown.
const SHOWN: usize = 5;

/// What is the same for all images.
pub struct Job<'a> {
    pub args: &'a args::Explain,
    pub model: &'a Opened,
    /// SHA-256 of the model's weights.
    pub weights: String,
    pub settings: Settings,
    /// The command line that repeats it, without the program.
    pub command: Vec<String>,
    pub selection: Selection,
    target: Target,
    contrast: Option<usize>,
}

/// What came out for one image.
pub struct Explained {
    pub subject: Subject,
    /// The likeliest classes with their probabilities.
    pub top: Vec<(usize, f64)>,
    /// The class explained.
    pub class: usize,
    /// The class explained beside it.
    pub contrast: Option<usize>,
    pub check: Result<GradientCheck, Error>,
    pub finished: Vec<Finished>,
    pub skipped: Vec<(&'static str, String)>,
    pub interrupted: Option<&'static str>,
}

/// Where methods run: who is told of them, and may stop them.
pub trait Stage {
    /// What is called after every batch of a method.
    fn watch(&self, method: &'static Method) -> Watch;

    /// A method is done, or was stopped and hands back what it has.
    fn finished(&self, explained: &Explained, finished: &Finished) -> Result<()>;

    /// A method does not go with the model, and why.
    fn skipped(&self, method: &'static Method, reason: &str);
}

/// Says whether to go on.
pub type Watch = Box<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync>;

/// What became of one method.
enum Outcome {
    Finished(Box<Finished>),
    Unsuited(String),
    Stopped,
}

impl Explained {
    /// What one map is called: by its method, and by its class where that is the other one.
    pub fn key(&self, finished: &Finished) -> String {
        let name = finished.method.name;
        if finished.class == self.class { name.into() } else { format!("{name}.{}", finished.class) }
    }

    /// The file name of one map's picture.
    pub fn picture(&self, finished: &Finished) -> String {
        format!("{}.{}.png", self.subject.stem, self.key(finished))
    }

    fn classes(&self) -> impl Iterator<Item = usize> + use<> {
        std::iter::once(self.class).chain(self.contrast)
    }
}

impl<'a> Job<'a> {
    /// What `args` ask of a model.
    pub fn of(args: &'a args::Explain, model: &'a Opened, command: Vec<String>) -> Result<Self> {
        let labels = &model.loaded.labels;
        let contrast = args.contrast.as_deref().map(|asked| target::class(asked, labels)).transpose()?;
        Ok(Self {
            args,
            model,
            weights: model.fingerprint()?,
            settings: method::settings(args, model)?,
            command,
            selection: Selection::of(&args.method)?,
            target: target::resolve(&args.target, labels)?,
            contrast,
        })
    }

    pub fn label(&self, class: usize) -> String {
        words::label(&self.model.loaded.labels.name(class))
    }

    /// What the model says of an image, and whether its gradients can be trusted.
    pub fn begin(&self, subject: Subject) -> Result<Explained> {
        if !self.args.layer.is_empty() {
            let seen = candlelight::layers(&self.model.loaded.model, &subject.input)?;
            self.args.layer.iter().try_for_each(|layer| layers_like(layer, &seen).map(drop))?;
        }
        let logits = self.model.logits(&subject.input)?;
        let top = top(&logits);
        let class = match self.target {
            Target::Class(class) => class,
            _ => top[0].0,
        };
        self.check_contrast(class)?;
        let check = check_gradients(&self.model.loaded.model, &subject.input);
        let (contrast, finished, skipped) = (self.contrast, Vec::new(), Vec::new());
        Ok(Explained { subject, top, class, contrast, check, finished, skipped, interrupted: None })
    }

    fn check_contrast(&self, class: usize) -> Result<()> {
        if self.contrast != Some(class) {
            return Ok(());
        }
        let message = format!("`{}` would be explained beside itself", self.label(class));
        Err(Failure::input(message, "name another class with `--contrast`"))
    }

    /// Runs the methods one after the other until all are done or one is stopped.
    pub fn methods(&self, explained: &mut Explained, stage: &dyn Stage) -> Result<()> {
        let model = &self.model.loaded.model;
        for &method in &self.selection.methods {
            // One memory for each method: its time is its own.
            let remembered = Remembered::new(model);
            let model: &dyn Model = if self.contrast.is_some() { &remembered } else { model };
            for class in explained.classes() {
                match self.attempt((method, model), class, &explained.subject, stage)? {
                    Outcome::Finished(finished) => {
                        stage.finished(explained, &finished)?;
                        let partial = finished.map.convergence().partial.is_some();
                        explained.finished.push(*finished);
                        if partial {
                            explained.interrupted = Some(method.name);
                            return Ok(());
                        }
                    }
                    Outcome::Unsuited(reason) => {
                        stage.skipped(method, &reason);
                        explained.skipped.push((method.name, reason));
                        break;
                    }
                    Outcome::Stopped => {
                        explained.interrupted = Some(method.name);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &self,
        (method, model): (&'static Method, &dyn Model),
        class: usize,
        subject: &Subject,
        stage: &dyn Stage,
    ) -> Result<Outcome> {
        let watch = stage.watch(method);
        match method::run((method, model), self, subject, class, watch) {
            Ok(finished) => Ok(Outcome::Finished(Box::new(finished))),
            Err(Error::Cancelled { .. }) => Ok(Outcome::Stopped),
            Err(error) if self.selection.wish == Wish::WhatSuits && is_unsuited(&error) => {
                Ok(Outcome::Unsuited(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
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
pub fn top(logits: &[f64]) -> Vec<(usize, f64)> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
    let mut classes: Vec<_> = logits.iter().copied().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(SHOWN);
    classes.into_iter().map(|(class, logit)| (class, (logit - most).exp() / sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_however_large_the_logits_are() {
        let top = top(&[998.0, 1000.0, 1000.0]);
        assert_eq!(top.iter().map(|class| class.0).collect::<Vec<_>>(), [1, 2, 0]);
        assert!((top.iter().map(|class| class.1).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
