//! A map laid over the picture that it explains.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::Tensor;
use candlelight_core::{Attribution, Placement, Reading};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{Rgb, RgbImage};

use crate::colormap::ColorMap;
use crate::error::{Error, Result, check_finite};
use crate::field::{Field, Reduce};
use crate::panel::{Panel, SideBySide};
use crate::preprocess::planes;
use crate::scale::{Normalize, Scale};

/// How strongly the colours cover the picture, each from 0 (not at all) to 1 (fully).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opacity {
    /// In proportion to the value, up to this at the end of the scale: nothing hides where nothing is.
    ByValue(f64),
    /// The same everywhere.
    Fixed(f64),
}

impl Default for Opacity {
    /// By value, up to 0.9.
    fn default() -> Self {
        Self::ByValue(0.9)
    }
}

/// An attribution map on its way to a picture. Its numbers are never changed; normalising is a choice of the
/// drawing, and is written under what [`Overlay::save`] and [`SideBySide`] draw.
///
/// Nothing is computed, and so nothing fails, before a picture is asked for.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_image::{Heatmap, Normalize, RgbImage};
///
/// let map = Tensor::randn(0f32, 1.0, (1, 3, 7, 7), &Device::Cpu)?;
/// let picture = RgbImage::new(64, 64);
/// let drawn = Heatmap::new(&map).normalize(Normalize::MaxAbs).over(&picture).to_image()?;
/// assert_eq!(drawn.dimensions(), (64, 64));
/// # Ok::<(), candlelight_image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Heatmap {
    map: Tensor,
    reading: Reading,
    placement: Option<Placement>,
    reduce: Reduce,
    normalize: Normalize,
    colors: Option<ColorMap>,
    opacity: Opacity,
}

impl Heatmap {
    /// The map of an explanation with one row, read as it is meant to be, its cells where they lie on the picture.
    pub fn of(attribution: &Attribution) -> Self {
        let placement = attribution.placement();
        Self { placement, ..Self::new(attribution.maps()).reading(attribution.reading()) }
    }

    /// A map in its own units.
    ///
    /// # Shapes
    /// `[1, C, h, w]`, `[C, h, w]` or `[h, w]`, any float type on any device; `h` x `w` may be coarser than the
    /// picture (a feature map, a grid of patches).
    pub fn new(values: &Tensor) -> Self {
        let (reduce, normalize, reading) = (Reduce::default(), Normalize::default(), Reading::Signed);
        let (placement, colors, opacity) = (None, None, Opacity::default());
        Self { map: values.clone(), reading, placement, reduce, normalize, colors, opacity }
    }

    /// Sets what values below zero mean: on a positive reading nothing, and they are drawn as zero. They mean
    /// something unless told.
    pub fn reading(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// Sets how channels become one value per pixel; their sum unless told.
    pub fn reduce(self, reduce: Reduce) -> Self {
        Self { reduce, ..self }
    }

    /// Sets what the ends of the colour map stand for; the 99th percentile of the magnitudes unless told.
    pub fn normalize(self, normalize: Normalize) -> Self {
        Self { normalize, ..self }
    }

    /// Sets the colours; unless told, [`ColorMap::BlueRed`] where a value is negative, else [`ColorMap::Inferno`].
    pub fn colors(self, colors: ColorMap) -> Self {
        Self { colors: Some(colors), ..self }
    }

    /// Sets how strongly the colours cover the picture.
    pub fn opacity(self, opacity: Opacity) -> Self {
        Self { opacity, ..self }
    }

    /// Lays the map over a picture: an [`RgbImage`], or the tensor that the model was given.
    pub fn over(self, picture: impl Into<Backdrop>) -> Overlay {
        Overlay { heatmap: self, backdrop: picture.into() }
    }

    /// The map alone, in full colour, one pixel per value.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Option`].
    pub fn to_image(&self) -> Result<RgbImage> {
        let (field, scale) = self.read()?;
        let color = |x: u32, y: u32| scale.color(field.values[y as usize * field.width + x as usize]);
        Ok(RgbImage::from_fn(field.width as u32, field.height as u32, color))
    }

    /// What is written under the picture: how it was normalised, and the map's largest magnitude.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Option`].
    pub fn caption(&self) -> Result<String> {
        let (field, scale) = self.read()?;
        Ok(self.lines(&field, &scale).join(", "))
    }

    pub(crate) fn lines(&self, field: &Field, scale: &Scale) -> Vec<String> {
        let mut lines = scale.caption(field);
        if field.channels > 1 {
            let how = match self.reduce {
                Reduce::Sum => "sum",
                Reduce::MaxAbs => "max |a|",
            };
            lines.push(format!("{how} over {} channels", field.channels));
        }
        if field.clipped {
            lines.push("values below 0 not shown".into());
        }
        lines
    }

    /// One value per cell, whatever its sign.
    pub(crate) fn field(&self) -> Result<Field> {
        Field::read(&self.map, self.reduce)
    }

    /// Where the cells lie, if they do not tile the picture.
    pub(crate) fn placed(&self) -> Option<Placement> {
        self.placement
    }

    pub(crate) fn read(&self) -> Result<(Field, Scale)> {
        let field = self.field()?;
        let field = if self.reading == Reading::Positive { field.positive() } else { field };
        let scale = Scale::of(&field, self.normalize, self.colors)?;
        Ok((field, scale))
    }

    /// The map over `picture`, at the picture's size.
    pub(crate) fn paint(&self, field: &Field, scale: &Scale, picture: &RgbImage) -> Result<RgbImage> {
        let opacity = self.opacity.checked()?;
        let placement = self.placement.unwrap_or(Placement::even(field.height, field.width));
        let sized = field.resize(placement, picture.height() as usize, picture.width() as usize);
        Ok(RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
            let value = sized.values[(y * picture.width() + x) as usize];
            opacity.cover(muted(picture.get_pixel(x, y)), scale, value)
        }))
    }

    /// The scale from its least to its largest value, in the colours that the picture shows: over a middle grey.
    pub(crate) fn bar(&self, scale: &Scale, width: u32, height: u32) -> Result<RgbImage> {
        const GROUND: Rgb<u8> = Rgb([176; 3]);
        let opacity = self.opacity.checked()?;
        let color = |x: u32, _| {
            let share = f64::from(x) / f64::from(width.max(2) - 1);
            opacity.cover(GROUND, scale, scale.lo * (1.0 - share) + scale.hi * share)
        };
        Ok(RgbImage::from_fn(width, height, color))
    }
}

impl Opacity {
    fn checked(self) -> Result<Self> {
        let (Self::ByValue(most) | Self::Fixed(most)) = self;
        if (0.0..=1.0).contains(&most) {
            return Ok(self);
        }
        Err(Error::Option {
            what: "the opacity",
            value: most.to_string(),
            expected: "a share from `0` to `1`",
        })
    }

    /// The value's colour over a pixel.
    fn cover(self, below: Rgb<u8>, scale: &Scale, value: f64) -> Rgb<u8> {
        let share = match self {
            Self::ByValue(most) => most * scale.strength(value),
            Self::Fixed(share) => share,
        };
        mix(below, scale.color(value), share)
    }
}

/// The picture under a map: grey and somewhat faded, so that every colour that is seen is the map's.
fn muted(Rgb([r, g, b]): &Rgb<u8>) -> Rgb<u8> {
    const FADE: f64 = 0.25;
    let grey = 0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b);
    Rgb([(grey + (255.0 - grey) * FADE).round() as u8; 3])
}

/// `share` of `above` over the rest of `below`.
pub(crate) fn mix(below: Rgb<u8>, above: Rgb<u8>, share: f64) -> Rgb<u8> {
    let channel = |c: usize| f64::from(below[c]) + (f64::from(above[c]) - f64::from(below[c])) * share;
    Rgb([0, 1, 2].map(|c| channel(c).round() as u8))
}

/// What a map is laid over.
#[derive(Clone, Debug)]
pub enum Backdrop {
    /// A picture.
    Picture(RgbImage),
    /// A model's input, `[1, 3, h, w]` or `[3, h, w]`. Values from 0 to 1 are shown as they are; where a
    /// normalisation has led beyond, the whole range is squeezed into what can be shown. For true colours give
    /// [`Preprocess::invert`](crate::Preprocess::invert)'s picture.
    Tensor(Tensor),
}

impl From<RgbImage> for Backdrop {
    fn from(picture: RgbImage) -> Self {
        Self::Picture(picture)
    }
}

impl From<&RgbImage> for Backdrop {
    fn from(picture: &RgbImage) -> Self {
        Self::Picture(picture.clone())
    }
}

impl From<Tensor> for Backdrop {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<&Tensor> for Backdrop {
    fn from(tensor: &Tensor) -> Self {
        Self::Tensor(tensor.clone())
    }
}

impl Backdrop {
    /// The backdrop as a picture.
    ///
    /// # Errors
    /// [`Error::NoPixels`] for an empty picture, [`Error::Shape`] and [`Error::NotFinite`] for a tensor.
    pub fn picture(&self) -> Result<RgbImage> {
        let tensor = match self {
            Self::Picture(picture) => {
                crate::decode::check_size(picture.width().into(), picture.height().into())?;
                return Ok(picture.clone());
            }
            Self::Tensor(tensor) => tensor,
        };
        let (values, height, width) = planes(tensor)?;
        check_finite("the image tensor", &values)?;
        let (lo, hi) = values.iter().fold((0.0_f64, 1.0_f64), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        let level = |at: usize| ((values[at] / 2.0 - lo / 2.0) / (hi / 2.0 - lo / 2.0) * 255.0).round() as u8;
        let plane = height * width;
        let pixel = |x: u32, y: u32| [0, 1, 2].map(|c| level(c * plane + y as usize * width + x as usize));
        Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb(pixel(x, y))))
    }
}

/// A map over a picture, ready to be drawn.
#[derive(Clone, Debug)]
pub struct Overlay {
    heatmap: Heatmap,
    backdrop: Backdrop,
}

impl Overlay {
    /// The bare overlay at the picture's size, with nothing written on it.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Option`], [`Error::NoPixels`].
    pub fn to_image(&self) -> Result<RgbImage> {
        let (field, scale) = self.heatmap.read()?;
        self.heatmap.paint(&field, &scale, &self.backdrop.picture()?)
    }

    /// Writes the overlay as PNG (or what the extension says) with its colour bar, and the caption underneath.
    ///
    /// # Errors
    /// Those of [`Overlay::to_image`]; [`Error::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let alone = SideBySide::without_input(self.backdrop.clone());
        alone.panel(Panel::new("", self.heatmap.clone())).save(path)
    }
}

/// Writes a picture; the extension names the format.
pub(crate) fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    let typed = |error| match error {
        image::ImageError::IoError(error) => Error::Io(error),
        other => Error::Unsupported { detail: other.to_string() },
    };
    let written = match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        true => File::create(path).map_err(Into::into).and_then(|file| picture.write_with_encoder(png(file))),
        false => picture.save(path),
    };
    written.map_err(|error| typed(error).at(path))
}

/// Flat colours and text: small without filters, if the encoder takes its time.
fn png(file: File) -> PngEncoder<BufWriter<File>> {
    PngEncoder::new_with_quality(BufWriter::new(file), CompressionType::Best, FilterType::NoFilter)
}
