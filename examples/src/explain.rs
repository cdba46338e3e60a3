//! `candlelight explain`.

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::job::{Explained, Job, Stage, Watch};
use crate::method::{Finished, references_in_words};
use crate::model::{Opened, Origin};
use crate::progress::Bar;
use crate::record::Record;
use crate::report;
use crate::subject::{self, Subject};
use crate::term::{self, BOLD, DIM, GREEN, RED, YELLOW, paint};
use crate::words;
use crate::write;
use candlelight::{Error, Family, Method};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub fn run(args: &args::Explain) -> Result<()> {
    let model = Opened::of(&args.model)?;
    let job = Job::of(args, &model, std::env::args().skip(1).collect())?;
    job.notes();
    if args.images.is_empty() {
        return job.explain(Subject::scene(args.seed, &model)?, &args.out);
    }
    job.one_page_for_one_image()?;
    let mut stems = HashSet::new();
    for path in &args.images {
        let mut subject = Subject::open(path, &model)?;
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

    /// Several images have their pages in their folders.
    fn one_page_for_one_image(&self) -> Result<()> {
        match &self.args.report {
            Some(Some(file)) if self.args.images.len() > 1 => Err(Failure::input(
                format!("`{}` cannot be the page of `{}` images", file.display(), self.args.images.len()),
                "leave the name out: every image has a folder of its own, with its page in it",
            )),
            _ => Ok(()),
        }
    }

    fn explain(&self, subject: Subject, folder: &Path) -> Result<()> {
        let mut explained = self.begin(subject)?;
        write::folder(folder)?;
        self.head(&explained)?;
        let width = self.selection.methods.iter().map(|method| method.name.len()).max().unwrap_or(0);
        let header =
            format!("{:<width$}  {:>10}  {:<52}{}", "method", "time", "convergence", self.truth(&explained));
        self.say(&paint(DIM, header.trim_end()));
        let ran = self.methods(&mut explained, &Terminal { job: self, folder, width });
        if ran.is_ok() || !explained.finished.is_empty() {
            let sheet = write::all(self, &explained, folder)?;
            let page = self.report(&explained, folder)?;
            self.foot(&explained, &sheet, page)?;
        }
        ran
    }

    /// The page, if it is asked for, and where it is.
    fn report(&self, explained: &Explained, folder: &Path) -> Result<Option<PathBuf>> {
        let Some(asked) = &self.args.report else { return Ok(None) };
        let path = asked.clone().unwrap_or_else(|| folder.join(report::FILE));
        report::write(self, explained, &path)?;
        Ok(Some(path))
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

    /// What became of relevance at every layer, if nothing else is asked for.
    fn ledger(&self, finished: &Finished) {
        if let (Some(ledger), [_]) = (&finished.map.convergence().ledger, &self.selection.methods[..]) {
            self.say(&format!("\n{ledger}"));
        }
    }

    /// The header of the last column, if there is a ground truth for the class explained.
    fn truth(&self, explained: &Explained) -> String {
        match &explained.subject.truth {
            Some(truth) if truth.answers(explained.class, self.model) => {
                format!("ground truth: {} of the picture", words::percent(truth.share))
            }
            Some(truth) => format!("no ground truth: the object is {}", words::one(truth.shape.name())),
            None => String::new(),
        }
    }

    /// Where everything was written, or what was finished before Ctrl-C.
    fn foot(&self, explained: &Explained, sheet: &Path, page: Option<PathBuf>) -> Result<()> {
        if self.args.json {
            let line = serde_json::to_string(&Record::of(self, explained));
            term::say(&line.map_err(|error| Failure::unwritable(sheet, error))?);
        }
        let maps = match explained.finished.len() {
            1 => "1 map".to_owned(),
            n => format!("{n} maps"),
        };
        let page = page.map_or_else(String::new, |page| format!("{}, ", page.display()));
        let files = format!("{page}{}, {maps}, {}, {}", sheet.display(), write::MAPS, write::RECORD);
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

/// A run that is seen on the terminal, and whose pictures are written as they come.
struct Terminal<'a> {
    job: &'a Job<'a>,
    folder: &'a Path,
    /// Of the first column.
    width: usize,
}

impl Stage for Terminal<'_> {
    fn watch(&self, method: &'static Method) -> Watch {
        let bar = Bar::new(method.title);
        Box::new(move |progress| bar.update(progress))
    }

    fn finished(&self, explained: &Explained, finished: &Finished) -> Result<()> {
        write::overlay(explained, finished, self.folder)?;
        let name = match explained.contrast == Some(finished.class) {
            true => format!("  {}", self.job.label(finished.class)),
            false => finished.method.name.to_owned(),
        };
        self.job.say(&line(&name, finished, self.width));
        self.job.ledger(finished);
        Ok(())
    }

    fn skipped(&self, method: &'static Method, reason: &str) {
        let (width, short) = (self.width, words::short(reason));
        self.job.say(&paint(DIM, format!("{:<width$}  {:>10}  {short}", method.name, "skipped")));
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

/// The line of one map.
fn line(name: &str, finished: &Finished, width: usize) -> String {
    let time = words::time(finished.time);
    let convergence = words::convergence(finished.map.convergence());
    let agreement = finished.agreement.as_ref().map(words::agreement).unwrap_or_default();
    let line = format!("{name:<width$}  {time:>10}  {convergence:<52}{agreement}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_same_name_get_folders_of_their_own() {
        let mut taken = HashSet::new();
        let names: Vec<_> = ["cat", "cat", "dog", "cat"].map(|stem| unused(stem, &mut taken)).into();
        assert_eq!(names, ["cat", "cat-2", "dog", "cat-3"]);
    }
}
