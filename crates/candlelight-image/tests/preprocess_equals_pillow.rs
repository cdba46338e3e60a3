//! Preprocessing against Pillow and the Hugging Face processors; `make_processor_cases.py` made the numbers.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml cannot tell from other functions

use candle_core::Device;
use candlelight_image::{Filter, Preprocess, RgbImage, resize};
use serde_json::Value;

/// The picture that the generator makes by the same formula.
fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let channel = |c: u64| {
            let (x, y) = (u64::from(x), u64::from(y));
            let noise = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) & 0xFFFF_FFFF;
            let level = x * (3 + c) + y * (5 - c) + 90 * ((x / 9 + y / 7) & 1) + ((noise >> 13) & 63);
            level as u8
        };
        image::Rgb([0, 1, 2].map(channel))
    })
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    format!("{:016x}", bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, step))
}

fn cases(key: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("data/processor_cases.json")).unwrap();
    all[key].as_array().unwrap().clone()
}

fn source(case: &Value) -> RgbImage {
    let side = |i: usize| case["source"][i].as_u64().unwrap() as u32;
    scene(side(0), side(1))
}

/// Size and every level equal; where the bytes are stored, a failure tells by how much they differ.
fn assert_pixels(case: &Value, pixels: &RgbImage) {
    let name = format!(
        "{} from {}",
        case.get("config").or(case.get("name")).unwrap_or(&Value::Null),
        case["source"]
    );
    assert_eq!(case["width"], pixels.width(), "{name}");
    assert_eq!(case["height"], pixels.height(), "{name}");
    if let Some(hex) = case["pixels"].as_str() {
        let stored = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
        let worst = stored.zip(pixels.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert_eq!(worst, Some(0), "largest difference in levels of 255: {name}");
    }
    assert_eq!(case["pixels_fnv"], fnv(pixels.as_raw().iter().copied()), "{name}");
}

fn assert_values(case: &Value, preprocess: &Preprocess) {
    let image = source(case);
    assert_pixels(case, &preprocess.pixels(&image).unwrap());
    let tensor = preprocess.apply(&image, &Device::Cpu).unwrap();
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    let bytes = values.iter().flat_map(|v| v.to_le_bytes());
    assert_eq!(case["values_fnv"], fnv(bytes), "{} from {}", case["config"], case["source"]);
}

#[test]
fn every_filter_equals_pillow_to_the_last_level() {
    for case in cases("resizes") {
        let filter = Filter::from_pillow(case["filter"].as_u64().unwrap()).unwrap();
        let side = |key: &str| case[key].as_u64().unwrap() as u32;
        assert_pixels(&case, &resize(&source(&case), side("width"), side("height"), filter));
    }
}

#[test]
fn every_hugging_face_processor_is_equalled_to_the_last_bit() {
    for case in cases("processors") {
        assert_values(&case, &Preprocess::from_json(&case["config"].to_string()).unwrap());
    }
}

#[test]
fn the_imagenet_transform_equals_torchvision_s_definition_to_the_last_bit() {
    cases("imagenet").iter().for_each(|case| assert_values(case, &Preprocess::imagenet()));
}
