//! `candlelight layers`, `methods` and `models`.

use crate::args;
use crate::failure::Result;
use crate::model::Opened;
use crate::term::{self, DIM, paint};
use crate::words;
use crate::write;
use candlelight::image::RgbImage;
use candlelight::models::bundled;
use candlelight::{Composite, LayerInfo, METHODS, Method, PlannedLayer, Rule};
use serde_json::{Value, json};

/// The side of the blank picture that shows the layers of a model which takes any size.
const SIDE: u32 = 224;

pub fn layers(args: &args::Layers) -> Result<()> {
    let model = Opened::of(&args.model)?;
    let x = model.input(&RgbImage::new(SIDE, SIDE))?;
    if let Some(rules) = &args.rules {
        return plan(&Composite::named(rules)?.plan(&model.loaded.model, &x)?, args.json);
    }
    let layers = candlelight::layers(&model.loaded.model, &x)?;
    if args.json {
        return print(&layers.iter().map(layer).collect());
    }
    let mut rows = vec![["layer", "kind", "output", "multiply-adds"].map(String::from).to_vec()];
    rows.extend(layers.iter().map(|layer| {
        let macs = if layer.macs == 0 { String::new() } else { words::count(layer.macs) };
        vec![layer.name.clone(), layer.kind.to_string(), format!("{:?}", layer.shape), macs]
    }));
    term::table(&rows, &[3]);
    let total = words::count(layers.iter().map(|layer| layer.macs).sum());
    let input = format!("{:?}", x.dims());
    term::say(&format!("\n{} layers, {total} multiply-adds for an input of {input}", layers.len()));
    term::say(&format!("grad-cam takes `{}` unless told", model.loaded.model.cam_layer()));
    Ok(())
}

/// Layers with their rules.
fn plan(layers: &[PlannedLayer], as_json: bool) -> Result<()> {
    let rule = |layer: &PlannedLayer| layer.rule.as_ref().map_or_else(|| "none".into(), Rule::to_string);
    if as_json {
        let layer = |layer: &PlannedLayer| json!({ "name": layer.name, "kind": layer.kind.to_string(), "rule": rule(layer) });
        return print(&layers.iter().map(layer).collect());
    }
    let mut rows = vec![["layer", "kind", "rule"].map(String::from).to_vec()];
    rows.extend(layers.iter().map(|layer| vec![layer.name.clone(), layer.kind.to_string(), rule(layer)]));
    term::table(&rows, &[]);
    Ok(())
}

fn layer(layer: &LayerInfo) -> Value {
    json!({ "name": layer.name, "kind": layer.kind.to_string(), "shape": layer.shape, "macs": layer.macs })
}

pub fn methods(args: &args::Json) -> Result<()> {
    if args.json {
        return print(&METHODS.iter().map(method).collect());
    }
    let mut rows = vec![["name", "title", "family", "paper"].map(String::from).to_vec()];
    let row = |method: &Method| {
        [method.name, method.title, &format!("{:?}", method.family), method.paper].map(String::from).to_vec()
    };
    rows.extend(METHODS.iter().map(row));
    term::table(&rows, &[]);
    Ok(())
}

fn method(method: &Method) -> Value {
    let family = format!("{:?}", method.family);
    let Method { name, title, paper, .. } = method;
    json!({ "name": name, "title": title, "family": family, "paper": paper })
}

pub fn models(args: &args::Json) -> Result<()> {
    let bundled = bundled::NAMES.map(describe).into_iter().collect::<Result<Vec<_>>>()?;
    if args.json {
        return print(&bundled.into_iter().collect());
    }
    let mut rows = vec![["bundled", "parameters", "input", "classes"].map(String::from).to_vec()];
    rows.extend(bundled.iter().map(|model| {
        let parameters = words::count(model["parameters"].as_u64().unwrap_or(0));
        let text = |key: &str| model[key].to_string();
        vec![model["name"].as_str().unwrap_or_default().into(), parameters, text("input"), text("classes")]
    }));
    term::table(&rows, &[1, 3]);
    term::say("\nwhat they reach is measured by `candlelight score`\n");
    term::say(&paint(DIM, "elsewhere"));
    term::say("./folder          config.json, *.safetensors and, best, preprocessor_config.json");
    term::say("owner/name        a model on the Hugging Face hub; `owner/name@revision` for a revision");
    term::say(
        "\nResNet (Hugging Face, timm and torchvision names, CIFAR variants) and ViT (Hugging Face and timm names)",
    );
    Ok(())
}

fn describe(name: &'static str) -> Result<Value> {
    let model = Opened::open(name, args::DeviceName::Cpu)?;
    let x = model.input(&RgbImage::new(SIDE, SIDE))?;
    let parameters = parameters(name)?;
    Ok(
        json!({ "name": name, "parameters": parameters, "input": x.dims(), "classes": model.loaded.labels.len(),
        "labels": model.loaded.labels.names() }),
    )
}

/// Numbers in the weights of a bundled model; the running statistics of its batch norms count too.
fn parameters(name: &str) -> Result<usize> {
    let bytes = if name == bundled::NAMES[0] { bundled::resnet_bytes() } else { bundled::vit_bytes() };
    let count = |bytes: &Vec<u8>| -> Result<usize> {
        let tensors = candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu)?;
        Ok(tensors.values().map(candle_core::Tensor::elem_count).sum())
    };
    bytes.weights.iter().map(count).sum()
}

fn print(value: &Value) -> Result<()> {
    term::say(&write::json(value)?);
    Ok(())
}
