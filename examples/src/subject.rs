//! What is explained: an image from a file, or a scene with its ground truth.

use crate::failure::{Failure, Result};
use crate::model::{self, Opened};
use candle_core::{Device, Tensor};
use candlelight::image::{self, Mask, RgbImage};
use candlelight::models::scenes::{SIZE, Scene, Shape};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// An image on its way into a model.
pub struct Subject {
    /// What its files are called.
    pub stem: String,
    pub origin: Origin,
    /// What the model sees, as pixels.
    pub seen: RgbImage,
    /// What the model sees, as numbers: `[1, 3, height, width]`.
    pub input: Tensor,
    pub truth: Option<Truth>,
    /// SHA-256 of the file, or of the scene's pixels.
    pub sha256: String,
}

pub enum Origin {
    File(PathBuf),
    Scene(u64),
}

/// Where the object of a scene is.
pub struct Truth {
    pub shape: Shape,
    /// `[1, H, W]` at the size that the model sees, u8.
    pub mask: Tensor,
    /// The share of the image that the object covers.
    pub share: f64,
}

impl Subject {
    /// The image in a file.
    pub fn open(path: &Path, model: &Opened) -> Result<Self> {
        let picture = image::open(path)?;
        check_size(&picture, &path.display().to_string())?;
        let mut hash = Sha256::new();
        model::hash_file(path, &mut hash)?;
        let subject = Self::of(path, &picture, model).map_err(|failure| failure.about(path))?;
        Ok(Self { sha256: model::hex(&hash.finalize()), ..subject })
    }

    /// An image that was sent under a name.
    #[cfg(feature = "serve")]
    pub fn uploaded(name: &str, bytes: &[u8], picture: &RgbImage, model: &Opened) -> Result<Self> {
        check_size(picture, name)?;
        let sha256 = model::hex(&Sha256::digest(bytes));
        Ok(Self { sha256, ..Self::of(Path::new(name), picture, model)? })
    }

    fn of(path: &Path, picture: &RgbImage, model: &Opened) -> Result<Self> {
        let stem =
            path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            stem,
            origin: Origin::File(path.to_path_buf()),
            seen: model.preprocess.pixels(picture)?,
            input: model.input(picture)?,
            truth: None,
            sha256: String::new(),
        })
    }

    /// The scene of a seed.
    pub fn scene(seed: u64, model: &Opened) -> Result<Self> {
        let scene = Scene::single(seed);
        let picture = picture(scene.pixels.clone())?;
        Ok(Self {
            stem: format!("scene-{seed}"),
            origin: Origin::Scene(seed),
            seen: model.preprocess.pixels(&picture)?,
            input: model.input(&picture)?,
            truth: Some(Truth::of(&scene, model)?),
            sha256: model::hex(&Sha256::digest(&scene.pixels)),
        })
    }
}

fn check_size(picture: &RgbImage, name: &str) -> Result<()> {
    if picture.dimensions() != (1, 1) {
        return Ok(());
    }
    let message = format!("`{name}` has a single pixel, `1` x `1`: no part of it can be explained");
    Err(Failure::input(message, "give a picture of the size that the model was trained on, or near it"))
}

impl Truth {
    /// The mask of the scene's object, brought to size as the scene itself is.
    fn of(scene: &Scene, model: &Opened) -> Result<Self> {
        let object = &scene.objects[0];
        let pixels = object.mask.iter().flat_map(|&inside| [if inside { 255 } else { 0 }; 3]).collect();
        let seen = model.preprocess.pixels(&picture(pixels)?)?;
        let mask: Vec<u8> = seen.pixels().map(|pixel| u8::from(pixel.0[0] > 127)).collect();
        let share = mask.iter().map(|&inside| f64::from(inside)).sum::<f64>() / mask.len() as f64;
        let shape = (1, seen.height() as usize, seen.width() as usize);
        Ok(Self { shape: object.shape, mask: Tensor::from_vec(mask, shape, &Device::Cpu)?, share })
    }

    /// Whether the model means this object by `class`: numbers of other models mean other things.
    pub fn answers(&self, class: usize, model: &Opened) -> bool {
        model.loaded.labels.name(class) == self.shape.name()
    }

    /// The mask as something that can be drawn.
    pub fn outline(&self) -> Result<Mask> {
        Ok(Mask::from_tensor(&self.mask)?)
    }
}

/// The pixels of a scene as a picture.
pub fn picture(pixels: Vec<u8>) -> Result<RgbImage> {
    let wrong = || Failure::result("a scene of the wrong size", "please report this");
    RgbImage::from_raw(SIZE as u32, SIZE as u32, pixels).ok_or_else(wrong)
}
