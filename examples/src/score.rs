//! `candlelight score`: what the bundled models and their explanations reach, measured on scenes.

use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::model::Opened;
use crate::progress::Bar;
use crate::subject::picture;
use crate::term;
use crate::words::percent;
use candle_core::{Device, Module, Tensor};
use candlelight::metrics::{Metric, PointingGame};
use candlelight::models::bundled;
use candlelight::models::scenes::{SIZE, Scene};
use candlelight::{Explain, GradCam, IntegratedGradients, Progress, Query, Target};
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
}

pub fn run(args: &args::Score) -> Result<()> {
    let scores = bundled::NAMES.map(|name| Score::measure(name, args));
    let scores = scores.into_iter().collect::<Result<Vec<_>>>()?;
    if args.json {
        let text = serde_json::to_string_pretty(&scores);
        term::say(&text.map_err(|error| Failure::result(error.to_string(), "please report this"))?);
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
    term::table(&rows, &[1, 2]);
    Ok(())
}

impl Score {
    fn measure(model: &'static str, args: &args::Score) -> Result<Self> {
        let opened = Opened::open(model, args.device)?;
        let accuracy =
            each(&format!("{model}: accuracy"), args.accuracy_scenes, |batch| batch.right(&opened))?;
        let pointed = each(&format!("{model}: Grad-CAM"), args.scenes, |batch| batch.pointed(&opened))?;
        let covered = each("masks", args.scenes, |batch| Ok(batch.covered()))?;
        let residual = each(&format!("{model}: Integrated Gradients"), args.path_scenes, |batch| {
            batch.residual(&opened)
        })?;
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
        })
    }
}

/// The scenes of consecutive seeds.
struct Batch(Vec<Scene>);

impl Batch {
    fn of(seeds: Range<u64>) -> Self {
        Self(seeds.map(Scene::single).collect())
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

    /// The share of each scene that the object covers.
    fn covered(&self) -> Vec<f64> {
        self.0.iter().map(|scene| scene.objects[0].area() as f64 / (SIZE * SIZE) as f64).collect()
    }

    fn residual(&self, model: &Opened) -> Result<Vec<f64>> {
        let query = Query::new(&self.input(model)?).on_progress(|_| match interrupt::asked() {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        });
        let map = IntegratedGradients::default().steps(STEPS).attribute(&model.loaded.model, &query);
        match map {
            Err(candlelight::Error::Cancelled { .. }) => Err(stopped()),
            map => Ok(map?.convergence().completeness.iter().flat_map(|it| it.relative()).collect()),
        }
    }
}

/// What `measure` says of the scenes with seeds from 0, batch by batch.
fn each(title: &str, scenes: u64, measure: impl Fn(&Batch) -> Result<Vec<f64>>) -> Result<Vec<f64>> {
    let bar = Bar::new(title);
    let mut values = Vec::new();
    for first in (0..scenes).step_by(TOGETHER as usize) {
        values.extend(measure(&Batch::of(first..(first + TOGETHER).min(scenes)))?);
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
