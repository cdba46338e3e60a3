//! `candlelight compare`: methods beside methods, by numbers.

mod chart;
mod measure;
mod table;

use crate::args;
use crate::failure::{Failure, Result};
use crate::method::{self, Selection, Wish};
use crate::metric;
use crate::model::{Opened, Origin};
use crate::progress::Bar;
use crate::subject::Subject;
use crate::target;
use crate::term::{self, YELLOW, paint};
use crate::words;
use crate::write;
use candlelight::metrics::{Entry, METRICS, RandomMap};
use candlelight::{Explain, Progress, Settings, Target};
use measure::Column;

/// Metrics that are cheap, without a ground truth and with one.
const WITHOUT_TRUTH: [&str; 3] = ["top-k-ablation", "insertion", "deletion"];
const WITH_TRUTH: [&str; 2] = ["pointing-game", "relevance-mass-accuracy"];

/// A method that takes part; the last one is the map at random.
pub struct Contender {
    pub name: String,
    method: Box<dyn Explain>,
    wish: Wish,
}

/// What is compared.
pub struct Job<'a> {
    pub args: &'a args::Compare,
    model: Opened,
    target: Target,
    pub contenders: Vec<Contender>,
    pub metrics: Vec<&'static Entry>,
}

pub fn run(args: &args::Compare) -> Result<()> {
    let model = Opened::of(&args.model)?;
    let target = target::resolve(&args.target, &model.loaded.labels)?;
    let (contenders, metrics) = (contenders(args, &model)?, metrics(args, &model)?);
    let mut job = Job { args, model, target, contenders, metrics };
    write::folder(&args.out)?;
    let (columns, done) = job.measure()?;
    let cells = table::cells(&job, &columns)?;
    table::show(&job, &cells, &columns)?;
    chart::save(&job, &columns)?;
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
        Ok(Contender { name: method.name.into(), method: method.with(&settings)?, wish })
    };
    let mut contenders = methods.into_iter().map(named).collect::<Result<Vec<_>>>()?;
    let random = RandomMap::default();
    contenders.push(Contender { name: random.name(), method: Box::new(random), wish: Wish::Exactly });
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

impl Job<'_> {
    /// How many images are compared.
    fn count(&self) -> usize {
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
            let Some(rows) = self.image((index, &subject), &mut columns)? else {
                return self.so_far(columns, index);
            };
            rows.into_iter().zip(&mut columns).for_each(|(row, columns)| {
                row.into_iter().zip(columns).for_each(|(value, column)| column.add(value));
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

    /// A row for every contender; none if it was interrupted.
    fn image(
        &mut self,
        (index, subject): (usize, &Subject),
        columns: &mut Vec<Vec<Column>>,
    ) -> Result<Option<Vec<Vec<measure::Value>>>> {
        let mut rows = Vec::new();
        let mut next = 0;
        while let Some(contender) = self.contenders.get(next) {
            let question =
                measure::Question { model: &self.model, target: &self.target, seed: self.args.seed };
            match question.ask((index, subject), contender, &self.metrics) {
                Ok(row) => rows.push(row),
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
        Ok(Some(rows))
    }
}
