//! From what `--model` says to a model that is ready for images.

use crate::args::{DeviceName, ModelArgs};
use crate::failure::{Failure, Result};
#[cfg(feature = "hub")]
use crate::{interrupt, progress::Bar};
use candle_core::{DType, Device, Module, Tensor};
use candlelight::image::{Preprocess, RgbImage};
use candlelight::models::{LoadedModel, Loader, bundled};
#[cfg(feature = "hub")]
use candlelight::{Progress, models::hub::Hub};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// A model with everything that stands between an image and its classes.
pub struct Opened {
    pub loaded: LoadedModel,
    pub preprocess: Preprocess,
    /// What had to be guessed because the model does not say.
    pub assumed: Option<&'static str>,
    pub origin: Origin,
    pub device: Device,
}

/// Where a model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Bundled,
    Elsewhere,
}

impl Opened {
    /// The model that the command line names, in float32 on its device.
    pub fn of(args: &ModelArgs) -> Result<Self> {
        Self::open(&args.model, args.device)
    }

    pub fn open(name: &str, device: DeviceName) -> Result<Self> {
        let device = open_device(device)?;
        let (origin, loaded) = match bundled::by_name(name, DType::F32, &device) {
            Some(loaded) => (Origin::Bundled, loaded?),
            None => (Origin::Elsewhere, load(name, &device)?),
        };
        let (preprocess, assumed) = preprocess(&loaded)?;
        Ok(Self { preprocess, assumed, origin, device, loaded })
    }

    /// The input that the model makes of a picture, `[1, 3, height, width]`.
    pub fn input(&self, picture: &RgbImage) -> Result<Tensor> {
        let x = self.preprocess.apply(picture, &self.device)?;
        let (_, _, height, width) = x.dims4()?;
        self.loaded.model.check_size((height, width))?;
        Ok(x)
    }

    /// SHA-256 over the bytes of the weights, file after file.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let bundled = bundled::bytes(&self.loaded.name).filter(|_| self.origin == Origin::Bundled);
        bundled.iter().flat_map(|bytes| &bytes.weights).for_each(|bytes| hash.update(bytes));
        for file in &self.loaded.weight_files {
            hash_file(file, &mut hash)?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// The scores of one input.
    pub fn logits(&self, x: &Tensor) -> Result<Vec<f64>> {
        let logits = self.loaded.model.forward(x)?.detach();
        let logits: Vec<f64> = logits.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        match logits.iter().all(|logit| logit.is_finite()) {
            true => Ok(logits),
            false => Err(Failure::input(
                "the model's scores hold NaN or infinities",
                "look for damaged weights, or for a preprocessor that belongs to another model",
            )),
        }
    }
}

fn load(name: &str, device: &Device) -> Result<LoadedModel> {
    let near_miss = name.starts_with("bundled") && !Path::new(name).exists();
    match near_miss {
        true => Err(Failure::input(
            format!("no bundled model is called `{name}`"),
            format!("there are {}", bundled::NAMES.join(" and ")),
        )),
        false => Ok(loader(device).load(name)?),
    }
}

#[cfg(not(feature = "hub"))]
fn loader(device: &Device) -> Loader {
    Loader::default().device(device)
}

/// A loader that shows downloads. What Ctrl-C leaves unfinished is continued by the next run.
#[cfg(feature = "hub")]
fn loader(device: &Device) -> Loader {
    let bar = std::sync::Mutex::new(None::<(String, Bar)>);
    let watch = move |file: &str, progress: Progress| {
        let mut bar = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if bar.as_ref().is_none_or(|(shown, _)| shown != file) {
            *bar = Some((file.to_owned(), Bar::new(format!("downloading {file}, bytes"))));
        }
        if bar.as_ref().is_some_and(|(_, bar)| bar.update(progress).is_break()) {
            *bar = None;
            interrupt::leave("interrupted: the download goes on from here next time");
        }
    };
    Loader::default().device(device).hub(Hub::from_env().on_download(watch))
}

fn open_device(device: DeviceName) -> Result<Device> {
    let missing = |name: &str, built: bool, error: candle_core::Error| match built {
        true => Failure::input(
            format!("no {name} device could be opened: {error}").replace('\n', " "),
            "leave `--device` out to run on the CPU",
        ),
        false => Failure::input(
            format!("this program was built without `{name}`"),
            format!("build it with `--features {name}`, or leave `--device` out to run on the CPU"),
        ),
    };
    match device {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda => Device::new_cuda(0).map_err(|e| missing("cuda", cfg!(feature = "cuda"), e)),
        DeviceName::Metal => Device::new_metal(0).map_err(|e| missing("metal", cfg!(feature = "metal"), e)),
    }
}

/// The model's own preprocessing, or the usual one of its kind and a word on it.
fn preprocess(loaded: &LoadedModel) -> Result<(Preprocess, Option<&'static str>)> {
    Ok(match (&loaded.preprocessor, loaded.model.image_size()) {
        (Some(json), _) => (Preprocess::from_json(json)?, None),
        (None, Some((height, width))) => (
            Preprocess::sized(height as u32, width as u32).normalize([0.5; 3], [0.5; 3]),
            Some("the model has no preprocessor_config.json: its own size, pixels from -1 to 1"),
        ),
        (None, None) => (
            Preprocess::imagenet(),
            Some("the model has no preprocessor_config.json: 224 pixels, ImageNet's statistics"),
        ),
    })
}

/// Adds the bytes of a file to `hash`.
pub fn hash_file(path: &Path, hash: &mut Sha256) -> Result<()> {
    let mut copy = || io::copy(&mut File::open(path)?, hash);
    copy().map(drop).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", path.display());
        Failure::input(message, "check the path and its permissions")
    })
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
