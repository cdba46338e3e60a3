//! `candlelight distill`: which baseline finds what the model looks at, after
//! [Sturmfels et al. 2020](https://distill.pub/2020/attribution-baselines/).

mod contenders;
mod journal;
mod result;

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::model::{Opened, Origin};
use crate::progress::Bar;
use crate::subject::picture;
use crate::write;
use candle_core::Tensor;
use candlelight::metrics::{Curve, MassCentreAblation, Metric, Subject, TopKAblation};
use candlelight::models::scenes::Scene;
use candlelight::{Baseline, Error, Progress, Query};
use contenders::Contender;
use journal::{Journal, Line, Setting};

/// Scenes that are explained together, and lost when the command is ended in the hard way. They are always the same ones,
/// because single precision rounds by the batch: an interrupted run gives what one in a go gives, to the bit.
const TOGETHER: u64 = 5;
/// Standard deviation of the blur that stands for what is absent, in pixels: a thirteenth of the image, as the article's.
const BLUR: f64 = 5.0;

/// The four tests: what is removed, and what stands in its place.
const TESTS: [(&str, &str); 4] = [
    ("top-k, mean colour", "pixels replaced by the mean colour, most salient first"),
    ("top-k, blurred", "pixels replaced by their blur, most salient first"),
    ("mass centre, mean colour", "side of the box of mean colour, share of the image's"),
    ("mass centre, blurred", "side of the blurred box, share of the image's"),
];

/// Shares of the pixels that are replaced.
const SHARES: [f64; 12] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0];
/// Sides of the boxes in fourteenths of the image's.
const SIDES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14];

/// Where the curves of a test have their heights.
fn places(test: usize) -> Vec<f64> {
    match test {
        0 | 1 => SHARES.to_vec(),
        _ => SIDES.map(|side| f64::from(side) / 14.0).to_vec(),
    }
}

fn tests() -> [Box<dyn Metric>; 4] {
    let blur = || Baseline::Blurred(BLUR);
    let pixels = || TopKAblation::default().shares(places(0));
    let boxes = || MassCentreAblation::default().sides(places(2));
    [
        Box::new(pixels()),
        Box::new(pixels().baseline(blur())),
        Box::new(boxes()),
        Box::new(boxes().baseline(blur())),
    ]
}

pub fn run(args: &args::Distill) -> Result<()> {
    let model = Opened::of(&args.model)?;
    if model.origin != Origin::Bundled {
        return Err(Failure::input(
            format!("`{}` does not know scenes", args.model.model),
            "take `bundled-resnet` or `bundled-vit`",
        ));
    }
    write::folder(&args.out)?;
    let contenders = contenders::all(args, &model)?;
    let mut journal = Journal::open(&args.out.join("distill.jsonl"), &Setting::of(args, &model)?)?;
    measure(args, (&model, &contenders), &mut journal)?;
    result::show(args, &contenders, &journal.lines[..args.images as usize])
}

/// Measures the scenes that the journal does not have.
fn measure(
    args: &args::Distill,
    (model, contenders): (&Opened, &[Contender]),
    journal: &mut Journal,
) -> Result<()> {
    let bar = Bar::new("scenes");
    while (journal.lines.len() as u64) < args.images {
        let known = journal.lines.len();
        let first = known as u64 / TOGETHER * TOGETHER;
        let lines = match Scenes::new(model, first)?.lines(contenders, args.seed) {
            Err(Broken::Cancelled) => return Err(stopped(known)),
            Err(Broken::Failed(failure)) => return Err(failure),
            Ok(lines) => lines,
        };
        journal.add(&lines[known - first as usize..])?;
        let done = journal.lines.len();
        let stop = bar.update(Progress { done, of: args.images as usize }).is_break();
        if stop && (done as u64) < args.images {
            return Err(stopped(done));
        }
    }
    Ok(())
}

fn stopped(scenes: usize) -> Failure {
    Failure::interrupted(format!("interrupted after {scenes} scenes; the same command goes on from there"))
}

/// Scenes of consecutive seeds, as the model takes them.
struct Scenes<'a> {
    model: &'a Opened,
    first: u64,
    input: Tensor,
}

/// Why no lines came.
enum Broken {
    Cancelled,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Scenes<'a> {
    fn new(model: &'a Opened, first: u64) -> Result<Self> {
        let inputs = (first..first + TOGETHER).map(|seed| model.input(&picture(Scene::single(seed).pixels)?));
        let input = Tensor::cat(&inputs.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(Self { model, first, input })
    }

    /// A line for every scene.
    fn lines(&self, contenders: &[Contender], seed: u64) -> Result<Vec<Line>, Broken> {
        let rows = self.input.dims()[0];
        let mut lines: Vec<Line> = (0..rows).map(|row| Line::new(self.first + row as u64)).collect();
        for contender in contenders {
            let curves = self.curves(contender, seed)?;
            for (row, line) in lines.iter_mut().enumerate() {
                line.curves.push(curves.iter().map(|test| test[row].values.clone()).collect());
            }
        }
        Ok(lines)
    }

    /// For each test the curves of all rows.
    fn curves(&self, contender: &Contender, seed: u64) -> Result<Vec<Vec<Curve>>, Broken> {
        let query =
            Query::new(&self.input).seed(seed).first_sample(self.first).on_progress(|_| interrupt::go_on());
        let model = &self.model.loaded.model;
        let map = contender.method.attribute(model, &query).map_err(cancelled)?;
        let subject = Subject::new(model, &query, &map).map_err(Failure::from)?;
        let curves = |test: Box<dyn Metric>| match test.measure(&subject) {
            Ok(measured) => Ok(measured.curves),
            Err(candlelight::metrics::Error::Core(error)) => Err(cancelled(error)),
            Err(error) => Err(Broken::Failed(error.into())),
        };
        tests().into_iter().map(curves).collect()
    }
}

fn cancelled(error: Error) -> Broken {
    match error {
        Error::Cancelled { .. } => Broken::Cancelled,
        error => Broken::Failed(error.into()),
    }
}
