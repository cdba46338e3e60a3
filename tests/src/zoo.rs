//! The models of the reference data, built on the `nn` layers, each layer under the name that its weights have.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::{self, Activation, Conv2dConfig, Module, ModuleT, Padded, VarBuilder};
use candlelight_core::{Model, tap};
use candlelight_models::{Loader, ModelBytes};
use serde::Deserialize;
use serde_json::Value;

/// Reads the model in `folder`: the test models here, everything else through [`candlelight_models`].
///
/// # Errors
/// If a file is missing or does not describe a model.
pub fn open(folder: &Path, dtype: DType) -> Result<Box<dyn Model + Send>> {
    let text = fs::read_to_string(folder.join("config.json"))?;
    let config: Value = serde_json::from_str(&text)?;
    let layers = match config["kind"].as_str() {
        Some("mlp") => perceptron(&config)?,
        Some("convnet") => convnet(&config)?,
        _ => return Ok(Box::new(Loader::default().dtype(dtype).load(folder)?.model)),
    };
    let bytes = fs::read(folder.join("model.safetensors"))?;
    let vb = VarBuilder::from_buffered_safetensors(bytes, dtype, &Device::Cpu)?;
    Ok(Box::new(Sequence::new(&layers, &vb)?))
}

/// The LeNet or the CIFAR ResNet whose weights are in `file`, which no `config.json` describes.
///
/// # Errors
/// If the file cannot be read, or `architecture` is another.
pub fn described(architecture: &str, file: &Path, dtype: DType) -> Result<Box<dyn Model + Send>> {
    let weights = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let config = match architecture {
        "lenet" => r#"{"kind": "lenet"}"#,
        "resnet20" => r#"{"kind": "cifar_resnet", "blocks_per_stage": 3, "channels": [16, 32, 64]}"#,
        _ => bail!("no model `{architecture}`"),
    };
    let name = architecture.to_owned();
    let bytes = ModelBytes { name, config: config.to_owned(), preprocessor: None, weights: vec![weights] };
    Ok(Box::new(Loader::default().dtype(dtype).load(bytes)?.model))
}

/// One layer of a test model, as `config.json` has it.
#[derive(Clone, Debug, Deserialize)]
struct Layer {
    name: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
enum What {
    Conv2d(Conv),
    Linear {
        in_features: usize,
        out_features: usize,
    },
    BatchNorm2d {
        eps: f64,
    },
    AvgPool2d {
        kernel_size: usize,
        stride: usize,
        padding: usize,
        count_include_pad: bool,
    },
    MaxPool2d {
        kernel_size: usize,
        stride: usize,
    },
    #[serde(rename = "ReLU")]
    Relu,
    Tanh,
    #[serde(rename = "GELU")]
    Gelu,
    #[serde(rename = "SiLU")]
    Silu,
    #[serde(rename = "ELU")]
    Elu {
        alpha: f64,
    },
    Flatten,
}

#[derive(Clone, Debug, Deserialize)]
struct Conv {
    in_channels: usize,
    out_channels: usize,
    kernel_size: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Conv {
    fn config(&self) -> Conv2dConfig {
        Conv2dConfig {
            stride: self.stride[0],
            padding: self.padding[0],
            dilation: self.dilation[0],
            groups: self.groups,
            ..Default::default()
        }
    }
}

fn layer(name: impl Into<String>, what: What) -> Layer {
    Layer { name: name.into(), what }
}

fn perceptron(config: &Value) -> Result<Vec<Layer>> {
    let dims: Vec<usize> = serde_json::from_value(config["dims"].clone())?;
    let act = match config["activation"].as_str() {
        Some("relu") => What::Relu,
        Some("tanh") => What::Tanh,
        other => bail!("no activation `{other:?}`"),
    };
    let mut layers = Vec::new();
    for (i, pair) in dims.windows(2).enumerate() {
        layers.push(layer(
            format!("fc{}", i + 1),
            What::Linear { in_features: pair[0], out_features: pair[1] },
        ));
        layers.push(layer(format!("act{}", i + 1), act.clone()));
    }
    layers.pop();
    Ok(layers)
}

fn convnet(config: &Value) -> Result<Vec<Layer>> {
    let mut layers: Vec<Layer> = serde_json::from_value(config["layers"].clone())?;
    let before = config["flatten_before"].as_str().context("`flatten_before` is missing")?;
    let at = layers.iter().position(|layer| layer.name == before).context("no layer to flatten before")?;
    layers.insert(at, layer("flatten", What::Flatten));
    Ok(layers)
}

/// Layers in a row.
struct Sequence(Vec<Box<dyn Model + Send>>);

impl Sequence {
    fn new(layers: &[Layer], vb: &VarBuilder) -> Result<Self> {
        let mut channels = 0;
        let mut built = Vec::with_capacity(layers.len());
        for layer in layers {
            if let What::Conv2d(conv) = &layer.what {
                channels = conv.out_channels;
            }
            built.push(build(layer, channels, vb.pp(&layer.name)).context(layer.name.clone())?);
        }
        Ok(Self(built))
    }
}

impl Module for Sequence {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
    }
}

/// The layer with its weights; `channels` are those of the last convolution.
fn build(layer: &Layer, channels: usize, vb: VarBuilder) -> Result<Box<dyn Model + Send>> {
    let name = layer.name.clone();
    let act = |activation: Activation| Box::new(activation.at(name.clone()));
    Ok(match layer.what {
        What::Conv2d(ref conv) => convolution(conv, vb)?,
        What::Linear { in_features, out_features } => Box::new(nn::linear(in_features, out_features, vb)?),
        What::BatchNorm2d { eps } => {
            let norm = nn::batch_norm(channels, eps, vb)?;
            Box::new(move |x: &Tensor| norm.forward_t(x, false))
        }
        What::AvgPool2d { kernel_size, stride, padding, count_include_pad } => {
            let padded = if count_include_pad { Padded::Counted } else { Padded::Ignored };
            Box::new(nn::AvgPool2d::new(kernel_size, stride, padding).padded(padded).at(name))
        }
        What::MaxPool2d { kernel_size, stride } => {
            Box::new(nn::MaxPool2d::new(kernel_size, stride, 0).at(name))
        }
        What::Relu => act(Activation::Relu),
        What::Tanh => act(Activation::Tanh),
        What::Gelu => act(Activation::Gelu),
        What::Silu => act(Activation::Silu),
        What::Elu { alpha } => act(Activation::Elu(alpha)),
        What::Flatten => Box::new(move |x: &Tensor| tap(&name, &x.flatten_from(1)?)),
    })
}

fn convolution(conv: &Conv, vb: VarBuilder) -> Result<Box<dyn Model + Send>> {
    let make = if vb.contains_tensor("bias") { nn::conv2d } else { nn::conv2d_no_bias };
    Ok(Box::new(make(conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.config(), vb)?))
}
