//! Loading from folders and bytes: what fits gives a model, what does not gives a typed error, nothing panics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::Module;
use candlelight_models::{Error, LoadedModel, Loader, ModelBytes, Result, Source, load};
use common::{RESNET_CONFIG, VIT_CONFIG, bytes, read, tiny_resnet, tiny_vit};

fn image(side: usize) -> Tensor {
    let values: Vec<f32> = (0..3 * side * side).map(|i| (i as f32 * 0.3).sin()).collect();
    Tensor::from_vec(values, (1, 3, side, side), &Device::Cpu).unwrap()
}

fn logits(source: impl Into<Source>) -> Vec<f32> {
    let loaded = load(source).unwrap();
    loaded.model.forward(&image(32)).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn write(folder: &Path, model: &ModelBytes) {
    fs::write(folder.join("config.json"), &model.config).unwrap();
    fs::write(folder.join("model.safetensors"), &model.weights[0]).unwrap();
}

/// The model with its tensors changed.
fn changed(model: &ModelBytes, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> ModelBytes {
    let mut tensors = read(model);
    change(&mut tensors);
    bytes(&model.name, &model.config, &tensors)
}

fn error(model: ModelBytes) -> Error {
    load(model).unwrap_err()
}

#[test]
fn a_folder_and_its_bytes_give_the_same_model() {
    for model in [tiny_resnet(), tiny_vit()] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &model);
        assert_eq!(logits(folder.path()), logits(model));
    }
}

#[test]
fn shards_give_the_same_model_as_one_file() {
    let model = tiny_resnet();
    let folder = tempfile::tempdir().unwrap();
    let (index, shards) = common::shards(&model);
    fs::write(folder.path().join("config.json"), &model.config).unwrap();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    for (name, shard) in &shards {
        fs::write(folder.path().join(name), shard).unwrap();
    }
    assert_eq!(logits(folder.path()), logits(model));
    fs::remove_file(folder.path().join(shards.keys().next().unwrap())).unwrap();
    assert!(matches!(load(folder.path()), Err(Error::Read { .. })));
}

#[test]
fn labels_and_preprocessor_come_along() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tiny_resnet());
    fs::write(folder.path().join("preprocessor_config.json"), "{}").unwrap();
    let loaded = load(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.labels.names(), ["cat", "dog", "bird"]);
    assert_eq!(loaded.preprocessor.as_deref(), Some("{}"));
    assert_eq!(loaded.model.cam_layer(), "resnet.encoder.stages.1");
}

#[test]
fn half_precision_weights_are_converted() {
    /// The largest change of a logit near 1 that rounding the weights to 8 bits may make here.
    const ROUNDING: f32 = 0.1;
    let exact = tiny_vit();
    for dtype in [DType::BF16, DType::F16, DType::F64] {
        let model = changed(&exact, |tensors| {
            tensors.values_mut().for_each(|tensor| *tensor = tensor.to_dtype(dtype).unwrap());
        });
        for (value, exact) in logits(model).iter().zip(logits(exact.clone())) {
            assert!((value - exact).abs() < ROUNDING, "{dtype:?}: {value} for {exact}");
        }
    }
}

/// The names of all taps of a model.
fn taps(loaded: &LoadedModel) -> Vec<String> {
    candlelight_core::layers(&loaded.model, &image(32)).unwrap().into_iter().map(|layer| layer.name).collect()
}

#[test]
fn taps_have_the_names_of_the_weights() {
    let names = taps(&load(tiny_resnet()).unwrap());
    for name in [
        "resnet.embedder.embedder.convolution",
        "resnet.embedder.pooler",
        "resnet.encoder.stages.1",
        "resnet.encoder.stages.1.layers.0",
        "resnet.encoder.stages.1.layers.0.layer.0.activation",
        "resnet.encoder.stages.1.layers.0.activation",
        "resnet.encoder.stages.1.layers.0.shortcut.normalization",
        "resnet.pooler",
        "classifier.1",
    ] {
        assert!(names.iter().any(|seen| seen == name), "no tap `{name}` among {names:?}");
    }
    let names = taps(&load(tiny_vit()).unwrap());
    for name in [
        "vit.embeddings",
        "vit.encoder.layer.1",
        "vit.encoder.layer.1.layernorm_before",
        "vit.encoder.layer.1.attention.attention",
        "vit.encoder.layer.1.attention.attention.query",
        "vit.encoder.layer.1.intermediate.intermediate_act_fn",
        "vit.layernorm",
        "classifier",
    ] {
        assert!(names.iter().any(|seen| seen == name), "no tap `{name}` among {names:?}");
    }
}

#[test]
fn every_tap_has_its_own_name() {
    for model in [tiny_resnet(), tiny_vit()] {
        let mut names = taps(&load(model).unwrap());
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn gradients_are_whole() {
    for model in [tiny_resnet(), tiny_vit()] {
        let loaded = Loader::default().dtype(DType::F64).load(model).unwrap();
        let x = image(32).to_dtype(DType::F64).unwrap();
        candlelight_core::check_gradients(&loaded.model, &x).unwrap();
    }
}

#[test]
fn the_default_layer_of_class_activation_maps_is_a_tap() {
    for model in [tiny_resnet(), tiny_vit()] {
        let loaded = load(model).unwrap();
        assert!(taps(&loaded).contains(&loaded.model.cam_layer()));
    }
}

#[test]
fn a_missing_tensor_is_named_with_its_neighbours() {
    let model = changed(&tiny_resnet(), |tensors| {
        let bias = tensors.remove("classifier.1.bias").unwrap();
        tensors.insert("classifier.bias".to_string(), bias);
    });
    match error(model) {
        Error::MissingTensor { name, nearest } => {
            assert_eq!(name, "classifier.1.bias");
            assert_eq!(nearest[0], "classifier.bias");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_mis_shaped_tensor_is_named_with_both_shapes() {
    let model = changed(&tiny_resnet(), |tensors| {
        tensors.insert(
            "classifier.1.weight".to_string(),
            Tensor::zeros((3, 8), DType::F32, &Device::Cpu).unwrap(),
        );
    });
    let message = error(model).to_string();
    assert!(message.contains("`classifier.1.weight` has the shape `[3, 8]`"), "{message}");
    assert!(message.contains("`[3, 12]`"), "{message}");
}

#[test]
fn weights_that_are_not_finite_are_named() {
    for (value, dtype) in
        [(f32::NAN, DType::F32), (f32::INFINITY, DType::BF16), (f32::NEG_INFINITY, DType::F16)]
    {
        let model = changed(&tiny_resnet(), |tensors| {
            let bias = Tensor::new(&[0.0, value, 0.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            tensors.insert("classifier.1.bias".to_string(), bias);
        });
        let found = error(model);
        assert!(
            matches!(&found, Error::NotFinite { name, index: 1, .. } if name == "classifier.1.bias"),
            "{found}"
        );
    }
}

#[test]
fn whole_numbers_are_no_weights() {
    let model = changed(&tiny_resnet(), |tensors| {
        tensors.insert("classifier.1.bias".to_string(), Tensor::new(&[1i64, 2, 3], &Device::Cpu).unwrap());
    });
    assert!(matches!(error(model), Error::TensorType { .. }));
}

#[test]
fn what_a_folder_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(folder.path()), Err(Error::MissingConfig { .. })));
    fs::write(folder.path().join("config.json"), RESNET_CONFIG).unwrap();
    assert!(matches!(load(folder.path()), Err(Error::MissingWeights { .. })));
    assert!(matches!(load(folder.path().join("nowhere")), Err(Error::Read { .. })));
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_resnet();
    write(folder.path(), &model);
    let half = &model.weights[0][..model.weights[0].len() / 2];
    for damage in [half, b"".as_slice(), b"{}", &[0xff; 64]] {
        fs::write(folder.path().join("model.safetensors"), damage).unwrap();
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("model.safetensors` is no whole safetensors file"), "{message}");
    }
    fs::write(folder.path().join("config.json"), "{ \"model_type\": ").unwrap();
    assert!(matches!(load(folder.path()), Err(Error::BadJson { .. })));
}

#[test]
fn unknown_models_hear_what_is_known() {
    for config in [r#"{"model_type": "bert"}"#, "{}", "[]", "7", r#"{"architecture": "efficientnet_b0"}"#] {
        let message = error(ModelBytes { config: config.to_string(), ..tiny_resnet() }).to_string();
        assert!(message.contains("`resnet` and `vit`"), "{message}");
    }
}

#[test]
fn impossible_configurations_are_refused_before_anything_is_built() {
    let changes = [
        (RESNET_CONFIG, "hidden_sizes", "[]"),
        (RESNET_CONFIG, "hidden_sizes", "[8, -1]"),
        (RESNET_CONFIG, "hidden_sizes", "[8, 99999999999]"),
        (RESNET_CONFIG, "depths", "[1]"),
        (RESNET_CONFIG, "depths", "[1, 0]"),
        (RESNET_CONFIG, "layer_type", "\"fancy\""),
        (RESNET_CONFIG, "hidden_act", "\"fancy\""),
        (RESNET_CONFIG, "num_channels", "0"),
        (RESNET_CONFIG, "id2label", "{}"),
        (VIT_CONFIG, "patch_size", "0"),
        (VIT_CONFIG, "patch_size", "7"),
        (VIT_CONFIG, "patch_size", "[8, 4]"),
        (VIT_CONFIG, "image_size", "18446744073709551615"),
        (VIT_CONFIG, "num_attention_heads", "0"),
        (VIT_CONFIG, "num_attention_heads", "3"),
        (VIT_CONFIG, "layer_norm_eps", "-1.0"),
        (VIT_CONFIG, "num_hidden_layers", "1e300"),
    ];
    for (config, key, value) in changes {
        let mut json: serde_json::Value = serde_json::from_str(config).unwrap();
        json[key] = serde_json::from_str(value).unwrap();
        let found = error(ModelBytes { config: json.to_string(), ..tiny_resnet() });
        assert!(matches!(found, Error::BadConfig { .. } | Error::BadJson { .. }), "{key} {value}: {found}");
    }
}

#[test]
fn images_of_another_size_are_refused_by_a_vit() {
    let loaded = load(tiny_vit()).unwrap();
    assert!(loaded.model.check_size((32, 32)).is_ok());
    let typed = loaded.model.check_size((48, 32)).unwrap_err().to_string();
    assert!(typed.contains("`48x32`") && typed.contains("`32x32`"), "{typed}");
    let wrapped = loaded.model.forward(&image(48)).unwrap_err().to_string();
    assert!(wrapped.contains("`48x48`"), "{wrapped}");
}

#[test]
fn what_is_no_folder_is_taken_for_a_hub_id() {
    assert_eq!(Source::from("someone/something"), Source::Hub("someone/something".to_string()));
    assert!(matches!(Source::from("./nowhere"), Source::Folder(_)));
    #[cfg(not(feature = "hub"))]
    assert!(matches!(load("someone/something"), Err(Error::NoHub { .. })));
}

/// Every prefix, and every file with one byte changed, loads or fails; it never panics.
#[test]
fn no_bytes_cause_a_panic() {
    let model = tiny_resnet();
    let whole = &model.weights[0];
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let attempt = |weights: Vec<u8>| load(ModelBytes { weights: vec![weights], ..model.clone() });
    for cut in (0..header + 64).step_by(7).chain([whole.len() - 1]) {
        assert!(attempt(whole[..cut].to_vec()).is_err(), "cut at {cut}");
    }
    for at in (0..header).step_by(3) {
        for change in [1, 0x20, 0x80] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            drop(attempt(damaged));
        }
    }
    for text in
        ["", "null", "{\"model_type\": 3}", "\u{0}", "[[[[[[", "{\"model_type\":\"vit\",\"image_size\":{}}"]
    {
        assert!(load(ModelBytes { config: text.to_string(), ..model.clone() }).is_err(), "{text}");
    }
}

#[test]
fn timm_names_of_the_hub_are_understood() {
    let shape_of = |architecture: &str, extra: &str| {
        let config = format!(r#"{{"architecture": "{architecture}", "num_classes": 10 {extra}}}"#);
        error(ModelBytes { config, ..tiny_resnet() })
    };
    for (architecture, first) in [
        ("resnet50", "conv1.weight"),
        ("resnet18.a1_in1k", "conv1.weight"),
        ("resnet50d", "conv1.0.weight"),
        ("vgg16.tv_in1k", "features.0.weight"),
        ("vgg11_bn", "features.0.weight"),
        ("vit_base_patch16_224", "patch_embed.proj.weight"),
        ("deit_tiny_patch16_224", "patch_embed.proj.weight"),
    ] {
        let found = shape_of(architecture, "");
        assert!(
            matches!(&found, Error::MissingTensor { name, .. } if name == first),
            "{architecture}: {found}"
        );
    }
    let pooled = shape_of("vit_base_patch16_224", r#", "global_pool": "avg""#);
    assert!(matches!(pooled, Error::BadConfig { key: "global_pool", .. }), "{pooled}");
    assert!(matches!(shape_of("resnet51", ""), Error::UnknownModel { .. }));
}

#[test]
fn the_reference_models_give_the_reference_logits() -> Result<()> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let models = [
        ("golden", "hf_resnet_basic"),
        ("golden", "hf_resnet_bottleneck"),
        ("golden", "timm_plain_resnet"),
        ("golden", "timm_test_resnet"),
        ("golden", "hf_vit"),
        ("golden", "timm_vit"),
        ("real", "resnet20_cifar"),
    ];
    for (folder, name) in models {
        let folder = shared.join(folder);
        match folder.is_dir() {
            true => println!("{name}: {:.1e}", departure(&folder, name)?),
            false => println!("{name}: no reference data here, not compared"),
        }
    }
    Ok(())
}

/// How far the logits are from the reference, relative to the largest.
fn departure(folder: &Path, name: &str) -> Result<f64> {
    /// The manifests' tolerance for implementations in float64.
    const TOLERANCE: f64 = 2e-6;
    let read = |kind: &str, tensor: &str| -> Result<Tensor> {
        let file = folder.join(kind).join(format!("{name}.safetensors"));
        Ok(candle_core::safetensors::load(file, &Device::Cpu)?[tensor].to_dtype(DType::F64)?)
    };
    let expected = read("expected", "logits.logits")?;
    let x = read("inputs", "x")?.narrow(0, 0, expected.dim(0)?)?;
    let loaded = Loader::default().dtype(DType::F64).load(folder.join("models").join(name))?;
    let found = loaded.model.forward(&x)?;
    let largest = |x: &Tensor| -> Result<f64> { Ok(x.abs()?.max_all()?.to_scalar()?) };
    let departure = largest(&(found - &expected)?)? / largest(&expected)?;
    assert!(departure < TOLERANCE, "{name}: {departure}");
    Ok(departure)
}
