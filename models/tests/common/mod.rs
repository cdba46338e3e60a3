//! Small models for tests, as the bytes of their files.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candlelight_models::ModelBytes;
use candlelight_models::resnet::{Block, Naming, ResNet, ResNetConfig, Shortcut, Stage, Stem};
use candlelight_models::vit::{self, ViT, ViTConfig, Width};

pub const RESNET_CONFIG: &str = r#"{
    "model_type": "resnet", "layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1],
    "id2label": { "0": "cat", "1": "dog", "2": "bird" }
}"#;

pub const VIT_CONFIG: &str = r#"{
    "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "image_size": 32, "patch_size": 8,
    "id2label": { "0": "cat", "1": "dog", "2": "bird" }
}"#;

pub fn tiny_resnet() -> ModelBytes {
    let stage = |channels, stride| Stage { block: Block::Basic, depth: 1, channels, stride };
    let config = ResNetConfig {
        naming: Naming::HuggingFace,
        stem: Stem::Plain,
        stem_channels: 8,
        stages: vec![stage(8, 1), stage(12, 2)],
        shortcut: Shortcut::Conv,
        ..ResNetConfig::imagenet(Block::Basic, [1; 4], 3)
    };
    let variables = VarMap::new();
    ResNet::new(config, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    bytes("tiny-resnet", RESNET_CONFIG, &tensors(&variables))
}

pub fn tiny_vit() -> ModelBytes {
    let width = Width { hidden_size: 16, layers: 2, heads: 2 };
    let config = ViTConfig {
        naming: vit::Naming::HuggingFace,
        intermediate_size: 32,
        ..ViTConfig::timm((32, 32), 8, width, 3)
    };
    let variables = VarMap::new();
    ViT::new(config, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    bytes("tiny-vit", VIT_CONFIG, &tensors(&variables))
}

/// The tensors of a model by name.
pub fn tensors(variables: &VarMap) -> BTreeMap<String, Tensor> {
    let data = variables.data().lock().unwrap();
    data.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect()
}

/// The tensors in the bytes of a model.
pub fn read(model: &ModelBytes) -> BTreeMap<String, Tensor> {
    let read = |bytes: &Vec<u8>| candle_core::safetensors::load_buffer(bytes, &Device::Cpu).unwrap();
    model.weights.iter().flat_map(read).collect()
}

pub fn bytes(name: &str, config: &str, tensors: &BTreeMap<String, Tensor>) -> ModelBytes {
    let weights = vec![serialize(tensors)];
    ModelBytes { name: name.to_string(), config: config.to_string(), preprocessor: None, weights }
}

pub fn serialize(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    safetensors::serialize(tensors, None).unwrap()
}

/// The index and the two shards of a model.
pub fn shards(model: &ModelBytes) -> (String, HashMap<String, Vec<u8>>) {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut parts = [BTreeMap::new(), BTreeMap::new()];
    let mut map = HashMap::new();
    for (i, (name, tensor)) in read(model).into_iter().enumerate() {
        map.insert(name.clone(), names[i % 2]);
        parts[i % 2].insert(name, tensor);
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    let files = names.iter().zip(&parts).map(|(name, part)| (name.to_string(), serialize(part))).collect();
    (index, files)
}
