//! Files that are damaged, hostile or merely unusual.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml cannot tell from other functions

use std::io::Cursor;

use candle_core::Device;
use candlelight_image::{Error, Preprocess, RgbImage, decode, decode_within, open};
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba, RgbaImage};

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn gradient() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8]))
}

#[test]
fn an_empty_file_and_what_is_no_image_are_told_apart() {
    assert!(matches!(decode(b""), Err(Error::Empty)));
    assert!(matches!(decode(b"just some text, honestly"), Err(Error::NotAnImage { .. })));
    assert!(matches!(decode(&[0x89]), Err(Error::NotAnImage { .. })));
}

#[test]
fn files_are_named_in_the_error() {
    let error = open("no/such/cat.jpg").unwrap_err();
    assert!(error.to_string().contains("`no/such/cat.jpg`"), "{error}");
    assert!(matches!(error.root(), Error::Io(_)));
    let folder = tempfile::tempdir().unwrap();
    let error = Preprocess::imagenet().open(folder.path(), &Device::Cpu).unwrap_err();
    assert!(matches!(error.root(), Error::Io(_)), "{error}");
    let empty = folder.path().join("empty.png");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(open(&empty).unwrap_err().root(), Error::Empty));
}

/// A PNG header that promises any size, with no pixels behind it.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = chunk.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    });
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    [head, chunk, (!crc).to_be_bytes().to_vec(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e".to_vec()].concat()
}

#[test]
fn huge_images_are_refused_before_they_are_decoded() {
    let error = decode(&png_of(20_000, 20_000)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 20_000, height: 20_000, limit: 64_000_000 }), "{error}");
    assert!(error.to_string().contains("`20000` x `20000`"), "{error}");
    // The same header within the limit gets past it, and fails on the pixels that are missing.
    assert!(matches!(decode(&png_of(20, 20)), Err(Error::Damaged { .. })));
}

#[test]
fn a_limit_of_one_s_own_is_kept_and_raises_no_other() {
    let bytes = encoded(gradient(), ImageFormat::Png);
    assert!(decode_within(&bytes, 1200).is_ok());
    let error = decode_within(&bytes, 1199).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 40, height: 30, limit: 1199 }), "{error}");
    let error = decode_within(&png_of(20_000, 20_000), u64::MAX).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 64_000_000, .. }), "{error}");
}

#[test]
fn truncation_at_any_byte_is_an_error_and_never_a_panic() {
    for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        let bytes = encoded(gradient(), format);
        (0..bytes.len() / 2)
            .for_each(|end| assert!(decode(&bytes[..end]).is_err(), "{format:?} cut at {end}"));
    }
    for format in [ImageFormat::Jpeg, ImageFormat::WebP] {
        let bytes = encoded(gradient(), format);
        (0..bytes.len()).for_each(|end| drop(decode(&bytes[..end])));
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp]
    {
        let bytes = encoded(gradient(), format);
        for at in 0..bytes.len().min(400) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5a;
            drop(decode(&damaged));
        }
    }
}

#[test]
fn one_pixel_is_a_picture() {
    let picture = decode(&encoded(RgbImage::from_pixel(1, 1, Rgb([9, 8, 7])), ImageFormat::Png)).unwrap();
    let tensor = Preprocess::imagenet().apply(&picture, &Device::Cpu).unwrap();
    assert_eq!(tensor.dims(), [1, 3, 224, 224]);
    let back = Preprocess::imagenet().invert(&tensor).unwrap();
    assert!(back.pixels().all(|p| p.0 == [9, 8, 7]));
}

#[test]
fn grey_is_repeated_and_alpha_is_dropped() {
    let grey = decode(&encoded(GrayImage::from_pixel(2, 2, Luma([77])), ImageFormat::Png)).unwrap();
    assert_eq!(grey.get_pixel(1, 1).0, [77, 77, 77]);
    let clear = decode(&encoded(RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 0])), ImageFormat::Png)).unwrap();
    assert_eq!(clear.get_pixel(0, 0).0, [1, 2, 3]);
    let both = GrayAlphaImage::from_pixel(2, 2, image::LumaA([50, 10]));
    assert_eq!(decode(&encoded(both, ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [50, 50, 50]);
}

#[test]
fn sixteen_bit_samples_keep_their_high_byte() {
    let deep = ImageBuffer::from_pixel(2, 2, Rgb([0x12ff_u16, 0x80ff, 0xff00]));
    assert_eq!(decode(&encoded(deep, ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [0x12, 0x80, 0xff]);
    let grey = ImageBuffer::from_pixel(2, 2, Luma([0x40ff_u16]));
    assert_eq!(decode(&encoded(grey, ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [0x40; 3]);
}

#[test]
fn floating_point_samples_are_refused_clearly() {
    let float = ImageBuffer::from_pixel(2, 2, Rgb([0.5_f32, 0.5, 0.5]));
    assert!(matches!(decode(&encoded(float, ImageFormat::Tiff)), Err(Error::Unsupported { .. })));
}

/// A 16 x 16 Adobe CMYK JPEG of one colour, as Pillow writes it, and what Pillow reads back as RGB.
#[test]
fn cmyk_jpegs_come_out_as_pillow_converts_them() {
    let picture = decode(include_bytes!("data/cmyk.jpg")).unwrap();
    let expected = decode(include_bytes!("data/cmyk_as_rgb.png")).unwrap();
    let differences = picture.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b));
    assert_eq!(picture.dimensions(), expected.dimensions());
    assert!(differences.max() <= Some(CMYK_LEVELS));
}

/// Levels of 255 by which two JPEG decoders may differ.
const CMYK_LEVELS: u8 = 3;

#[test]
fn a_thin_picture_is_not_blown_up_beyond_the_limit() {
    let thin = RgbImage::new(1, 10_000);
    assert!(matches!(Preprocess::imagenet().pixels(&thin), Err(Error::TooLarge { .. })));
}

#[test]
fn configurations_that_cannot_be_followed_name_the_key() {
    let refused = |json: &str| match Preprocess::from_json(json) {
        Err(Error::Config { key, .. }) => key,
        other => panic!("{json}: {other:?}"),
    };
    assert_eq!(refused(r#"{"image_processor_type": "Wav2Vec2FeatureExtractor"}"#), "image_processor_type");
    assert_eq!(refused(r#"{"size": {"longest_edge": 3}}"#), "size");
    assert_eq!(refused(r#"{"size": 0}"#), "size");
    assert_eq!(refused(r#"{"size": -4}"#), "size");
    assert_eq!(refused(r#"{"size": 100000}"#), "size");
    assert_eq!(refused(r#"{"resample": 9}"#), "resample");
    assert_eq!(refused(r#"{"resample": "bicubic"}"#), "resample");
    assert_eq!(refused(r#"{"image_std": [1, 0, 1]}"#), "image_std");
    assert_eq!(refused(r#"{"image_mean": [0.5]}"#), "image_mean");
    assert_eq!(refused(r#"{"rescale_factor": 0}"#), "rescale_factor");
    assert_eq!(refused(r#"{"crop_pct": 0, "size": 224}"#), "crop_pct");
    assert_eq!(refused(r#"{"image_processor_type": "ConvNextImageProcessor", "size": [3, 4]}"#), "size");
    assert!(matches!(Preprocess::from_json("{"), Err(Error::Json(_))));
    assert!(matches!(Preprocess::from_json("[1]"), Err(Error::Json(_))));
}

#[test]
fn a_deviation_of_zero_is_refused_when_it_is_used() {
    let broken = Preprocess::keep().normalize([0.5; 3], [0.0; 3]);
    assert!(matches!(broken.apply(&gradient(), &Device::Cpu), Err(Error::Config { .. })));
}
