//! The command line as people meet it: the program is run, and its output, its files and its exit code are read.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml cannot tell from other functions

#[path = "../../../models/tests/common/mod.rs"]
mod common;
mod contrast;
#[cfg(feature = "evaluate")]
mod evaluate;
mod layers;
mod measures;

use candle_core::{DType, Device, Tensor};
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn candlelight(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_candlelight")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs it, and expects success.
fn works(args: &[&str]) -> String {
    let output = candlelight(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs it, and expects exit code 2, an error that names `named`, a hint, and no panic.
fn refused(args: &[&str], named: &str) {
    let output = candlelight(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    let error = said.lines().find(|line| line.starts_with("error:"));
    assert!(error.is_some_and(|line| line.contains(named)), "{args:?} should name {named}: {said}");
    assert!(said.lines().any(|line| line.starts_with("hint:")), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A fast command on a picture.
fn explain_refused(folder: &TempDir, image: &Path, named: &str) {
    refused(
        &["explain", text(image), "--method", "grad-cam", "--out", text(&folder.path().join("out"))],
        named,
    );
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn png(folder: &TempDir, name: &str, picture: impl Into<DynamicImage>) -> PathBuf {
    let path = folder.path().join(name);
    picture.into().save_with_format(&path, ImageFormat::Png).unwrap();
    path
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x + y) as u8]))
}

/// The start of a PNG file whose header promises this size.
fn promise(width: u32, height: u32) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let chunks =
        [chunk(b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat()), chunk(b"IDAT", &[]), chunk(b"IEND", &[])];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let crc = body.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

/// The tensors of a small ResNet with random weights.
fn tensors() -> BTreeMap<String, Tensor> {
    common::read(&common::tiny_resnet())
}

const CONFIG: &str = r#"{
    "model_type": "resnet", "layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1],
    "id2label": { "0": "tabby, tabby cat", "1": "tiger, Panthera tigris", "2": "tiger cat" }
}"#;

/// A model folder with these tensors.
fn model(tensors: &BTreeMap<String, Tensor>) -> TempDir {
    let folder = TempDir::new().unwrap();
    file(&folder, "config.json", CONFIG.as_bytes());
    file(&folder, "model.safetensors", &common::serialize(tensors));
    folder
}

fn model_refused(folder: &TempDir, named: &str) {
    refused(&["explain", "--model", text(folder.path()), "--out", text(&folder.path().join("out"))], named);
}

#[test]
fn help_shows_every_command_and_examples() {
    let help = works(&["--help"]);
    for command in ["explain", "layers", "methods", "models", "check", "scene", "score", "Examples:"] {
        assert!(help.contains(command), "{command}");
    }
    for command in
        ["explain", "layers", "methods", "models", "check", "scene", "criteria", "score", "completions"]
    {
        assert!(works(&[command, "--help"]).contains("Examples:\n  candlelight"), "{command}");
    }
    assert!(works(&["explain", "--help"]).contains("record.json"));
    assert_eq!(candlelight(&[]).status.code(), Some(2));
    assert_eq!(candlelight(&["explain", "--steps", "many"]).status.code(), Some(2));
}

#[test]
fn shells_complete_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = works(&["completions", shell]);
        assert!(script.contains("explain") && script.contains("contrast"), "{shell}");
    }
    assert_eq!(candlelight(&["completions", "cmd.exe"]).status.code(), Some(2));
}

#[test]
fn methods_and_models_are_listed_for_people_and_for_programs() {
    assert!(works(&["methods"]).contains("https://arxiv.org/abs/1610.02391"));
    let methods: Value = serde_json::from_str(&works(&["methods", "--json"])).unwrap();
    assert!(methods.as_array().unwrap().iter().any(|method| method["name"] == "grad-cam"));
    assert!(works(&["models"]).contains("bundled-vit"));
    let models: Value = serde_json::from_str(&works(&["models", "--json"])).unwrap();
    assert_eq!(models[0]["classes"], 10);
}

#[test]
fn layers_are_listed_with_their_shapes() {
    let folder = model(&tensors());
    let layers = works(&["layers", "--model", text(folder.path())]);
    assert!(layers.contains("resnet.encoder.stages.1") && layers.contains("multiply-adds"), "{layers}");
    let json: Value = serde_json::from_str(&works(&["layers", "--json"])).unwrap();
    assert!(json[0]["shape"].is_array());
}

#[test]
fn a_scene_is_explained_by_every_method_that_suits_the_model() {
    let folder = TempDir::new().unwrap();
    let said = works(&["explain", "--seed", "3", "--steps", "8", "--out", text(folder.path())]);
    assert!(said.contains("grad-cam") && said.contains("ground truth"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("attention-rollout") && line.contains("skipped")),
        "{said}"
    );
    for name in ["scene-3.png", "scene-3.saliency.png", "maps.safetensors", "record.json"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    let maps = candle_core::safetensors::load(folder.path().join("maps.safetensors"), &Device::Cpu).unwrap();
    let suiting =
        candlelight::METHODS.iter().filter(|method| method.family != candlelight::Family::Attention);
    assert_eq!(maps.len(), suiting.count(), "all but those of attention");
    assert_eq!(maps["integrated-gradients"].dims(), [1, 3, 64, 64]);
    let record: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("record.json")).unwrap()).unwrap();
    assert_eq!(record["input"]["scene_seed"], 3);
    assert_eq!(record["model"]["weights_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(record["skipped"][0]["name"], "raw-attention");
    assert!(record["gradient_check"]["worst"].as_f64().unwrap() < 0.1);
}

#[test]
fn the_record_names_the_weights_by_their_hash() {
    let (folder, weights) = (TempDir::new().unwrap(), tensors());
    let model = model(&weights);
    works(&["explain", "--model", text(model.path()), "--method", "saliency", "--out", text(folder.path())]);
    let record = fs::read_to_string(folder.path().join("record.json")).unwrap();
    let hash = Sha256::digest(common::serialize(&weights));
    assert!(record.contains(&hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
}

#[test]
fn the_same_seed_gives_the_same_maps() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let maps = folders.each_ref().map(|folder| {
        works(&[
            "explain",
            "--method",
            "smoothgrad,expected-gradients",
            "--steps",
            "5",
            "--out",
            text(folder.path()),
        ]);
        fs::read(folder.path().join("maps.safetensors")).unwrap()
    });
    assert!(maps[0] == maps[1]);
}

#[test]
fn the_vision_transformer_rolls_its_attention_out() {
    let folder = TempDir::new().unwrap();
    let args = ["--model", "bundled-vit", "--method", "attention-rollout,grad-cam", "--json"];
    let record = works(&[&["explain", "--out", text(folder.path())], &args[..]].concat());
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["methods"][0]["map_shape"], serde_json::json!([1, 1, 8, 8]));
    assert!(works(&["check", "--model", "bundled-vit"]).starts_with("ok"));
}

#[test]
fn several_images_get_a_folder_each() {
    let folder = TempDir::new().unwrap();
    let images = [png(&folder, "a.png", gradient(80, 60)), png(&folder, "b.png", gradient(31, 64))];
    let out = folder.path().join("out");
    works(&["explain", text(&images[0]), text(&images[1]), "--method", "saliency", "--out", text(&out)]);
    assert!(out.join("a/a.saliency.png").exists() && out.join("b/record.json").exists());
}

#[test]
fn grey_alpha_16_bit_and_cmyk_images_are_accepted() {
    let folder = TempDir::new().unwrap();
    let colour = DynamicImage::from(gradient(40, 40));
    let pictures = [
        png(&folder, "grey.png", colour.to_luma8()),
        png(&folder, "alpha.png", colour.to_rgba8()),
        png(&folder, "deep.png", colour.to_rgb16()),
        png(&folder, "deep-grey.png", colour.to_luma16()),
        file(&folder, "cmyk.jpg", include_bytes!("../../../crates/candlelight-image/tests/data/cmyk.jpg")),
    ];
    let images: Vec<&str> = pictures.iter().map(|path| text(path)).collect();
    let out = folder.path().join("out");
    works(&[&["explain", "--method", "grad-cam", "--out", text(&out)], &images[..]].concat());
}

#[test]
fn what_is_no_picture_is_refused() {
    let folder = TempDir::new().unwrap();
    explain_refused(&folder, &folder.path().join("missing.png"), "missing.png");
    explain_refused(&folder, folder.path(), text(folder.path()));
    explain_refused(&folder, &file(&folder, "notes.txt", b"this is no picture at all"), "notes.txt");
    explain_refused(&folder, &file(&folder, "empty.png", b""), "empty.png");
    let whole = fs::read(png(&folder, "whole.png", gradient(64, 64))).unwrap();
    explain_refused(&folder, &file(&folder, "half.png", &whole[..whole.len() / 2]), "half.png");
}

#[test]
fn pictures_without_parts_and_without_end_are_refused() {
    let folder = TempDir::new().unwrap();
    explain_refused(&folder, &png(&folder, "dot.png", gradient(1, 1)), "dot.png");
    explain_refused(&folder, &file(&folder, "huge.png", &promise(20_000, 20_000)), "20000");
    explain_refused(&folder, &file(&folder, "nothing.png", &promise(0, 5)), "nothing.png");
}

#[test]
fn unknown_methods_layers_labels_and_classes_are_refused_with_the_nearest() {
    refused(&["explain", "--method", "gradcam"], "`gradcam`");
    refused(
        &["explain", "--layer", "resnet.encoder.stage.1", "--out", text(TempDir::new().unwrap().path())],
        "stage.1",
    );
    refused(&["explain", "--target", "10"], "`10`");
    refused(&["explain", "--target", "strar"], "`strar`");
    refused(&["explain", "--target", "c"], "`c`");
    refused(&["explain", "--method", ","], "method");
    refused(&["explain", "--method", "smoothgrad", "--steps", "0"], "`0`");
    refused(&["explain", "--method", "integrated-gradients", "--until", "0"], "`0`");
    refused(&["explain", "--baseline", "blak"], "`blak`");
    refused(&["explain", "--baseline", "black:3"], "`black:3`");
    refused(&["explain", "--baseline", "blur:x"], "`blur:x`");
    let hint = stderr(&candlelight(&["explain", "--method", "gradcam"]));
    assert!(hint.contains("hint: nearest: grad-cam"), "{hint}");
}

#[test]
fn a_method_that_does_not_suit_is_refused_when_it_is_named() {
    let folder = TempDir::new().unwrap();
    refused(&["explain", "--method", "attention-rollout", "--out", text(folder.path())], "attention");
}

#[test]
fn labels_are_found_by_synonym_and_by_beginning() {
    let folder = model(&tensors());
    let out = text(folder.path()).to_owned() + "/out";
    for (asked, class) in [("Tabby Cat", 0), ("panthera", 1), ("tiger c", 2), ("2", 2)] {
        let args =
            ["explain", "--model", text(folder.path()), "--method", "grad-cam", "--json", "--out", &out];
        let record: Value =
            serde_json::from_str(&works(&[&args[..], &["--target", asked]].concat())).unwrap();
        assert_eq!(record["target"]["class"], class, "{asked}");
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_is_not_built_in_is_refused_with_its_feature() {
    let said = stderr(&candlelight(&["check", "--device", "cuda"]));
    assert!(said.contains("--features cuda"), "{said}");
    refused(&["check", "--device", "metal"], "`metal`");
}

#[test]
fn models_that_are_not_there_are_refused() {
    let folder = TempDir::new().unwrap();
    refused(&["check", "--model", "bundled-resent"], "`bundled-resent`");
    refused(&["check", "--model", "./no/such/folder"], "no/such/folder");
    model_refused(&folder, "config.json");
    file(&folder, "config.json", CONFIG.as_bytes());
    model_refused(&folder, "safetensors");
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let name = "resnet.encoder.stages.1.layers.0.layer.0.convolution.weight";
    let mut missing = tensors();
    missing.remove(name).unwrap();
    model_refused(&model(&missing), name);
    let mut misshapen = tensors();
    misshapen.insert(name.into(), Tensor::zeros((12, 8, 5, 5), DType::F32, &Device::Cpu).unwrap());
    model_refused(&model(&misshapen), name);
}

#[test]
fn nan_weights_and_truncated_files_are_refused() {
    let mut bad = tensors();
    let name = "classifier.1.weight";
    let nan = (bad[name].clone() * f64::NAN).unwrap();
    bad.insert(name.into(), nan);
    model_refused(&model(&bad), name);
    let folder = model(&tensors());
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    model_refused(&folder, "model.safetensors");
}

#[test]
fn nothing_is_coloured_where_no_terminal_is() {
    assert!(!stdout(&candlelight(&["methods"])).contains('\u{1b}'));
    assert!(!stderr(&candlelight(&["explain", "--method", "x"])).contains('\u{1b}'));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_finished() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let folder = TempDir::new().unwrap();
    let args =
        ["explain", "--method", "saliency,smoothgrad", "--steps", "1000000", "--out", text(folder.path())];
    let mut command = Command::new(env!("CARGO_BIN_EXE_candlelight"));
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (first, started) = (folder.path().join("scene-0.saliency.png"), Instant::now());
    while !first.exists() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stderr(&output).contains("1 of 2 methods finished"), "{}", stderr(&output));
    assert!(folder.path().join("maps.safetensors").exists() && folder.path().join("record.json").exists());
}

#[test]
fn a_path_starts_where_it_is_told_and_stops_at_the_residual_asked_for() {
    let folder = TempDir::new().unwrap();
    let explained = |baseline: &str| -> Value {
        let out = text(folder.path());
        let path = ["explain", "--method", "integrated-gradients", "--until", "0.05", "--json", "--out", out];
        serde_json::from_str(&works(&[&path[..], &["--baseline", baseline]].concat())).unwrap()
    };
    let mut seen = Vec::new();
    for baseline in ["black", "white", "mean", "max-distance", "blur:3", "zero"] {
        let method = &explained(baseline)["methods"][0];
        assert_eq!(method["settings"]["baseline"], baseline);
        assert!(method["convergence"]["relative_residual"].as_f64().unwrap() <= 0.05, "{baseline}: {method}");
        seen.push(method["convergence"]["difference"].as_f64().unwrap());
    }
    seen.sort_by(f64::total_cmp);
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "two baselines are the same: {seen:?}");
}
