//! `candlelight compare`: methods beside methods, by numbers.

mod chart;
mod gallery;
mod measure;
mod table;

pub use chart::{Curves, Line};
pub use gallery::Shown;
pub use table::Cell;

use crate::args;
use crate::failure::{Failure, Result};
use crate::method::{self, Selection, Wish};
use crate::metric;
use crate::model::{Opened, Origin};
use crate::progress::Bar;
use crate::report;
use crate::subject::Subject;
use crate::target;
use crate::term::{self, YELLOW, paint};
use crate::words;
use crate::write;
use candlelight::metrics::{Entry, METRICS, RandomMap};
use candlelight::{Explain, Progress, Remembered, Settings, Target};
use gallery::Drawn;
use measure::{Answer, Column};

/// Metrics that are cheap, without a ground truth and with one.
const WITHOUT_TRUTH: [&str; 3] = ["top-k-ablation", "insertion", "deletion"];
const WITH_TRUTH: [&str; 2] = ["pointing-game", "relevance-mass-accuracy"];

/// A method that takes part; the last one is the map at random.
pub struct Contender {
    pub name: String,
    /// The name in print.
    pub title: &'static str,
    method: Box<dyn Explain>,
    wish: Wish,
    /// Its maps over the images that are shown, or why there is none.
    pub drawn: Vec<Drawn>,
}

/// What is compared.
pub struct Job<'a> {
    pub args: &'a args::Compare,
    pub model: Opened,
    pub target: Target,
    pub contenders: Vec<Contender>,
    pub metrics: Vec<&'static Entry>,
    /// The first images, for the page.
    pub shown: Vec<Shown>,
}

pub fn run(args: &args::Compare) -> Result<()> {
    let model = Opened::of(&args.model)?;
    let target = target::resolve(&args.target, &model.loaded.labels)?;
    let (contenders, metrics) = (contenders(args, &model)?, metrics(args, &model)?);
    let mut job = Job { args, model, target, contenders, metrics, shown: Vec::new() };
    write::folder(&args.out)?;
    let (columns, done) = job.measure()?;
    let cells = table::cells(&job, &columns)?;
    table::show(&job, &cells, &columns)?;
    let curves = chart::curves(&job, &columns)?;
    chart::save(&job, &curves)?;
    job.report(&report::Compared { job: &job, cells: &cells, curves: &curves, done })?;
    match done == job.count() {
        true => Ok(()),
        false => Err(Failure::interrupted(format!(
            "interrupted: the numbers are of {done} of {} images",
            job.count()
        ))),
    }
}

/// The methods asked for, and the control.
fn contenders(args: &args::Compare, model: &Opened) -> Result<Vec<Contender>> {
    let settings = Settings { steps: args.steps, ..method::plain_settings(model)? };
    let Selection { methods, wish } = Selection::of(&args.methods)?;
    let named = |method: &'static candlelight::Method| {
        Ok(Contender::new(method.name, method.title, (method.with(&settings)?, wish)))
    };
    let mut contenders = methods.into_iter().map(named).collect::<Result<Vec<_>>>()?;
    let random = RandomMap::default();
    contenders.push(Contender::new(random.name(), "A map at random", (Box::new(random), Wish::Exactly)));
    Ok(contenders)
}

/// The metrics asked for; of all those, and of the usual ones, those that can be measured.
fn metrics(args: &args::Compare, model: &Opened) -> Result<Vec<&'static Entry>> {
    let truth = args.images.is_empty() && model.origin == Origin::Bundled;
    let suits = |entry: &&Entry| truth || !WITH_TRUTH.contains(&entry.name);
    let names: Vec<&str> = metric::listed(&args.metrics).collect();
    if names.contains(&"all") {
        return Ok(METRICS.iter().filter(suits).collect());
    }
    if names.is_empty() {
        let usual = metric::named(WITH_TRUTH.into_iter().chain(WITHOUT_TRUTH))?;
        return Ok(usual.into_iter().filter(suits).collect());
    }
    metric::named(names)
}

impl Contender {
    fn new(name: impl Into<String>, title: &'static str, (method, wish): (Box<dyn Explain>, Wish)) -> Self {
        Self { name: name.into(), title, method, wish, drawn: Vec::new() }
    }
}

impl Job<'_> {
    /// The page, if it is asked for.
    fn report(&self, compared: &report::Compared) -> Result<()> {
        let Some(asked) = &self.args.report else { return Ok(()) };
        let path = asked.clone().unwrap_or_else(|| self.args.out.join(report::COMPARISON));
        report::write_comparison(compared, &path)?;
        if !self.args.json {
            term::say(&format!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// How many images are compared.
    pub fn count(&self) -> usize {
        if self.args.images.is_empty() { self.args.scenes as usize } else { self.args.images.len() }
    }

    fn subject(&self, index: usize) -> Result<Subject> {
        match self.args.images.get(index) {
            Some(path) => Subject::open(path, &self.model),
            None => Subject::scene(self.args.seed + index as u64, &self.model),
        }
    }

    /// For every contender and metric what was measured, and of how many images; methods that do not suit the model are
    /// left out, if they were not asked for by name.
    fn measure(&mut self) -> Result<(Vec<Vec<Column>>, usize)> {
        let empty = || vec![Column::default(); self.metrics.len()];
        let mut columns: Vec<Vec<Column>> = self.contenders.iter().map(|_| empty()).collect();
        let bar = Bar::new("images");
        for index in 0..self.count() {
            let subject = self.subject(index)?;
            let Some(answers) = self.image((index, &subject), &mut columns)? else {
                return self.so_far(columns, index);
            };
            self.keep(subject, &answers);
            answers.into_iter().zip(&mut columns).for_each(|(answer, columns)| {
                answer.values.into_iter().zip(columns).for_each(|(value, column)| column.add(value));
            });
            let progress = Progress { done: index + 1, of: self.count() };
            if bar.update(progress).is_break() {
                return self.so_far(columns, index + 1);
            }
        }
        Ok((columns, self.count()))
    }

    fn so_far(&self, columns: Vec<Vec<Column>>, done: usize) -> Result<(Vec<Vec<Column>>, usize)> {
        match done {
            0 => Err(Failure::interrupted("interrupted: no image was measured to the end")),
            done => Ok((columns, done)),
        }
    }

    /// What every contender says; none if it was interrupted.
    fn image(
        &mut self,
        (index, subject): (usize, &Subject),
        columns: &mut Vec<Vec<Column>>,
    ) -> Result<Option<Vec<Answer>>> {
        let mut answers = Vec::new();
        let remembered = Remembered::new(&self.model.loaded.model);
        let (model, target, seed) = (&self.model, &self.target, self.args.seed);
        let question = measure::Question { model, remembered: &remembered, target, seed };
        let mut next = 0;
        while let Some(contender) = self.contenders.get(next) {
            match question.ask((index, subject), contender, &self.metrics) {
                Ok(answer) => answers.push(answer),
                Err(candlelight::Error::Cancelled { .. }) => return Ok(None),
                Err(error) if contender.wish == Wish::WhatSuits => {
                    let why = error.to_string();
                    let short = words::short(&why);
                    term::warn(&format!(
                        "{} {} is left out: {short}",
                        paint(YELLOW, "note:"),
                        contender.name
                    ));
                    self.contenders.remove(next);
                    columns.remove(next);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            next += 1;
        }
        Ok(Some(answers))
    }
}
