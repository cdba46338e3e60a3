//! The two demo models that come with the crate: a ResNet and a ViT, trained on [`scenes`](crate::scenes).
//!
//! `weights/README.md` says how they were trained.

use candle_core::{DType, Device};

use crate::Result;
use crate::load::{LoadedModel, Loader, ModelBytes};

/// The names under which [`by_name`] knows the bundled models.
pub const NAMES: [&str; 2] = ["bundled-resnet", "bundled-vit"];

/// The bundled ResNet in float32 on the CPU: two stages of basic blocks, `[N, 3, 64, 64]` to ten shapes.
///
/// # Errors
///
/// Never with the weights that come with the crate.
pub fn resnet() -> Result<LoadedModel> {
    Loader::default().load(resnet_bytes())
}

/// The bundled ViT in float32 on the CPU: four blocks, 64 patches of 8x8, `[N, 3, 64, 64]` to ten shapes.
///
/// # Errors
///
/// Never with the weights that come with the crate.
pub fn vit() -> Result<LoadedModel> {
    Loader::default().load(vit_bytes())
}

/// A bundled model by its name, with weights of type `dtype` on `device`; `None` for other names.
///
/// # Errors
///
/// The device has no room.
pub fn by_name(name: &str, dtype: DType, device: &Device) -> Option<Result<LoadedModel>> {
    bytes(name).map(|bytes| Loader::default().dtype(dtype).device(device).load(bytes))
}

/// The files of a bundled model by its name; `None` for other names.
pub fn bytes(name: &str) -> Option<ModelBytes> {
    match name {
        "bundled-resnet" => Some(resnet_bytes()),
        "bundled-vit" => Some(vit_bytes()),
        _ => None,
    }
}

/// The files of the bundled ResNet.
pub fn resnet_bytes() -> ModelBytes {
    ModelBytes {
        name: "bundled-resnet".to_string(),
        config: include_str!("../weights/resnet/config.json").to_string(),
        preprocessor: Some(include_str!("../weights/resnet/preprocessor_config.json").to_string()),
        weights: vec![include_bytes!("../weights/resnet/model.safetensors").to_vec()],
    }
}

/// The files of the bundled ViT.
pub fn vit_bytes() -> ModelBytes {
    ModelBytes {
        name: "bundled-vit".to_string(),
        config: include_str!("../weights/vit/config.json").to_string(),
        preprocessor: Some(include_str!("../weights/vit/preprocessor_config.json").to_string()),
        weights: vec![include_bytes!("../weights/vit/model.safetensors").to_vec()],
    }
}
