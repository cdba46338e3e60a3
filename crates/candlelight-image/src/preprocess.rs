//! From a picture to the tensor that a model was trained on, and back.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candlelight_core::Bounds;
use image::{Rgb, RgbImage};

use crate::decode::{self, check_size};
use crate::error::{Error, Result, check_finite};
use crate::resample::{Filter, resize};

/// How the picture is brought to size, before any crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The picture keeps its size.
    Keep,
    /// The shorter side gets this many pixels; the longer one follows, rounded down.
    ShortestEdge(u32),
    /// Both sides are given, whatever that does to the proportions.
    Exact {
        /// Pixels down.
        height: u32,
        /// Pixels across.
        width: u32,
    },
}

/// Where the centre lies when an odd number of pixels is cropped away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// Half a pixel up and left: Hugging Face's processors.
    Floor,
    /// To the even offset: torchvision, by Python's `round`.
    HalfToEven,
}

/// A centred window; where it reaches beyond the picture, it is black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Pixels down.
    pub height: u32,
    /// Pixels across.
    pub width: u32,
    /// How an odd margin is split.
    pub centre: Centre,
}

/// Resize, crop, rescale, normalise: what stands between an image file and a model.
///
/// Equals the Pillow-based image processors of Hugging Face (their "slow" ones) and torchvision's evaluation
/// transform on Pillow images, to the last bit of the `f32`. Processors that resize tensors instead (the "fast"
/// ones) differ from those, and so from this, by a level of 255 here and there.
///
/// ```
/// use candle_core::Device;
/// use candlelight_image::{Preprocess, RgbImage};
///
/// let photo = RgbImage::new(640, 480);
/// let tensor = Preprocess::imagenet().apply(&photo, &Device::Cpu)?;
/// assert_eq!(tensor.dims(), [1, 3, 224, 224]);
/// # Ok::<(), candlelight_image::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    pub(crate) resize: Resize,
    pub(crate) filter: Filter,
    pub(crate) crop: Option<Crop>,
    pub(crate) rescale: f64,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// Per-channel mean of ImageNet's training pictures, on the scale 0 to 1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Per-channel standard deviation of ImageNet's training pictures, on the scale 0 to 1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

impl Preprocess {
    /// torchvision's evaluation transform: shortest edge 256 (bilinear), centre crop 224, ImageNet statistics.
    pub fn imagenet() -> Self {
        let crop = Crop { height: 224, width: 224, centre: Centre::HalfToEven };
        Self::keep().resize(Resize::ShortestEdge(256)).crop(crop).normalize(IMAGENET_MEAN, IMAGENET_STD)
    }

    /// Levels on the scale 0 to 1 at `height` x `width`: a picture of that size is taken as it is.
    pub fn sized(height: u32, width: u32) -> Self {
        Self::keep().resize(Resize::Exact { height, width })
    }

    /// Levels on the scale 0 to 1 at the size that the picture has.
    pub fn keep() -> Self {
        let (resize, filter) = (Resize::Keep, Filter::Bilinear);
        Self { resize, filter, crop: None, rescale: 1.0 / 255.0, mean: [0.0; 3], std: [1.0; 3] }
    }

    /// Sets how the picture is brought to size.
    pub fn resize(self, resize: Resize) -> Self {
        Self { resize, ..self }
    }

    /// Sets the resampling filter.
    pub fn filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// Sets the window that is cut out after resizing.
    pub fn crop(self, crop: Crop) -> Self {
        Self { crop: Some(crop), ..self }
    }

    /// Sets the factor on the levels 0 to 255; `1.0 / 255.0` unless told.
    pub fn rescale(self, factor: f64) -> Self {
        Self { rescale: factor, ..self }
    }

    /// Subtracts `mean` and divides by `std`, per channel, after rescaling.
    pub fn normalize(self, mean: [f32; 3], std: [f32; 3]) -> Self {
        Self { mean, std, ..self }
    }

    /// The per-channel mean that is subtracted.
    pub fn mean(&self) -> [f32; 3] {
        self.mean
    }

    /// The per-channel standard deviation that is divided by.
    pub fn std(&self) -> [f32; 3] {
        self.std
    }

    /// What black and white become in every channel: the values that a preprocessed pixel can take, for baselines
    /// that need to know them.
    ///
    /// # Errors
    /// [`Error::Config`] for a factor, mean or deviation that gives no number.
    pub fn bounds(&self) -> Result<Bounds> {
        let ends = self.tables()?.map(|levels| [f64::from(levels[0]), f64::from(levels[255])]);
        Ok(Bounds::Channels(ends.map(|[black, white]| (black.min(white), black.max(white))).to_vec()))
    }

    /// Decodes a file (see [`decode::open`]) and preprocesses it.
    ///
    /// # Shapes
    /// `[1, 3, height, width]`, `f32`, red first.
    ///
    /// # Errors
    /// Those of [`decode::open`] and [`Preprocess::apply`], inside an [`Error::File`] that names the path.
    pub fn open(&self, path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
        let path = path.as_ref();
        self.apply(&decode::open(path)?, device).map_err(|error| error.at(path))
    }

    /// Preprocesses a decoded picture.
    ///
    /// # Shapes
    /// `[1, 3, height, width]`, `f32`, red first.
    ///
    /// # Errors
    /// Those of [`Preprocess::pixels`]; [`Error::Config`] for a factor, mean or deviation that gives no number.
    pub fn apply(&self, image: &RgbImage, device: &Device) -> Result<Tensor> {
        let tables = self.tables()?;
        let pixels = self.pixels(image)?;
        let (height, width) = (pixels.height() as usize, pixels.width() as usize);
        let plane = |c: usize| pixels.as_raw()[c..].iter().step_by(3).map(move |v| (c, usize::from(*v)));
        let values: Vec<f32> = (0..3).flat_map(plane).map(|(c, level)| tables[c][level]).collect();
        Ok(Tensor::from_vec(values, (1, 3, height, width), device)?)
    }

    /// The resized and cropped picture: what the model sees, as 8-bit levels.
    ///
    /// # Errors
    /// [`Error::NoPixels`], or [`Error::TooLarge`] when a long, thin picture would be enlarged beyond the limit.
    pub fn pixels(&self, image: &RgbImage) -> Result<RgbImage> {
        check_size(image.width().into(), image.height().into())?;
        let (width, height) = self.resized(image.width(), image.height())?;
        let sized = resize(image, width, height, self.filter);
        self.crop.map_or(Ok(sized.clone()), |crop| crop.cut(&sized))
    }

    /// Undoes rescaling and normalisation: the picture that a preprocessed tensor shows.
    ///
    /// # Shapes
    /// `[1, 3, height, width]` or `[3, height, width]`, any float type.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn invert(&self, tensor: &Tensor) -> Result<RgbImage> {
        let (levels, height, width) = planes(tensor)?;
        check_finite("the image tensor", &levels)?;
        let level = |c: usize, at: usize| {
            let value = levels[c * height * width + at] * f64::from(self.std[c]) + f64::from(self.mean[c]);
            (value / self.rescale).round().clamp(0.0, 255.0) as u8
        };
        let pixel = |x: u32, y: u32| [0, 1, 2].map(|c| level(c, y as usize * width + x as usize));
        Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb(pixel(x, y))))
    }

    /// The value of every level in every channel, in the rounding order of the Python processors.
    fn tables(&self) -> Result<[[f32; 256]; 3]> {
        let value = |c: usize, level: usize| {
            let rescaled = (level as f64 * self.rescale) as f32;
            (rescaled - self.mean[c]) / self.std[c]
        };
        let tables = [0, 1, 2].map(|c| std::array::from_fn(|level| value(c, level)));
        if tables.as_flattened().iter().all(|v: &f32| v.is_finite()) {
            return Ok(tables);
        }
        let value = format!("rescale {}, mean {:?}, std {:?}", self.rescale, self.mean, self.std);
        Err(Error::Config {
            key: "image_std",
            value,
            help: "give finite numbers, and deviations that are not zero",
        })
    }

    /// Width and height after resizing, before the crop.
    fn resized(&self, width: u32, height: u32) -> Result<(u32, u32)> {
        let along = |edge: u32, long: u32, short: u32| u64::from(edge) * u64::from(long) / u64::from(short);
        let (new_width, new_height) = match self.resize {
            Resize::Keep => (width.into(), height.into()),
            Resize::Exact { height, width } => (width.into(), height.into()),
            Resize::ShortestEdge(edge) if width <= height => (edge.into(), along(edge, height, width)),
            Resize::ShortestEdge(edge) => (along(edge, width, height), edge.into()),
        };
        check_size(new_width, new_height)?;
        Ok((new_width as u32, new_height as u32))
    }
}

impl Crop {
    fn cut(self, image: &RgbImage) -> Result<RgbImage> {
        check_size(self.width.into(), self.height.into())?;
        if image.dimensions() == (self.width, self.height) {
            return Ok(image.clone());
        }
        let left = self.centre.offset(image.width(), self.width);
        let top = self.centre.offset(image.height(), self.height);
        let source = |at: u32, offset: i64| u32::try_from(i64::from(at) + offset).ok();
        let pixel = |x, y| image.get_pixel_checked(source(x, left)?, source(y, top)?).copied();
        Ok(RgbImage::from_fn(self.width, self.height, |x, y| pixel(x, y).unwrap_or(Rgb([0; 3]))))
    }
}

impl Centre {
    /// The source pixel of the window's first; negative where the window is the larger.
    fn offset(self, source: u32, window: u32) -> i64 {
        let margin = i64::from(source) - i64::from(window);
        match self {
            Self::Floor => margin.div_euclid(2),
            Self::HalfToEven if margin >= 0 => (margin as f64 / 2.0).round_ties_even() as i64,
            Self::HalfToEven => margin / 2,
        }
    }
}

/// The values of a `[1, 3, h, w]` or `[3, h, w]` tensor in row-major order, with its height and width.
pub(crate) fn planes(tensor: &Tensor) -> Result<(Vec<f64>, usize, usize)> {
    match *tensor.dims() {
        [1, 3, height, width] | [3, height, width] if height * width > 0 => {
            check_size(width as u64, height as u64)?;
            Ok((values(tensor)?, height, width))
        }
        _ => Err(Error::Shape {
            what: "the image tensor",
            shape: tensor.dims().to_vec(),
            expected: "`[1, 3, height, width]` or `[3, height, width]`; take one image of a batch with \
                       `narrow(0, index, 1)`",
        }),
    }
}

/// Every value as `f64`, in row-major order, wherever the tensor lives.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}
