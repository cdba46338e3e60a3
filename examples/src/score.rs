//! `candlelight score`: what the bundled models and their explanations reach, measured on scenes.

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::model::Opened;
use crate::progress::Bar;
use crate::subject::picture;
use crate::term;
use crate::words::percent;
use crate::write;
use candle_core::{Device, Module, Tensor};
use candlelight::metrics::PointingGame;
use candlelight::models::Model;
use candlelight::models::bundled;
use candlelight::models::scenes::{Object, SIZE, Scene};
use candlelight::{
    Explain, Family, GradCam, IntegratedGradients, Method, Progress, Query, Settings, Target, method,
};
use serde::Serialize;
use std::ops::Range;

/// Steps of Integrated Gradients.
const STEPS: usize = 50;
/// Scenes that are drawn and explained together.
const TOGETHER: u64 = 10;

/// What one model reaches.
#[derive(Serialize)]
struct Score {
    model: &'static str,
    /// The share of unseen scenes that are classified rightly.
    accuracy: f64,
    accuracy_scenes: u64,
    /// The share of scenes in which the maximum of Grad-CAM for the true class lies in the mask.
    grad_cam_pointing_game: f64,
    grad_cam_scenes: u64,
    /// What a maximum at random would reach: the mean share of the image that the masks cover.
    chance: f64,
    /// Residual of Integrated Gradients for the top class, relative to |f(x) − f(x′)|.
    residual_median: f64,
    residual_95th_percentile: f64,
    residual_scenes: u64,
    residual_steps: usize,
    /// The share of scenes with two objects whose two likeliest classes are theirs: what the model does not see, no map
    /// of it can show.
    two_objects_seen: f64,
    two_objects: Vec<ToldApart>,
    two_objects_scenes: u64,
}

/// Methods that are shown scenes with two objects: those that should tell them apart, and one that cannot.
const SHOWN_TWO: [&str; 3] = ["grad-cam", "transformer-relevance", "attention-rollout"];

/// How a method does on scenes with two objects.
#[derive(Serialize)]
struct ToldApart {
    method: &'static str,
    /// The share of scenes in which the map for the class of one object has more positive mass in its mask than in the
    /// other's.
    more_on_its_own: f64,
}

pub fn run(args: &args::Score) -> Result<()> {
    let scores = bundled::NAMES.map(|name| Score::measure(name, args));
    let scores = scores.into_iter().collect::<Result<Vec<_>>>()?;
    if args.json {
        term::say(&write::json(&scores)?);
        return Ok(());
    }
    let mut rows = vec![["", bundled::NAMES[0], bundled::NAMES[1]].map(String::from).to_vec()];
    let mut row = |title: String, value: fn(&Score) -> f64| {
        rows.push([vec![title], scores.iter().map(|score| percent(value(score))).collect()].concat());
    };
    let (unseen, scenes, paths) = (args.accuracy_scenes, args.scenes, args.path_scenes);
    row(format!("accuracy on {unseen} unseen scenes"), |score| score.accuracy);
    row(format!("Grad-CAM: maximum inside the object, {scenes} scenes"), |score| {
        score.grad_cam_pointing_game
    });
    row("  by chance".into(), |score| score.chance);
    row(format!("Integrated Gradients, {STEPS} steps: residual, median of {paths} scenes"), |score| {
        score.residual_median
    });
    row("  95th percentile".into(), |score| score.residual_95th_percentile);
    row(format!("two objects: both are the likeliest, {scenes} scenes"), |score| score.two_objects_seen);
    for name in SHOWN_TWO {
        let told = |score: &Score| {
            score.two_objects.iter().find(|told| told.method == name).map(|it| it.more_on_its_own)
        };
        let shares = scores.iter().map(|score| told(score).map_or_else(|| "-".into(), percent));
        let title = format!("  {}: more on its own", method(name)?.title);
        rows.push([vec![title], shares.collect()].concat());
    }
    term::table(&rows, &[1, 2]);
    Ok(())
}

impl Score {
    fn measure(model: &'static str, args: &args::Score) -> Result<Self> {
        let opened = Opened::open(model, args.device)?;
        let accuracy =
            each(&format!("{model}: accuracy"), SINGLE, args.accuracy_scenes, |batch| batch.right(&opened))?;
        let pointed =
            each(&format!("{model}: Grad-CAM"), SINGLE, args.scenes, |batch| batch.pointed(&opened))?;
        let covered = each("masks", SINGLE, args.scenes, |batch| Ok(batch.covered()))?;
        let residual = each(&format!("{model}: Integrated Gradients"), SINGLE, args.path_scenes, |batch| {
            batch.residual(&opened)
        })?;
        let seen = each("two objects", Scene::pair, args.scenes, |batch| batch.seen(&opened))?;
        Ok(Self {
            model,
            accuracy: mean(&accuracy),
            accuracy_scenes: args.accuracy_scenes,
            grad_cam_pointing_game: mean(&pointed),
            grad_cam_scenes: args.scenes,
            chance: mean(&covered),
            residual_median: percentile(&residual, 0.5),
            residual_95th_percentile: percentile(&residual, 0.95),
            residual_scenes: args.path_scenes,
            residual_steps: STEPS,
            two_objects_seen: mean(&seen),
            two_objects: ToldApart::all(&opened, args.scenes)?,
            two_objects_scenes: args.scenes,
        })
    }
}

impl ToldApart {
    /// Every method that suits the model.
    fn all(model: &Opened, scenes: u64) -> Result<Vec<Self>> {
        let has_attention = matches!(model.loaded.model, Model::ViT(_));
        let methods = SHOWN_TWO.into_iter().map(|name| Ok(method(name)?)).collect::<Result<Vec<_>>>()?;
        let suits = |method: &&Method| has_attention || method.family != Family::Attention;
        methods.into_iter().filter(suits).map(|method| Self::measure(method, model, scenes)).collect()
    }

    fn measure(method: &'static Method, model: &Opened, scenes: u64) -> Result<Self> {
        let title = format!("two objects: {}", method.title);
        let right = each(&title, Scene::pair, scenes, |batch| batch.told_apart(method, model))?;
        Ok(Self { method: method.name, more_on_its_own: mean(&right) })
    }
}

/// Scenes with one object.
const SINGLE: fn(u64) -> Scene = Scene::single;

/// The scenes of consecutive seeds.
struct Batch(Vec<Scene>);

impl Batch {
    fn of(draw: fn(u64) -> Scene, seeds: Range<u64>) -> Self {
        Self(seeds.map(draw).collect())
    }

    fn input(&self, model: &Opened) -> Result<Tensor> {
        let inputs = self.0.iter().map(|scene| model.input(&picture(scene.pixels.clone())?));
        Ok(Tensor::cat(&inputs.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn classes(&self) -> Vec<usize> {
        self.0.iter().map(Scene::class).collect()
    }

    fn masks(&self) -> Result<Tensor> {
        let inside =
            self.0.iter().flat_map(|scene| scene.objects[0].mask.iter().map(|&inside| u8::from(inside)));
        Ok(Tensor::from_vec(inside.collect::<Vec<_>>(), (self.0.len(), SIZE, SIZE), &Device::Cpu)?)
    }

    /// 1 for every scene whose likeliest class is the true one.
    fn right(&self, model: &Opened) -> Result<Vec<f64>> {
        let top = model.loaded.model.forward(&self.input(model)?)?.detach().argmax(1)?.to_vec1::<u32>()?;
        Ok(top.iter().zip(self.classes()).map(|(&top, class)| f64::from(top as usize == class)).collect())
    }

    /// 1 for every scene whose map points at the object.
    fn pointed(&self, model: &Opened) -> Result<Vec<f64>> {
        let query = Query::from((&self.input(model)?, Target::PerRow(self.classes())));
        let map = GradCam::at(model.loaded.model.cam_layer()).attribute(&model.loaded.model, &query)?;
        Ok(PointingGame::default().score(&map, &self.masks()?)?)
    }

    /// 1 for every scene whose likeliest classes are its objects', in any order.
    fn seen(&self, model: &Opened) -> Result<Vec<f64>> {
        let logits = model.loaded.model.forward(&self.input(model)?)?.detach().to_vec2::<f32>()?;
        let seen = |(scene, logits): (&Scene, &Vec<f32>)| {
            let objects = scene.objects.iter().map(|object| object.shape.index());
            let least = objects.clone().map(|class| logits[class]).fold(f32::INFINITY, f32::min);
            f64::from(logits.iter().filter(|&&logit| logit >= least).count() == objects.count())
        };
        Ok(self.0.iter().zip(&logits).map(seen).collect())
    }

    /// 1 for every scene of two objects whose map for the first one's class has more positive mass on it than on the
    /// other.
    fn told_apart(&self, method: &Method, model: &Opened) -> Result<Vec<f64>> {
        let settings = Settings { layers: vec![model.loaded.model.cam_layer()], ..Settings::default() };
        let query = Query::from((&self.input(model)?, Target::PerRow(self.classes())));
        let map = method.with(&settings)?.attribute(&model.loaded.model, &query)?;
        let planes = map.plane(SIZE, SIZE)?.to_device(&Device::Cpu)?.flatten_from(1)?.to_vec2::<f32>()?;
        let mass = |plane: &[f32], object: &Object| -> f32 {
            plane
                .iter()
                .zip(&object.mask)
                .filter(|(_, inside)| **inside)
                .map(|(value, _)| value.max(0.0))
                .sum()
        };
        let told = |(scene, plane): (&Scene, &Vec<f32>)| {
            let [own, other] = [0, 1].map(|object| mass(plane, &scene.objects[object]));
            f64::from(own > other)
        };
        Ok(self.0.iter().zip(&planes).map(told).collect())
    }

    /// The share of each scene that the object covers.
    fn covered(&self) -> Vec<f64> {
        self.0.iter().map(|scene| scene.objects[0].area() as f64 / (SIZE * SIZE) as f64).collect()
    }

    fn residual(&self, model: &Opened) -> Result<Vec<f64>> {
        let query = Query::new(&self.input(model)?).on_progress(|_| interrupt::go_on());
        let map = IntegratedGradients::default().steps(STEPS).attribute(&model.loaded.model, &query);
        match map {
            Err(candlelight::Error::Cancelled { .. }) => Err(stopped()),
            map => Ok(map?.convergence().completeness.iter().flat_map(|it| it.relative()).collect()),
        }
    }
}

/// What `measure` says of the scenes that are drawn with seeds from 0, batch by batch.
fn each(
    title: &str,
    draw: fn(u64) -> Scene,
    scenes: u64,
    measure: impl Fn(&Batch) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    let bar = Bar::new(title);
    let mut values = Vec::new();
    for first in (0..scenes).step_by(TOGETHER as usize) {
        values.extend(measure(&Batch::of(draw, first..(first + TOGETHER).min(scenes)))?);
        if bar.update(Progress { done: values.len(), of: scenes as usize }).is_break() {
            return Err(stopped());
        }
    }
    Ok(values)
}

fn stopped() -> Failure {
    Failure::interrupted("interrupted: nothing was measured to the end")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value below which a share of all values lies, linear between ranks.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    if low == high { low } else { low + (high - low) * rank.fract() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_linear_between_ranks() {
        assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(percentile(&[1.0], 0.95), 1.0);
        assert_eq!(percentile(&[1.0, f64::INFINITY], 1.0), f64::INFINITY);
    }
}
