//! Models as chains and as layers: the same numbers either way, and nobody who watches misses anything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use candle_core::{DType, Device, Module, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use candlelight_core::nn::Activation;
use candlelight_core::{
    Attribution, Bounds, Composite, Deconvnet, Explain, GradCam, GuidedBackprop, Kind, LedgerLine, Lrp,
    Model, Rule, Selector, Tape, check_gradients, layers,
};
use candlelight_models::LeNet;
use candlelight_models::resnet::{Block, ResNet, ResNetConfig, Shortcut, Stage, Stem};
use candlelight_models::vgg::{Naming, Vgg, VggConfig};
use candlelight_models::vit::{ViT, ViTConfig, Width};
use std::collections::HashMap;

/// Rounding of some hundred sums in double and in single precision, relative to the largest value.
const DOUBLE: f64 = 1e-11;
const SINGLE: f64 = 1e-4;
/// Of relevance in double precision: rules divide by sums that nearly cancel, which a chain rounds otherwise.
const RELEVANCE: f64 = 1e-8;

fn stages(block: Block) -> Vec<Stage> {
    let stage = |channels, stride| Stage { block, depth: 2, channels, stride };
    vec![stage(16, 1), stage(32, 2), stage(48, 1)]
}

fn configs() -> Vec<(&'static str, ResNetConfig)> {
    let config = |block, stem, shortcut| ResNetConfig {
        stem,
        shortcut,
        stem_channels: 16,
        stages: stages(block),
        ..ResNetConfig::imagenet(block, [2; 4], 5)
    };
    let deep = Stem::Deep { width: 8 };
    let silu =
        ResNetConfig { activation: Activation::Silu, ..config(Block::Basic, Stem::Plain, Shortcut::Conv) };
    vec![
        ("basic", config(Block::Basic, Stem::Plain, Shortcut::Conv)),
        ("bottleneck", config(Block::Bottleneck, Stem::Plain, Shortcut::Conv)),
        ("first bottleneck", config(Block::BottleneckV1, Stem::Small, Shortcut::Conv)),
        ("deep stem, pooled shortcuts", config(Block::Bottleneck, deep, Shortcut::PoolConv)),
        ("padded shortcuts", config(Block::Basic, Stem::Small, Shortcut::PadChannels)),
        ("no rectifiers", silu),
    ]
}

/// The tensors that a model was begun with, statistics that are not the identity, no variables.
fn frozen_weights(variables: &VarMap, dtype: DType) -> VarBuilder<'static> {
    let data = variables.data().lock().unwrap();
    let tensor = |(name, var): (&String, &Var)| {
        let wave: Vec<f64> = (0..var.elem_count()).map(|i| 1.0 + 0.3 * (i as f64 * 0.7).sin()).collect();
        let wave = Tensor::from_vec(wave, var.shape(), &Device::Cpu).unwrap();
        let is_norm = ["bn", "norm", "downsample.1"].iter().any(|part| name.contains(part));
        let tensor = if is_norm { wave } else { var.as_detached_tensor() };
        (name.clone(), tensor.to_dtype(dtype).unwrap())
    };
    let tensors: HashMap<String, Tensor> = data.iter().map(tensor).collect();
    VarBuilder::from_tensors(tensors, dtype, &Device::Cpu)
}

fn frozen(config: ResNetConfig, dtype: DType) -> ResNet {
    let variables = VarMap::new();
    ResNet::new(config.clone(), VarBuilder::from_varmap(&variables, DType::F64, &Device::Cpu)).unwrap();
    ResNet::new(config, frozen_weights(&variables, dtype)).unwrap()
}

/// One description of weights in both precisions.
fn frozen_vits() -> [ViT; 2] {
    let width = Width { hidden_size: 24, layers: 3, heads: 3 };
    let (config, variables) = (ViTConfig::timm((36, 32), 4, width, 5), VarMap::new());
    ViT::new(config.clone(), VarBuilder::from_varmap(&variables, DType::F64, &Device::Cpu)).unwrap();
    [DType::F64, DType::F32].map(|dtype| ViT::new(config.clone(), frozen_weights(&variables, dtype)).unwrap())
}

fn images(dtype: DType) -> Tensor {
    let pixels: Vec<f64> = (0..7 * 3 * 37 * 32).map(|i| (i as f64 * 0.113).sin()).collect();
    Tensor::from_vec(pixels, (7, 3, 37, 32), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Logits and the gradient of the first class at the input: as it runs, or with every convolution watched.
fn both_passes(model: &dyn Model, watched: &[&str], x: &Tensor) -> [Tensor; 2] {
    let x = Var::from_tensor(x).unwrap();
    let logits = match watched {
        [] => model.forward(&x).unwrap(),
        names => Tape::record(model, &x, names).unwrap().output().clone(),
    };
    let gradients = logits.narrow(1, 0, 1).unwrap().sum_all().unwrap().backward().unwrap();
    [logits.detach(), gradients.get(&x).unwrap().clone()]
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let largest = |x: &Tensor| {
        x.abs().unwrap().max_all().unwrap().to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
    };
    largest(&(a - b).unwrap()) / largest(b)
}

/// The passes of a model as it runs and layer by layer.
fn side_by_side(model: &dyn Model, x: &Tensor) -> [[Tensor; 2]; 2] {
    let listed = layers(model, x).unwrap();
    let inside = listed.iter().filter(|layer| matches!(layer.kind, Kind::Conv | Kind::Linear));
    let names: Vec<&str> = inside.map(|layer| layer.name.as_str()).collect();
    [both_passes(model, &[], x), both_passes(model, &names, x)]
}

#[test]
fn chains_and_layers_agree_to_rounding() {
    for (what, config) in configs() {
        let [fused, layered] = side_by_side(&frozen(config.clone(), DType::F64), &images(DType::F64));
        for (a, b) in fused.iter().zip(&layered) {
            assert!(distance(a, b) < DOUBLE, "{what}: {:e}", distance(a, b));
        }
        // The gradient jumps where a rectifier is within rounding of 0, and in single precision one often is.
        let [[fused, _], [layered, _]] = side_by_side(&frozen(config, DType::F32), &images(DType::F32));
        assert!(distance(&fused, &layered) < SINGLE, "{what}: {:e}", distance(&fused, &layered));
    }
}

fn by_kind(rule: Rule) -> Composite {
    Composite::by_kind(rule.clone(), rule)
}

/// Methods whose rules chains know.
fn methods_of_rules() -> Vec<(&'static str, Box<dyn Explain>)> {
    let lrp = |composite| Box::new(Lrp::new(composite)) as Box<dyn Explain>;
    let coarse = Composite::by_kind(Rule::Gamma(0.5), Rule::epsilon(0.25))
        .with(Selector::Kind(Kind::Add), Rule::Norm(0.1))
        .with(Selector::Pattern("layer2**.conv*".into()), Rule::epsilon(0.3))
        .with(Selector::Pattern("layer3**.conv1".into()), Rule::AlphaBeta { alpha: 1.5, beta: 0.5 });
    vec![
        ("LRP-0", lrp(by_kind(Rule::epsilon(0.0)))),
        ("LRP-ε", lrp(by_kind(Rule::epsilon(0.1)))),
        ("z⁺", lrp(Composite::epsilon_plus())),
        ("αβ", lrp(Composite::epsilon_alpha2_beta1_flat())),
        ("γ", lrp(Composite::epsilon_gamma_box(Bounds::OfRow))),
        ("several", lrp(coarse)),
        ("guided", Box::new(GuidedBackprop)),
        ("deconvnet", Box::new(Deconvnet)),
    ]
}

/// The map of a model as it runs, and layer by layer: with its convolutions watched.
fn both_maps(method: &dyn Explain, model: &ResNet, x: &Tensor) -> [Attribution; 2] {
    let listed = layers(model, x).unwrap();
    let convs: Vec<&str> =
        listed.iter().filter(|layer| layer.kind == Kind::Conv).map(|layer| layer.name.as_str()).collect();
    let watched = |x: &Tensor| Ok(Tape::record(model, x, &convs)?.output().clone());
    [method.attribute(model, &(x, 1).into()).unwrap(), method.attribute(&watched, &(x, 1).into()).unwrap()]
}

fn lines(map: &Attribution) -> Vec<LedgerLine> {
    map.convergence().ledger.as_ref().map_or_else(Vec::new, |ledger| ledger.lines.clone())
}

/// The largest difference between numbers of two lines, in units of the largest number.
fn apart(a: &LedgerLine, b: &LedgerLine) -> f64 {
    assert_eq!((&a.layer, a.kind, &a.rule), (&b.layer, b.kind, &b.rule));
    let numbers = |line: &LedgerLine| {
        assert_eq!(line.received.len(), line.passed.len());
        [&line.received[..], &line.passed, &line.bias, &line.stabiliser].concat()
    };
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, v| most.max(v.abs()));
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!(a.len(), b.len());
    largest(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / largest(&mut b.iter().copied())
}

#[test]
fn chains_and_layers_agree_under_rules_in_their_maps_and_in_every_line_of_the_ledger() {
    let x = images(DType::F64).narrow(0, 0, 6).unwrap();
    for (what, config) in
        configs().iter().filter(|(what, _)| !["deep stem, pooled shortcuts", "no rectifiers"].contains(what))
    {
        let model = frozen(config.clone(), DType::F64);
        for (name, method) in methods_of_rules() {
            let [fused, layered] = both_maps(&*method, &model, &x);
            let off = distance(fused.values(), layered.values());
            assert!(off > 0.0, "{what}, {name}: both ran as layers");
            assert!(off < RELEVANCE, "{what}, {name}: {off:e}");
            let (fused, layered) = (lines(&fused), lines(&layered));
            assert_eq!(fused.len(), layered.len(), "{what}, {name}");
            for (a, b) in fused.iter().zip(&layered) {
                assert!(apart(a, b) < RELEVANCE, "{what}, {name}, {}: {:e}", a.layer, apart(a, b));
            }
        }
    }
}

#[test]
fn rules_that_chains_do_not_know_run_as_layers() {
    let x = images(DType::F64).narrow(0, 0, 1).unwrap();
    let model = frozen(configs()[1].1.clone(), DType::F64);
    let unmerged = by_kind(Rule::epsilon(0.1)).with(Selector::Kind(Kind::BatchNorm), Rule::Gradient);
    for composite in [by_kind(Rule::WSquare), by_kind(Rule::Excitation), unmerged] {
        let [plain, watched] = both_maps(&Lrp::new(composite), &model, &x);
        assert_eq!(distance(plain.values(), watched.values()), 0.0);
    }
}

/// A VGG of three stages in either vocabulary; images of 56 pixels leave maps of 7.
fn frozen_vgg(naming: Naming, norm_eps: Option<f64>, dtype: DType) -> Vgg {
    let stages = vec![vec![4, 6], vec![8], vec![9, 5]];
    let config = VggConfig { naming, stages, norm_eps, hidden_size: 12, ..VggConfig::imagenet([0; 5], 5) };
    let variables = VarMap::new();
    Vgg::new(config.clone(), VarBuilder::from_varmap(&variables, DType::F64, &Device::Cpu)).unwrap();
    Vgg::new(config, frozen_weights(&variables, dtype)).unwrap()
}

#[test]
fn a_vgg_is_the_same_as_a_chain_and_as_layers_in_both_vocabularies() {
    let pixels: Vec<f64> = (0..2 * 3 * 56 * 56).map(|i| (i as f64 * 0.113).sin()).collect();
    let x = Tensor::from_vec(pixels, (2, 3, 56, 56), &Device::Cpu).unwrap();
    for naming in [Naming::Torchvision, Naming::Timm] {
        for norm_eps in [None, Some(1e-5)] {
            let model = frozen_vgg(naming, norm_eps, DType::F64);
            let [fused, layered] = side_by_side(&model, &x);
            for (a, b) in fused.iter().zip(&layered) {
                assert!(distance(a, b) < DOUBLE, "{naming:?}: {:e}", distance(a, b));
            }
            let names: Vec<String> =
                layers(&model, &x).unwrap().into_iter().map(|layer| layer.name).collect();
            assert!(names.contains(&model.config().last_activation()), "{names:?}");
        }
    }
    let small = x.narrow(2, 0, 40).unwrap();
    let refused = frozen_vgg(Naming::Timm, None, DType::F64).forward(&small).unwrap_err();
    assert!(refused.to_string().contains("5x7"), "{refused}");
    assert!(frozen_vgg(Naming::Torchvision, None, DType::F64).forward(&small).is_ok());
}

#[test]
fn a_lenet_is_the_same_as_a_chain_and_as_layers() {
    let pixels: Vec<f64> = (0..3 * 28 * 28).map(|i| (i as f64 * 0.113).sin()).collect();
    let x = Tensor::from_vec(pixels, (3, 1, 28, 28), &Device::Cpu).unwrap();
    let variables = VarMap::new();
    LeNet::new(4, VarBuilder::from_varmap(&variables, DType::F64, &Device::Cpu)).unwrap();
    let model = LeNet::new(4, frozen_weights(&variables, DType::F64)).unwrap();
    let [fused, layered] = side_by_side(&model, &x);
    for (a, b) in fused.iter().zip(&layered) {
        assert!(distance(a, b) < DOUBLE, "{:e}", distance(a, b));
    }
    assert!(distance(&fused[1], &layered[1]) > 0.0, "both ran as layers");
}

#[test]
fn transformer_blocks_and_their_layers_agree_to_rounding() {
    let x = images(DType::F64).narrow(2, 0, 36).unwrap();
    let [double, single] = frozen_vits();
    for (model, dtype, tolerance) in [(double, DType::F64, DOUBLE), (single, DType::F32, SINGLE)] {
        let [fused, layered] = side_by_side(&model, &x.to_dtype(dtype).unwrap());
        for (a, b) in fused.iter().zip(&layered) {
            assert!(distance(a, b) < tolerance, "{dtype:?}: {:e}", distance(a, b));
        }
        assert!(distance(&fused[1], &layered[1]) > 0.0, "both ran as layers");
    }
}

#[test]
fn a_chain_passes_the_gradient_check() {
    for (what, config) in configs() {
        let model = frozen(config, DType::F64);
        let check = check_gradients(&model, &images(DType::F64).narrow(0, 0, 1).unwrap());
        assert!(check.is_ok(), "{what}: {check:?}");
    }
}

#[test]
fn every_layer_that_is_listed_can_be_watched() {
    let model = frozen(configs()[1].1.clone(), DType::F64);
    let x = images(DType::F64).narrow(0, 0, 1).unwrap();
    for layer in layers(&model, &x).unwrap() {
        let tape = Tape::record(&model, &x, &[&layer.name]).unwrap();
        assert_eq!(tape.get(&layer.name).unwrap().layer().shape, layer.shape, "{}", layer.name);
        let gradients = tape.gradients(&tape.output().sum_all().unwrap()).unwrap();
        assert_eq!(gradients[0].dims(), layer.shape);
    }
}

#[test]
fn whoever_looks_at_a_transformers_tokens_sees_all_of_them_and_the_same_logits() {
    let x = images(DType::F64).narrow(2, 0, 36).unwrap();
    let [model, _] = frozen_vits();
    let logits = model.forward(&x).unwrap();
    for layer in layers(&model, &x).unwrap() {
        let tape = Tape::record(&model, &x, &[&layer.name]).unwrap();
        let seen = tape.get(&layer.name).unwrap();
        assert_eq!((&seen.layer().shape, seen.activation().dims()), (&layer.shape, &layer.shape[..]));
        assert!(distance(tape.output(), &logits) < DOUBLE, "{}", layer.name);
    }
    assert_eq!(model.tokens(&x).unwrap().dims(), [7, 73, 24]);
    let classified = model.classify(&model.tokens(&x).unwrap()).unwrap();
    assert!(distance(&classified, &logits) < DOUBLE);
}

#[test]
fn maps_between_chains_have_their_place_and_unknown_names_their_neighbours() {
    let model = frozen(configs()[0].1.clone(), DType::F64);
    let x = images(DType::F64);
    let map = GradCam::at("layer2").explain(&model, &x).unwrap();
    let place = map.placement().unwrap();
    assert_eq!([0, 1].map(|row| place.rows.centre(row) * 37.0 - 0.5), [0.0, 8.0]);
    let inside = GradCam::at("layer2.0.conv2").explain(&model, &x).unwrap();
    assert_eq!(inside.placement(), map.placement());
    let error = GradCam::at("layer2.0.konv2").explain(&model, &x).unwrap_err();
    assert!(error.to_string().contains("layer2.0.conv2"), "{error}");
}

#[test]
fn weights_that_are_trained_run_as_layers() {
    let variables = VarMap::new();
    let config = configs()[0].1.clone();
    let model = ResNet::new(config, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    let loss = model.forward(&images(DType::F32)).unwrap().sqr().unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let data = variables.data().lock().unwrap();
    assert!(gradients.get(&data["layer1.0.conv1.weight"]).is_some());
}
