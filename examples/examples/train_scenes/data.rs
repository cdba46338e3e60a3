//! Scenes as batches of training.

use crate::Args;
use crate::guidance::Asked;
use candle_core::{Device, Result, Tensor};
use candlelight_models::scenes::{Object, SIZE, Scene, Shape};
use std::sync::mpsc::{Receiver, sync_channel};

/// The first scene seed of training; evaluation uses seeds from 0.
const FIRST_SEED: u64 = 1 << 32;
/// Side of the transformer's patches in pixels.
const PATCH: usize = 8;

/// One batch of training.
pub struct Batch {
    pub x: Tensor,
    /// What each class should be given: all for one object, a half each for two.
    pub shares: Tensor,
    /// Patches chosen for their own loss: those of the object and as many others.
    pub patches: Tensor,
    pub patch_labels: Tensor,
    /// The scenes with two objects, asked about one of them.
    pub asked: Option<Asked>,
}

/// Draws batches ahead of the training, on a thread of its own.
pub fn stream(args: &Args) -> Receiver<Result<Batch>> {
    let (send, receive) = sync_channel(2);
    let (steps, batch, first, fade) = (args.steps, args.batch as u64, FIRST_SEED + args.seed, args.fade);
    let pairs = (args.pairs * args.batch as f64).round() as u64;
    std::thread::spawn(move || {
        for step in 0..steps as u64 {
            let share = 0.9 * (1.0 - step as f64 / (fade * steps as f64)).max(0.0);
            let seeds = first + step * batch..first + (step + 1) * batch;
            let (double, single) = (seeds.start..seeds.start + pairs, seeds.start + pairs..seeds.end);
            let scenes = double.map(Scene::pair).chain(single.map(Scene::single)).collect();
            if send.send(Batch::of(scenes, share)).is_err() {
                return;
            }
        }
    });
    receive
}

impl Batch {
    /// Scenes with so large a share of the objects' silhouette blended in: an easy start that fades out.
    fn of(scenes: Vec<Scene>, silhouette: f64) -> Result<Self> {
        let inside = |scene: &Scene, i: usize| scene.objects.iter().any(|object| object.mask[i]);
        let level = |scene, i| if inside(scene, i) { 1.0 } else { -1.0 };
        let masks: Vec<f32> =
            scenes.iter().flat_map(|scene| (0..SIZE * SIZE).map(move |i| level(scene, i))).collect();
        let masks = Tensor::from_vec(masks, (scenes.len(), 1, SIZE, SIZE), &Device::Cpu)?;
        let (patches, patch_labels) = patches(&scenes);
        let x = (pixels(&scenes)? * (1.0 - silhouette))?.broadcast_add(&(masks * silhouette)?)?;
        Ok(Self {
            asked: asked(&scenes, &x)?,
            x,
            shares: shares(&scenes)?,
            patches: Tensor::new(patches, &Device::Cpu)?,
            patch_labels: Tensor::new(patch_labels, &Device::Cpu)?,
        })
    }
}

/// Scenes as the models take them, pixels from -1 to 1.
pub fn pixels(scenes: &[Scene]) -> Result<Tensor> {
    let images = scenes.iter().map(|scene| scene.tensor(&Device::Cpu)).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&images, 0)?.affine(2.0, -1.0)
}

/// The share of each class in each scene: the objects divide one between them.
fn shares(scenes: &[Scene]) -> Result<Tensor> {
    let classes = Shape::ALL.len();
    let mut shares = vec![0.0f32; scenes.len() * classes];
    for (scene, shares) in scenes.iter().zip(shares.chunks_exact_mut(classes)) {
        scene.objects.iter().for_each(|it| shares[it.shape.index()] = 1.0 / scene.objects.len() as f32);
    }
    Tensor::from_vec(shares, (scenes.len(), classes), &Device::Cpu)
}

/// What is asked about the scenes with two objects, which come first: every other one about its second object.
fn asked(scenes: &[Scene], x: &Tensor) -> Result<Option<Asked>> {
    let pairs: Vec<&Scene> = scenes.iter().filter(|scene| scene.objects.len() == 2).collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let (tokens, classes) = ((SIZE / PATCH).pow(2) + 1, Shape::ALL.len());
    let cover =
        |object: &Object| -> Vec<f32> {
            (0..tokens)
                .map(|token| {
                    if token == 0 { 0.0 } else { covered(object, token - 1) as f32 / (PATCH * PATCH) as f32 }
                })
                .collect()
        };
    let object = |which: usize| {
        let covers = pairs.iter().enumerate().flat_map(|(n, scene)| cover(&scene.objects[(n + which) % 2]));
        Tensor::from_vec(covers.collect::<Vec<_>>(), (pairs.len(), tokens), &Device::Cpu)
    };
    let mut target = vec![0.0f32; pairs.len() * classes];
    for (n, scene) in pairs.iter().enumerate() {
        target[n * classes + scene.objects[n % 2].shape.index()] = 1.0;
    }
    Ok(Some(Asked {
        x: x.narrow(0, 0, pairs.len())?,
        target: Tensor::from_vec(target, (pairs.len(), classes), &Device::Cpu)?,
        own: object(0)?,
        other: object(1)?,
    }))
}

/// Indices of the patches that learn, and what lies under each: a class, or 10 for none.
fn patches(scenes: &[Scene]) -> (Vec<u32>, Vec<u32>) {
    let (side, none) = (SIZE / PATCH, Shape::ALL.len());
    let mut chosen = (Vec::new(), Vec::new());
    for (n, scene) in scenes.iter().enumerate() {
        for patch in 0..side * side {
            let covers = scene.objects.iter().map(|object| (covered(object, patch), object.shape.index()));
            let (cover, class) = covers.max().unwrap_or((0, none));
            let on_object = cover > PATCH * PATCH / 4;
            if on_object || (cover == 0 && (patch + n).is_multiple_of(6)) {
                chosen.0.push((n * side * side + patch) as u32);
                chosen.1.push(if on_object { class } else { none } as u32);
            }
        }
    }
    chosen
}

/// How many pixels of a patch an object covers.
fn covered(object: &Object, patch: usize) -> usize {
    let side = SIZE / PATCH;
    let (top, left) = (patch / side * PATCH, patch % side * PATCH);
    (0..PATCH * PATCH).filter(|i| object.mask[(top + i / PATCH) * SIZE + left + i % PATCH]).count()
}
