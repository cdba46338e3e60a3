//! Files and bytes to 8-bit RGB, as Pillow's `Image.open(..).convert("RGB")` gives them.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageReader, Pixel, RgbImage};

use crate::error::{Error, Result};

/// The largest image that is decoded, in pixels (64 megapixels); checked before any pixel is decoded.
pub const MAX_PIXELS: u64 = 64_000_000;

/// Decodes PNG, JPEG, WebP, BMP, GIF (first frame) or TIFF bytes; the format is told from the bytes.
///
/// Follows Pillow's `convert("RGB")`: grey is repeated, palettes are looked up, alpha is dropped rather than
/// composited, 16-bit samples keep their high byte, and an EXIF orientation is not applied. One deviation:
/// Pillow clips 16-bit *grey* at 255, which turns most such images white; here they keep the high byte too.
///
/// JPEG and lossy WebP leave the decoder some freedom: levels may differ by a few from those of another library.
///
/// # Shapes
/// Any `width` x `height` from 1 x 1 up to [`MAX_PIXELS`].
///
/// # Errors
/// [`Error::Empty`], [`Error::NotAnImage`], [`Error::TooLarge`], [`Error::Damaged`], and
/// [`Error::Unsupported`] for floating-point samples and rare encodings.
pub fn decode(bytes: &[u8]) -> Result<RgbImage> {
    decode_within(bytes, MAX_PIXELS)
}

/// As [`decode`], of images up to `limit` pixels: for bytes from strangers, whose decoding must not take much memory.
/// A limit over [`MAX_PIXELS`] is that.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_within(bytes: &[u8], limit: u64) -> Result<RgbImage> {
    read(Cursor::new(bytes), limit)
}

/// Decodes an image file; see [`decode`] for what is accepted.
///
/// # Errors
/// Those of [`decode`] and [`Error::Io`], inside an [`Error::File`] that names the path.
pub fn open(path: impl AsRef<Path>) -> Result<RgbImage> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Error::Io(error).at(path))?;
    read(BufReader::new(file), MAX_PIXELS).map_err(|error| error.at(path))
}

fn read(mut source: impl BufRead + Seek, limit: u64) -> Result<RgbImage> {
    let start: Vec<u8> = source.fill_buf()?.iter().copied().take(8).collect();
    if start.is_empty() {
        return Err(Error::Empty);
    }
    let reader = ImageReader::new(source).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(Error::NotAnImage { start: hex(&start) });
    }
    let decoder = reader.into_decoder().map_err(typed)?;
    let (width, height) = decoder.dimensions();
    check_within(width.into(), height.into(), limit.min(MAX_PIXELS))?;
    to_rgb(DynamicImage::from_decoder(decoder).map_err(typed)?)
}

/// Refuses what is empty and what is over [`MAX_PIXELS`].
pub(crate) fn check_size(width: u64, height: u64) -> Result<()> {
    check_within(width, height, MAX_PIXELS)
}

fn check_within(width: u64, height: u64, limit: u64) -> Result<()> {
    match width.saturating_mul(height) {
        0 => Err(Error::NoPixels { width, height }),
        pixels if pixels > limit => Err(Error::TooLarge { width, height, limit }),
        _ => Ok(()),
    }
}

fn to_rgb(image: DynamicImage) -> Result<RgbImage> {
    match image {
        DynamicImage::ImageLuma16(grey) => Ok(high_bytes(&grey)),
        DynamicImage::ImageLumaA16(grey) => Ok(high_bytes(&grey)),
        DynamicImage::ImageRgb16(rgb) => Ok(high_bytes(&rgb)),
        DynamicImage::ImageRgba16(rgb) => Ok(high_bytes(&rgb)),
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => {
            Err(Error::Unsupported { detail: "floating-point samples".into() })
        }
        eight_bit => Ok(eight_bit.into_rgb8()),
    }
}

fn high_bytes<P: Pixel<Subpixel = u16>>(image: &ImageBuffer<P, Vec<u16>>) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        image::Rgb(image.get_pixel(x, y).to_rgb().0.map(|v| (v >> 8) as u8))
    })
}

/// The decoder's error as one of ours: the caller can tell damage from what is merely not supported.
fn typed(error: ImageError) -> Error {
    match error {
        ImageError::Unsupported(error) => Error::Unsupported { detail: error.to_string() },
        ImageError::Limits(error) => Error::Unsupported { detail: error.to_string() },
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Error::Io(error),
        damaged => Error::Damaged { detail: damaged.to_string() },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
