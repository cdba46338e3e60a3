//! `preprocessor_config.json` of Hugging Face models, told apart by processor.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::preprocess::{Centre, Crop, Preprocess, Resize};
use crate::resample::Filter;

/// Side from which `ConvNextImageProcessor` warps to a square instead of cropping.
const CONVNEXT_WARP: u32 = 384;
/// The largest side that a configuration may ask for, in pixels.
const LARGEST_SIDE: u64 = 8_000;
const HALF: [f32; 3] = [0.5; 3];
// CLIP's statistics, written as the nearest `f32`.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// The file as it is written; every key may be missing or null.
#[derive(Deserialize)]
struct Raw {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Value>,
    crop_pct: Option<f64>,
    resample: Option<Value>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Value>,
    image_std: Option<Value>,
}

/// The processors that are followed; their defaults differ.
#[derive(Clone, Copy)]
enum Kind {
    Vit,
    ConvNext,
    Deit,
    /// BiT and CLIP: the same steps and defaults.
    Clip,
}

impl Preprocess {
    /// Reads a `preprocessor_config.json`: the processors of ViT, ConvNeXT (which ResNet uses), DeiT, BiT and CLIP,
    /// and their older feature extractors, with every default that they have.
    ///
    /// `do_convert_rgb` needs no heed, since pictures are RGB here.
    ///
    /// ```
    /// use candlelight_image::{Preprocess, Resize};
    ///
    /// let vit = Preprocess::from_json(r#"{ "image_processor_type": "ViTImageProcessor", "size": 384 }"#)?;
    /// assert_eq!(vit, Preprocess::sized(384, 384).normalize([0.5; 3], [0.5; 3]));
    /// # Ok::<(), candlelight_image::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Json`] for what is no such file, [`Error::Config`] for a key that cannot be followed.
    pub fn from_json(json: &str) -> Result<Self> {
        let raw: Raw = serde_json::from_str(json)?;
        let kind = raw.kind()?;
        let sized = raw.steps(kind)?.filter(raw.filter(kind)?);
        let (mean, std) = raw.statistics(kind)?;
        Ok(sized.rescale(raw.factor()?).normalize(mean, std))
    }
}

impl Raw {
    fn kind(&self) -> Result<Kind> {
        let Some(name) = self.image_processor_type.as_ref().or(self.feature_extractor_type.as_ref()) else {
            return Ok(if self.crop_pct.is_some() { Kind::ConvNext } else { Kind::Vit });
        };
        let model = name.trim_end_matches("Fast").trim_end_matches("ImageProcessor");
        match model.trim_end_matches("FeatureExtractor") {
            "ViT" => Ok(Kind::Vit),
            "ConvNext" => Ok(Kind::ConvNext),
            "DeiT" => Ok(Kind::Deit),
            "Bit" | "CLIP" => Ok(Kind::Clip),
            _ => Err(refuse("image_processor_type", name, "known are ViT, ConvNext, DeiT, Bit and CLIP")),
        }
    }

    fn steps(&self, kind: Kind) -> Result<Preprocess> {
        let size = self.size.as_ref().map(|size| size_of("size", size, kind)).transpose()?;
        let size = size.unwrap_or(kind.size());
        let resizes = self.do_resize.unwrap_or(true);
        match (kind, size) {
            (Kind::ConvNext, Resize::ShortestEdge(edge)) if resizes => self.convnext(edge),
            (Kind::ConvNext, _) if resizes => {
                Err(refuse("size", &format!("{size:?}"), "this processor needs a shortest_edge"))
            }
            _ => {
                let steps = Preprocess::keep().resize(if resizes { size } else { Resize::Keep });
                Ok(self.window(kind)?.map_or(steps.clone(), |crop| steps.crop(crop)))
            }
        }
    }

    /// Resize to `edge / crop_pct` and crop to `edge`; large sizes are warped instead.
    fn convnext(&self, edge: u32) -> Result<Preprocess> {
        if edge >= CONVNEXT_WARP {
            return Ok(Preprocess::sized(edge, edge));
        }
        let share = self.crop_pct.unwrap_or(224.0 / 256.0);
        if !(0.05..=1.0).contains(&share) {
            return Err(refuse("crop_pct", &share.to_string(), "expected a share between 0.05 and 1"));
        }
        let resized = (f64::from(edge) / share) as u32;
        let crop = Crop { height: edge, width: edge, centre: Centre::Floor };
        Ok(Preprocess::keep().resize(Resize::ShortestEdge(resized)).crop(crop))
    }

    fn window(&self, kind: Kind) -> Result<Option<Crop>> {
        let crops = match kind {
            Kind::Vit | Kind::ConvNext => return Ok(None),
            Kind::Deit | Kind::Clip => self.do_center_crop.unwrap_or(true),
        };
        let square = Resize::Exact { height: 224, width: 224 };
        let size = self.crop_size.as_ref().map(|size| size_of("crop_size", size, Kind::Vit)).transpose()?;
        match size.unwrap_or(square) {
            _ if !crops => Ok(None),
            Resize::Exact { height, width } => Ok(Some(Crop { height, width, centre: Centre::Floor })),
            other => Err(refuse("crop_size", &format!("{other:?}"), "expected a height and a width")),
        }
    }

    fn filter(&self, kind: Kind) -> Result<Filter> {
        let Some(written) = &self.resample else { return Ok(kind.filter()) };
        let known = written.as_u64().and_then(Filter::from_pillow);
        known.ok_or_else(|| refuse("resample", &written.to_string(), "expected Pillow's numbers, `0` to `5`"))
    }

    fn factor(&self) -> Result<f64> {
        match (self.do_rescale, self.rescale_factor.unwrap_or(1.0 / 255.0)) {
            (Some(false), _) => Ok(1.0),
            (_, factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
            (_, factor) => Err(refuse("rescale_factor", &factor.to_string(), "expected a positive number")),
        }
    }

    fn statistics(&self, kind: Kind) -> Result<([f32; 3], [f32; 3])> {
        if self.do_normalize == Some(false) {
            return Ok(([0.0; 3], [1.0; 3]));
        }
        let (mean, std) = kind.statistics();
        let mean = self.image_mean.as_ref().map_or(Ok(mean), |v| channels("image_mean", v))?;
        let std = self.image_std.as_ref().map_or(Ok(std), |v| channels("image_std", v))?;
        match std.iter().all(|s| *s > 0.0) {
            true => Ok((mean, std)),
            false => Err(refuse("image_std", &format!("{std:?}"), "expected positive numbers")),
        }
    }
}

impl Kind {
    fn size(self) -> Resize {
        match self {
            Self::Vit => Resize::Exact { height: 224, width: 224 },
            Self::ConvNext => Resize::ShortestEdge(384),
            Self::Deit => Resize::Exact { height: 256, width: 256 },
            Self::Clip => Resize::ShortestEdge(224),
        }
    }

    fn filter(self) -> Filter {
        match self {
            Self::Vit | Self::ConvNext => Filter::Bilinear,
            Self::Deit | Self::Clip => Filter::Bicubic,
        }
    }

    fn statistics(self) -> ([f32; 3], [f32; 3]) {
        match self {
            Self::Vit | Self::ConvNext | Self::Deit => (HALF, HALF),
            Self::Clip => (CLIP_MEAN, CLIP_STD),
        }
    }
}

/// A size in any of its spellings: `224`, `[h, w]`, `{"shortest_edge": ..}`, `{"height": .., "width": ..}`.
fn size_of(key: &'static str, value: &Value, kind: Kind) -> Result<Resize> {
    let side = |value: &Value| match value.as_u64() {
        Some(side) if (1..=LARGEST_SIDE).contains(&side) => Ok(side as u32),
        _ => Err(refuse(key, &value.to_string(), "expected whole numbers of pixels from `1` to `8000`")),
    };
    let exact = |height, width| Ok(Resize::Exact { height: side(height)?, width: side(width)? });
    if let [Some(height), Some(width)] = [value.get("height"), value.get("width")] {
        return exact(height, width);
    }
    match (value, value.get("shortest_edge")) {
        (Value::Object(keys), Some(edge)) if keys.len() == 1 => Ok(Resize::ShortestEdge(side(edge)?)),
        (Value::Array(sides), _) if sides.len() == 2 => exact(&sides[0], &sides[1]),
        (Value::Number(_), _) => Ok(match kind {
            Kind::Vit | Kind::Deit => exact(value, value)?,
            Kind::ConvNext | Kind::Clip => Resize::ShortestEdge(side(value)?),
        }),
        _ => Err(refuse(
            key,
            &value.to_string(),
            "expected a number, a shortest_edge, or a height and a width",
        )),
    }
}

/// Three numbers, or one for all three channels.
fn channels(key: &'static str, value: &Value) -> Result<[f32; 3]> {
    let number = |v: &Value| v.as_f64().map(|v| v as f32).filter(|v| v.is_finite());
    let three = match value {
        Value::Array(list) => list.iter().map(number).collect::<Option<Vec<f32>>>(),
        single => number(single).map(|v| vec![v; 3]),
    };
    let three = three.and_then(|list| <[f32; 3]>::try_from(list).ok());
    three.ok_or_else(|| refuse(key, &value.to_string(), "expected three finite numbers, for RGB"))
}

fn refuse(key: &'static str, value: &str, help: &'static str) -> Error {
    Error::Config { key, value: value.into(), help }
}
