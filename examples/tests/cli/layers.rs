//! `--layer` and `--head`: names, lists and patterns, and what they mean to which method.

use super::{candlelight, refused, stderr, text, works};
use candle_core::Device;
use serde_json::Value;
use tempfile::TempDir;

/// The record of a run on the scene of seed 0.
fn record_of(args: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    let run = ["explain", "--json", "--out", text(folder.path())];
    serde_json::from_str(&works(&[&run[..], args].concat())).unwrap()
}

#[test]
fn layers_are_named_listed_and_meant_by_patterns() {
    let layers = |asked: &str| {
        let record = record_of(&["--method", "grad-cam,guided-grad-cam,layer-cam", "--layer", asked]);
        assert_eq!(record["methods"].as_array().unwrap().len(), 3);
        record["methods"][2]["settings"]["layer"].as_str().unwrap().to_owned()
    };
    let both = "resnet.encoder.stages.0, resnet.encoder.stages.1";
    assert_eq!(layers("resnet.encoder.stages.*"), both);
    assert_eq!(layers("resnet.encoder.stages.0,resnet.encoder.stages.1"), both);
    assert_eq!(layers("**.stages.1.*.1"), "resnet.encoder.stages.1.layers.1");
    let out = TempDir::new().unwrap();
    for wrong in ["resnet.encoder.stage.*", "resnet.encoder.stages.0,resnet.encoder.stages.9"] {
        let args = ["explain", "--method", "grad-cam", "--layer", wrong, "--out", text(out.path())];
        refused(&args, "the model has no layer");
        let hint = stderr(&candlelight(&args));
        assert!(hint.contains("nearest first: resnet.encoder.stages."), "{hint}");
    }
    let several = ["--method", "layer-conductance", "--layer", "resnet.encoder.stages.*"];
    refused(&[&["explain", "--out", text(out.path())], &several[..]].concat(), "layer of this method");
}

#[test]
fn a_layer_that_does_not_suit_a_method_is_skipped_among_all_and_refused_by_name() {
    let attention = "vit.encoder.layer.1.attention.attention";
    let vit = ["--model", "bundled-vit", "--steps", "2", "--layer", attention];
    let record = record_of(&vit);
    let names = |of: &str| -> Vec<String> {
        let list = record[of].as_array().unwrap();
        list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names("methods").contains(&"raw-attention".into()), "{:?}", names("methods"));
    assert!(names("skipped").contains(&"grad-cam".into()), "{:?}", names("skipped"));
    let out = TempDir::new().unwrap();
    let run = |method, layer| {
        ["explain", "--model", "bundled-vit", "--method", method, "--layer", layer, "--out", text(out.path())]
    };
    refused(&run("grad-cam", attention), "the output of the layer");
    refused(&run("raw-attention", "vit.layernorm"), "`vit.layernorm`");
    refused(&run("eigen-cam", "vit.layernorm"), "`vit.layernorm`");
}

#[test]
fn raw_attention_is_of_the_layer_and_the_head_that_are_asked_for() {
    let map = |args: &[&str]| {
        let folder = TempDir::new().unwrap();
        let run =
            ["explain", "--model", "bundled-vit", "--method", "raw-attention", "--out", text(folder.path())];
        works(&[&run[..], args].concat());
        let maps =
            candle_core::safetensors::load(folder.path().join("maps.safetensors"), &Device::Cpu).unwrap();
        maps["raw-attention"].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let first = ["--layer", "vit.encoder.layer.0.attention.attention"];
    let (last, first_layer, head) = (map(&[]), map(&first), map(&[&first[..], &["--head", "1"]].concat()));
    assert!(last != first_layer && first_layer != head);
    let run = ["explain", "--model", "bundled-vit", "--method", "raw-attention", "--head", "99"];
    refused(&run, "attention head");
}
