//! How images reach the model, for configurations that say so themselves.

use serde::Deserialize;
use serde_json::{Value, json};

/// Pillow's numbers for the resampling filters that timm names.
const FILTERS: [(&str, u8); 4] = [("nearest", 0), ("lanczos", 1), ("bilinear", 2), ("bicubic", 3)];

/// The share of the resized image that timm keeps when its configuration is silent.
const CROP_SHARE: f64 = 0.875;

/// timm's keys, in `pretrained_cfg`, or in the configuration itself.
#[derive(Deserialize)]
struct Keys {
    mean: [f64; 3],
    std: [f64; 3],
    input_size: [usize; 3],
    crop_pct: Option<f64>,
    interpolation: Option<String>,
}

/// The `preprocessor_config.json` that says the same as `config`, if it says anything.
pub(super) fn of(config: &Value) -> Option<String> {
    match config.get("pretrained_cfg") {
        Some(timm) => Keys::deserialize(timm).ok().map(|keys| keys.resized_and_cropped().to_string()),
        None => Keys::deserialize(config).ok().map(|keys| keys.exact().to_string()),
    }
}

impl Keys {
    /// timm: the shorter edge to size / share, then the middle.
    fn resized_and_cropped(&self) -> Value {
        let [_, height, width] = self.input_size;
        let edge = height.min(width) as f64 / self.crop_pct.unwrap_or(CROP_SHARE);
        json!({
            "image_processor_type": "BitImageProcessor",
            "size": { "shortest_edge": edge.floor() as usize },
            "resample": self.filter(),
            "do_center_crop": true,
            "crop_size": { "height": height, "width": width },
            "image_mean": self.mean,
            "image_std": self.std,
        })
    }

    /// Straight to the size of the input.
    fn exact(&self) -> Value {
        let [_, height, width] = self.input_size;
        json!({
            "image_processor_type": "ViTImageProcessor",
            "size": { "height": height, "width": width },
            "resample": self.filter(),
            "image_mean": self.mean,
            "image_std": self.std,
        })
    }

    fn filter(&self) -> u8 {
        let name = self.interpolation.as_deref().unwrap_or("bilinear");
        FILTERS.iter().find(|(known, _)| *known == name).map_or(2, |(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timm_crops_the_middle_of_a_larger_image() {
        let config = json!({ "pretrained_cfg": {
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": [3, 224, 224],
            "crop_pct": 0.9, "interpolation": "bicubic",
        }});
        let made: Value = of(&config).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        assert_eq!(made["size"]["shortest_edge"], 248);
        assert_eq!(made["crop_size"]["height"], 224);
        assert_eq!(made["resample"], 3);
    }

    #[test]
    fn a_configuration_without_statistics_says_nothing() {
        assert_eq!(of(&json!({ "input_size": [3, 48, 48] })), None);
    }
}
