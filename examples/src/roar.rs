//! `candlelight roar`: what can still be learned where methods have removed what they call important.

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::method::Selection;
use crate::model::Opened;
use crate::progress::Bar;
use crate::style;
use crate::subject::picture;
use crate::term;
use crate::words;
use crate::write;
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss};
use candlelight::image::{Chart, Charts, Series, Ticks};
use candlelight::metrics::{Bootstrap, Estimate, Explained, RandomMap, Retrained, Retraining, Roar};
use candlelight::models::resnet::{Block, ResNet, ResNetConfig, Stage};
use candlelight::models::scenes::Scene;
use candlelight::{Attribution, Explain, Progress, Query, Settings, Target};
use serde::Serialize;
use std::cell::Cell;
use std::ops::ControlFlow;

/// The first scene seed of the training here: no scene that the bundled models have seen.
const FIRST: u64 = 1 << 49;
/// Scenes in a step.
const BATCH: usize = 32;
/// The learning rate at the start; it falls to 0 as a cosine.
const RATE: f64 = 3e-3;

/// One method at one share.
#[derive(Serialize)]
struct Reached {
    method: String,
    share: f64,
    /// The accuracy of every model that was trained on what is left.
    accuracies: Vec<f64>,
    mean: f64,
    /// The interval over the runs; none for a single run.
    interval: Option<(f64, f64)>,
}

pub fn run(args: &args::Roar) -> Result<()> {
    write::folder(&args.out)?;
    let model = Opened::open("bundled-resnet", args.device)?;
    let sets = [Scenes::new(&model, FIRST, args.train)?, Scenes::new(&model, 0, args.test)?];
    let settings =
        Settings { layers: vec![model.loaded.model.cam_layer()], steps: args.steps, ..Settings::default() };
    let chosen = Selection::of(&args.method)?.methods;
    let mut methods: Vec<Box<dyn Explain>> = vec![Box::new(RandomMap::default())];
    for method in chosen {
        methods.push(method.with(&settings)?);
    }
    let trainings = Trainings::of(args, methods.len());
    let mut reached = Vec::new();
    for method in &methods {
        let maps = sets.each_ref().map(|set| set.explain(&**method, &model, args.seed));
        let [train, test] = maps;
        reached.extend(trainings.of_method(&method.name(), &sets, &[train?, test?])?);
    }
    show(args, &reached)
}

/// Scenes with their classes and maps for them.
struct Scenes {
    images: Tensor,
    classes: Vec<usize>,
}

impl Scenes {
    fn new(model: &Opened, first: u64, count: u64) -> Result<Self> {
        let scenes: Vec<Scene> = (first..first + count).map(Scene::single).collect();
        let classes = scenes.iter().map(Scene::class).collect();
        let images = scenes.into_iter().map(|scene| model.input(&picture(scene.pixels)?));
        Ok(Self { images: Tensor::cat(&images.collect::<Result<Vec<_>>>()?, 0)?, classes })
    }

    /// Why the model would say the true class, of every scene.
    fn explain(&self, method: &dyn Explain, model: &Opened, seed: u64) -> Result<Attribution> {
        let bar = Bar::new(format!("{}: maps", method.name()));
        let query = Query::from((&self.images, Target::PerRow(self.classes.clone()))).seed(seed);
        let query = query.on_progress(move |progress| bar.update(progress));
        match method.attribute(&model.loaded.model, &query) {
            Err(candlelight::Error::Cancelled { .. }) => Err(stopped()),
            map => Ok(map?),
        }
    }

    fn labels(&self, device: &Device) -> Result<Tensor> {
        let labels: Vec<u32> = self.classes.iter().map(|&class| class as u32).collect();
        Ok(Tensor::new(labels, device)?)
    }
}

/// All trainings of the command.
struct Trainings<'a> {
    args: &'a args::Roar,
    bar: Bar,
    /// Scenes that went through training so far, and in all.
    done: Cell<usize>,
    of: usize,
}

impl<'a> Trainings<'a> {
    fn of(args: &'a args::Roar, methods: usize) -> Self {
        let trainings = methods * args.shares.len() * args.runs;
        let of = trainings * args.epochs * args.train as usize;
        Self { args, bar: Bar::new("training, scenes"), done: Cell::new(0), of }
    }

    fn of_method(&self, name: &str, sets: &[Scenes; 2], maps: &[Attribution; 2]) -> Result<Vec<Reached>> {
        let train = Explained::new(&sets[0].images, &maps[0])?;
        let test = Explained::new(&sets[1].images, &maps[1])?;
        let roar = Roar::default().shares(self.args.shares.clone()).runs(self.args.runs);
        let device = sets[0].images.device();
        let labels = [sets[0].labels(device)?, sets[1].labels(device)?];
        let retrained = roar.retrain::<Failure>((train, test), |left| self.score(left, &labels))?;
        reached(name, &retrained)
    }

    /// The accuracy of a fresh model that is trained on what is left.
    fn score(&self, left: &Retraining, [labels, truth]: &[Tensor; 2]) -> Result<f64> {
        let weights = VarMap::new();
        let builder = VarBuilder::from_varmap(&weights, DType::F32, left.train.device());
        let net = ResNet::new(small(), builder)?;
        let params = ParamsAdamW { lr: RATE, weight_decay: 0.02, ..ParamsAdamW::default() };
        let mut optimizer = AdamW::new(weights.all_vars(), params)?;
        let count = left.train.dims()[0];
        let steps = self.args.epochs * count.div_ceil(BATCH);
        for step in 0..steps {
            let share = step as f64 / steps as f64;
            optimizer.set_learning_rate(RATE * 0.5 * (1.0 + (share * std::f64::consts::PI).cos()));
            let index = places(step, count, left.train.device())?;
            let logits = net.forward_train(&left.train.index_select(&index, 0)?)?;
            optimizer.backward_step(&loss::cross_entropy(&logits, &labels.index_select(&index, 0)?)?)?;
            self.count(index.elem_count())?;
        }
        let top = net.forward(&left.test)?.detach().argmax(D::Minus1)?;
        let right = top.eq(truth)?.to_dtype(DType::F64)?.mean_all()?;
        Ok(right.to_scalar::<f64>()?)
    }

    fn count(&self, scenes: usize) -> Result<()> {
        self.done.set(self.done.get() + scenes);
        match self.bar.update(Progress { done: self.done.get(), of: self.of }) {
            ControlFlow::Break(()) => Err(stopped()),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// The scenes of a step: every scene once in each epoch, in another order in each.
fn places(step: usize, count: usize, device: &Device) -> Result<Tensor> {
    let steps = count.div_ceil(BATCH);
    let (epoch, first) = (step / steps, step % steps * BATCH);
    // A stride that shares no factor with the count visits every scene.
    let stride = (epoch * 7919 + count / 3..).find(|&stride| coprime(stride, count)).unwrap_or(1);
    let place = |k: usize| (k * stride % count) as u32;
    Ok(Tensor::new((first..count.min(first + BATCH)).map(place).collect::<Vec<u32>>(), device)?)
}

fn coprime(mut a: usize, mut b: usize) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// A quarter of the bundled ResNet's width: quick to train.
fn small() -> ResNetConfig {
    let stage = |channels, stride| Stage { block: Block::Basic, depth: 1, channels, stride };
    ResNetConfig { stem_channels: 16, stages: vec![stage(24, 1), stage(48, 2)], ..ResNetConfig::scenes() }
}

fn reached(method: &str, retrained: &Retrained) -> Result<Vec<Reached>> {
    let shares = &retrained.runs[0].at;
    let of_share = |(place, &share): (usize, &f64)| {
        let accuracies: Vec<f64> = retrained.runs.iter().map(|run| run.values[place]).collect();
        let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        let estimate = (accuracies.len() > 1).then(|| Bootstrap::default().mean(&accuracies)).transpose()?;
        let interval = estimate.map(|Estimate { low, high, .. }| (low, high));
        Ok(Reached { method: method.to_owned(), share, accuracies, mean, interval })
    };
    shares.iter().enumerate().map(of_share).collect()
}

fn show(args: &args::Roar, reached: &[Reached]) -> Result<()> {
    let json = write::json(&reached)?;
    write::text(&args.out, "roar.json", &format!("{json}\n"))?;
    write::charts(&charts(args, reached), &args.out, "roar")?;
    match args.json {
        true => term::say(&json),
        false => table(args, reached),
    }
    Ok(())
}

fn table(args: &args::Roar, reached: &[Reached]) {
    let shares = args.shares.iter().map(|&share| format!("{} gone", words::percent(share)));
    let mut rows = vec![std::iter::once("accuracy".to_owned()).chain(shares).collect::<Vec<_>>()];
    for line in reached.chunks(args.shares.len()) {
        let cell = |it: &Reached| match it.interval {
            Some((low, high)) => words::interval(it.mean, low, high),
            None => format!("{:.3}", it.mean),
        };
        rows.push(std::iter::once(line[0].method.clone()).chain(line.iter().map(cell)).collect());
    }
    term::table(&rows, &[]);
    term::say("");
    term::say(
        "of models trained on what is left; lower than random is better; intervals over the runs alone",
    );
    term::say(&format!("wrote {}, .svg and .json", args.out.join("roar.png").display()));
}

fn charts(args: &args::Roar, reached: &[Reached]) -> Charts {
    let chart = Chart::new("ROAR", "pixels replaced in training and test, most salient first", "accuracy");
    let chart = chart.ticks(Ticks::Percent, Ticks::Percent);
    let lines = reached.chunks(args.shares.len()).enumerate();
    let chart = lines.fold(chart, |chart, (index, line)| {
        let points: Vec<_> = line.iter().map(|it| (it.share, it.mean)).collect();
        let band: Option<Vec<_>> = line.iter().map(|it| it.interval).collect();
        let (color, stroke) = if index == 0 { style::CONTROL } else { style::of(index - 1) };
        let series = Series::new(&line[0].method, points, color).stroke(stroke);
        chart.curve(series.band(band.unwrap_or_default()))
    });
    let note = format!("{} models for each point; lower is better", args.runs);
    Charts::new("What is left to learn?").note(note).columns(1).chart(chart)
}

fn stopped() -> Failure {
    match interrupt::asked() {
        true => Failure::interrupted(
            "interrupted: no training is kept; fewer `--runs` or `--shares` take less time",
        ),
        false => Failure::result("the run was cancelled", "please report this"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_is_seen_once_in_an_epoch() {
        for count in [1usize, 32, 100, 1000] {
            let steps = count.div_ceil(BATCH);
            for epoch in 0..3 {
                let steps = epoch * steps..(epoch + 1) * steps;
                let seen =
                    steps.map(|step| places(step, count, &Device::Cpu).unwrap().to_vec1::<u32>().unwrap());
                let mut seen = seen.collect::<Vec<_>>().concat();
                seen.sort_unstable();
                assert_eq!(seen, (0..count as u32).collect::<Vec<_>>());
            }
        }
    }
}
