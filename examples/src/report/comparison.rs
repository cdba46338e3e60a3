//! What the page of a comparison says.

use super::card::Fact;
use super::matrix::Matrix;
use super::page::{Edge, Picture};
use super::repeat;
use crate::compare::{Cell, Curves, Job, Line, Shown};
use crate::failure::Result;
use crate::subject::Origin;
use crate::words;
use candlelight::Target;
use candlelight::image::Charts;
use serde::Serialize;

/// Lines of a curve's table: whoever needs all has the chart's numbers in the files.
const PLACES: usize = 11;

/// What was compared, and what came out.
pub struct Compared<'a> {
    pub job: &'a Job<'a>,
    /// Metric by metric, a cell for every method.
    pub cells: &'a [Vec<Cell>],
    pub curves: &'a [Curves],
    /// Images that were measured to their end.
    pub done: usize,
}

/// Methods beside methods.
#[derive(Serialize)]
pub struct Comparison {
    model: String,
    about: String,
    /// How far a run came that was stopped.
    stopped: Option<String>,
    matrix: Matrix,
    curves: Vec<Figure>,
    strips: Vec<Strip>,
    /// How many images there are.
    images: String,
    command: String,
    facts: Vec<Fact>,
}

/// The curves of one metric.
#[derive(Serialize)]
struct Figure {
    title: &'static str,
    /// An SVG, in which nothing stands that comes from outside.
    svg: String,
    /// In its place, for those who do not see it.
    alt: String,
    methods: Vec<String>,
    /// A place, and the height of every curve there.
    places: Vec<(String, Vec<String>)>,
}

/// The maps over one image.
#[derive(Serialize)]
struct Strip {
    title: String,
    picture: Picture,
    truth: Option<Edge>,
    maps: Vec<Tile>,
}

/// A map over an image, or why there is none.
#[derive(Serialize)]
struct Tile {
    title: &'static str,
    picture: Option<Picture>,
    reason: Option<String>,
}

impl Comparison {
    pub fn of(compared: &Compared) -> Result<Self> {
        let Compared { job, done, .. } = *compared;
        let weights = job.model.fingerprint()?;
        let command: Vec<String> = std::env::args().skip(1).collect();
        let shown = job.shown.iter().enumerate();
        Ok(Self {
            model: job.model.loaded.name.clone(),
            about: about(compared),
            stopped: (done < job.count()).then(|| format!("{done} of {}", images(job.count()))),
            matrix: Matrix::of(job, compared.cells),
            curves: compared.curves.iter().map(Figure::of).collect::<Result<_>>()?,
            strips: shown.map(|(index, shown)| Strip::of(job, index, shown)).collect::<Result<_>>()?,
            images: images(done),
            command: words::command(&command),
            facts: repeat::facts(&job.model, (&job.args.model.model, &weights), None, job.args.seed),
        })
    }
}

fn images(count: usize) -> String {
    if count == 1 { "1 image".into() } else { format!("{count} images") }
}

/// What is compared on what.
fn about(compared: &Compared) -> String {
    let Compared { job, done, .. } = *compared;
    let (first, last) = (job.args.seed, job.args.seed + done as u64 - 1);
    let on = match (job.args.images.is_empty(), done) {
        (false, _) => images(done),
        (true, 1) => format!("the scene of seed {first}"),
        (true, _) => format!("{done} scenes of the seeds {first} to {last}"),
    };
    let explained = match job.target {
        Target::Class(class) => format!("“{}”", words::label(&job.model.loaded.labels.name(class))),
        _ if done == 1 => "its likeliest class".into(),
        _ => "each one’s likeliest class".into(),
    };
    format!("On {on}; explained is {explained}.")
}

impl Figure {
    fn of(curves: &Curves) -> Result<Self> {
        let title = curves.entry.title;
        let methods: Vec<String> = curves.lines.iter().map(|line| line.name.clone()).collect();
        let longest = curves.lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
        let chosen = (0..PLACES.min(longest)).map(|k| k * (longest - 1) / (PLACES.min(longest) - 1).max(1));
        let place = |index: usize| {
            let at = |line: &Line| line.points.get(index).copied();
            let heights =
                curves.lines.iter().map(|line| at(line).map_or_else(String::new, |(_, y)| words::number(y)));
            let place = curves.lines.iter().find_map(at).map_or_else(String::new, |(x, _)| share(x));
            (place, heights.collect())
        };
        Ok(Self {
            title,
            svg: Charts::new("").chart(curves.chart()).svg()?,
            alt: format!("{title}: curves of {}. Their numbers are in the table below.", methods.join(", ")),
            methods,
            places: chosen.map(place).collect(),
        })
    }
}

/// Where a curve is along its way.
fn share(at: f64) -> String {
    if at == 0.0 { "0 %".into() } else { words::percent(at) }
}

impl Strip {
    fn of(job: &Job, index: usize, shown: &Shown) -> Result<Self> {
        let subject = &shown.subject;
        let name = match &subject.origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Scene(seed) => format!("Scene {seed}"),
        };
        let maps = job.contenders.iter().map(|contender| {
            let (title, drawn) = (contender.title, &contender.drawn[index]);
            let picture = |pixels| Picture::of(pixels, format!("{title} over {name}"));
            Ok(Tile {
                title,
                picture: drawn.as_ref().ok().map(picture).transpose()?,
                reason: drawn.as_ref().err().map(|reason| words::short(reason).to_owned()),
            })
        });
        Ok(Self {
            title: shown.label.iter().fold(name.clone(), |name, label| format!("{name}: why {label}?")),
            picture: Picture::of(&subject.seen, format!("{name}, as the model sees it"))?,
            truth: subject.truth.as_ref().map(Edge::of).transpose()?,
            maps: maps.collect::<Result<_>>()?,
        })
    }
}
