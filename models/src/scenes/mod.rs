//! Scenes: small pictures with a known right answer, and the place where it is to be seen.
//!
//! A scene shows one of ten [`Shape`]s at a random place, size, angle, colour and texture, on a procedural
//! background, among distractors that belong to no class. The object lies on top of everything else and comes
//! with its mask, so that an explanation can be held against the truth. The bundled demo models are trained on
//! scenes, and [`Scene::pair`] shows two classes at once, to see whether an explanation can tell them apart.
//!
//! A scene is a function of its seed: one ChaCha8 stream, and arithmetic that IEEE 754 fixes to the last bit
//! (`+ - * /` and the square root, no sine, no fused multiply-add). The bytes are the same on every machine.
//!
//! ```
//! use candle_core::Device;
//! use candlelight_models::scenes::{self, Scene};
//!
//! let scene = Scene::single(7);
//! println!("{} on {} pixels", scene.objects[0].shape.name(), scene.objects[0].area());
//! let (images, labels) = scenes::batch(0..16, &Device::Cpu)?;
//! assert_eq!(images.dims(), [16, 3, 64, 64]);
//! assert_eq!(labels.dims(), [16]);
//! # Ok::<(), candle_core::Error>(())
//! ```

mod canvas;
mod dice;
mod distractor;
mod geometry;
mod paint;
mod shape;
#[cfg(test)]
mod tests;

use candle_core::{Device, Result, Tensor};

use canvas::Canvas;
use dice::{Dice, Family};
use geometry::Pose;
use paint::Paint;
pub use shape::Shape;

/// The height and the width of a scene, in pixels.
pub const SIZE: usize = 64;

/// A thing in a scene, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub shape: Shape,
    /// Which pixels it covers by half or more: `SIZE * SIZE` values, row by row.
    pub mask: Vec<bool>,
}

impl Object {
    /// The number of pixels in the mask.
    pub fn area(&self) -> usize {
        self.mask.iter().filter(|&&inside| inside).count()
    }
}

/// A picture with a known right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// `SIZE * SIZE` pixels row by row, each red, green, blue.
    pub pixels: Vec<u8>,
    /// One object, or two of different shapes that don't touch.
    pub objects: Vec<Object>,
}

impl Scene {
    /// The scene of `seed` with one object, 18 to 36 pixels across; every shape is equally likely.
    pub fn single(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Family::Single);
        let shape = Shape::ALL[dice.below(Shape::ALL.len())];
        let pose = Pose::inside(&mut dice, 9.0, 18.0);
        Self::compose(dice, &[(shape, pose)])
    }

    /// The scene of `seed` with two objects of different shapes, each 16 to 26 pixels across.
    pub fn pair(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Family::Pair);
        let first = dice.below(Shape::ALL.len());
        let second = (first + 1 + dice.below(Shape::ALL.len() - 1)) % Shape::ALL.len();
        let [one, other] = apart(&mut dice);
        Self::compose(dice, &[(Shape::ALL[first], one), (Shape::ALL[second], other)])
    }

    fn compose(mut dice: Dice, things: &[(Shape, Pose)]) -> Self {
        let ground = Paint::background(&mut dice);
        let mut canvas = Canvas::covered(&ground);
        distractor::scatter(&mut canvas, &mut dice);
        let mut objects = Vec::with_capacity(things.len());
        for &(shape, pose) in things {
            let paint = Paint::object(&mut dice, &ground);
            objects.push(Object { shape, mask: canvas.draw(shape, &pose, &paint) });
        }
        Self { pixels: canvas.develop(&mut dice), objects }
    }

    /// The label of the first object: its [`Shape::index`].
    pub fn class(&self) -> usize {
        self.objects[0].shape.index()
    }

    /// The picture as an image tensor.
    ///
    /// # Shapes
    /// `[1, 3, 64, 64]`, float32 from 0 to 1.
    ///
    /// # Errors
    /// When the device refuses the memory.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        images(&[self], device)
    }
}

/// Two poses whose enclosing circles are two pixels apart at least.
fn apart(dice: &mut Dice) -> [Pose; 2] {
    loop {
        let [one, other] = [(); 2].map(|()| Pose::inside(dice, 8.0, 13.0));
        if one.is_clear_of(&other, 2.0) {
            return [one, other];
        }
    }
}

/// The one-object scenes of `seeds`, ready for training: images and labels.
///
/// # Shapes
/// `[N, 3, 64, 64]`, float32 from 0 to 1, and `[N]`, u32.
///
/// # Errors
/// When the device refuses the memory.
pub fn batch(seeds: impl IntoIterator<Item = u64>, device: &Device) -> Result<(Tensor, Tensor)> {
    let scenes: Vec<_> = seeds.into_iter().map(Scene::single).collect();
    let labels: Vec<_> = scenes.iter().map(|scene| scene.class() as u32).collect();
    let labels = Tensor::new(labels, device)?;
    Ok((images(&scenes.iter().collect::<Vec<_>>(), device)?, labels))
}

/// Scenes as one image tensor `[N, 3, 64, 64]`: planes instead of pixels, floats instead of bytes.
fn images(scenes: &[&Scene], device: &Device) -> Result<Tensor> {
    let mut data = Vec::with_capacity(scenes.len() * 3 * SIZE * SIZE);
    for scene in scenes {
        for channel in 0..3 {
            let plane = scene.pixels.iter().skip(channel).step_by(3);
            data.extend(plane.map(|&byte| f32::from(byte) / 255.0));
        }
    }
    Tensor::from_vec(data, (scenes.len(), 3, SIZE, SIZE), device)
}
