//! PyTorch's values and gradients at kinks, ties and signed zeros, from `data/pytorch.json`.

use candle_core::{Device, Module, Result, Tensor, Var};
use candlelight_core::nn::{self, Activation};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rounding of a few products in double precision, relative to values of order ten.
pub const TOLERANCE: f64 = 1e-11;

/// PyTorch multiplies by 1/6 in single precision in the hard sigmoid's gradient, whatever the type.
const SINGLE_SIXTH: f64 = 1e-7;

#[derive(Deserialize)]
pub struct Facts {
    pub pytorch: String,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub op: String,
    shape: Vec<usize>,
    output: Vec<usize>,
    x: Vec<f64>,
    g: Vec<f64>,
    y: Vec<f64>,
    dx: Vec<f64>,
    #[serde(flatten)]
    settings: BTreeMap<String, serde_json::Value>,
}

pub fn facts() -> Facts {
    serde_json::from_str(include_str!("../data/pytorch.json")).unwrap()
}

impl Case {
    fn number(&self, setting: &str) -> f64 {
        self.settings[setting].as_f64().unwrap()
    }

    fn count(&self, setting: &str) -> usize {
        self.settings[setting].as_u64().unwrap() as usize
    }

    fn is(&self, setting: &str) -> bool {
        self.settings[setting].as_bool().unwrap()
    }

    fn size(&self) -> (usize, usize) {
        let size = |axis: usize| self.settings["size"][axis].as_u64().unwrap() as usize;
        (size(0), size(1))
    }

    fn extent(&self) -> nn::Extent {
        if self.is("ceil") { nn::Extent::Ceil } else { nn::Extent::Floor }
    }

    fn layer(&self) -> Result<Box<dyn Module>> {
        let ones = |n: usize| Tensor::ones(n, candle_core::DType::F64, &Device::Cpu);
        let zeros = |n: usize| Tensor::zeros(n, candle_core::DType::F64, &Device::Cpu);
        let window = || (self.count("kernel"), self.count("stride"), self.count("padding"));
        Ok(match self.op.as_str() {
            "Relu" => Box::new(Activation::Relu),
            "Relu2" => Box::new(Activation::Relu2),
            "Relu6" => Box::new(Activation::Relu6),
            "LeakyRelu" => Box::new(Activation::LeakyRelu(self.number("alpha"))),
            "Elu" => Box::new(Activation::Elu(self.number("alpha"))),
            "HardSigmoid" => Box::new(Activation::HardSigmoid),
            "HardSwish" => Box::new(Activation::HardSwish),
            "Gelu" => Box::new(Activation::Gelu),
            "GeluPytorchTanh" => Box::new(Activation::GeluPytorchTanh),
            "Silu" => Box::new(Activation::Silu),
            "Mish" => Box::new(Activation::Mish),
            "Tanh" => Box::new(Activation::Tanh),
            "Sigmoid" => Box::new(Activation::Sigmoid),
            "PReLU" => Box::new(nn::PReLU::new((ones(1)? * self.number("alpha"))?, true)),
            "Softmax" => Box::new(nn::func(nn::softmax_last_dim)),
            "LayerNorm" => Box::new(nn::LayerNorm::new(ones(3)?, zeros(3)?, 1e-5)),
            "RmsNorm" => Box::new(nn::RmsNorm::new(ones(3)?, 1e-5)),
            "GroupNorm" => Box::new(nn::GroupNorm::new(ones(4)?, zeros(4)?, 4, 2, 1e-5)?),
            "MaxPool2d" => {
                let (kernel, stride, padding) = window();
                Box::new(nn::MaxPool2d::new(kernel, stride, padding).extent(self.extent()))
            }
            "AvgPool2d" => {
                let (kernel, stride, padding) = window();
                let padded = if self.is("counted") { nn::Padded::Counted } else { nn::Padded::Ignored };
                Box::new(nn::AvgPool2d::new(kernel, stride, padding).extent(self.extent()).padded(padded))
            }
            "AdaptiveMaxPool2d" => Box::new(nn::AdaptiveMaxPool2d::new(self.size().0, self.size().1)),
            "AdaptiveAvgPool2d" => Box::new(nn::AdaptiveAvgPool2d::new(self.size().0, self.size().1)),
            "Nearest" => Box::new(nn::Upsample::nearest(self.size().0, self.size().1)),
            "Bilinear" => {
                let corners = if self.is("aligned") { nn::Corners::Aligned } else { nn::Corners::Apart };
                Box::new(nn::Upsample::bilinear(self.size().0, self.size().1, corners))
            }
            "ConvTranspose2d" => {
                let kernel = Tensor::new(&[[[[1.0f64, -2.0], [0.5, 3.0]]]], &Device::Cpu)?;
                let config = nn::ConvTranspose2dConfig {
                    padding: self.count("padding"),
                    output_padding: self.count("grown"),
                    stride: self.count("stride"),
                    dilation: self.count("dilation"),
                };
                Box::new(nn::ConvTranspose2d::new(kernel, None, config))
            }
            op => candle_core::bail!("`{op}` is no layer that the facts know"),
        })
    }

    /// Compares the layer's output and input gradient with PyTorch's.
    pub fn check(&self) -> Result<()> {
        let x = Var::from_vec(self.x.clone(), &self.shape[..], &Device::Cpu)?;
        let y = self.layer()?.forward(&x)?;
        self.compare("output", &y, &self.y, &self.output)?;
        let g = Tensor::from_vec(self.g.clone(), y.shape(), &Device::Cpu)?;
        let gradients = (y * g)?.sum_all()?.backward()?;
        self.compare("gradient", gradients.get(&x).unwrap(), &self.dx, &self.shape)
    }

    fn compare(&self, what: &str, found: &Tensor, expected: &[f64], shape: &[usize]) -> Result<()> {
        if found.dims() != shape {
            candle_core::bail!("{} {:?}: {what} of {:?}", self.op, self.settings, found.dims())
        }
        let found = found.flatten_all()?.to_vec1::<f64>()?;
        let tolerance = if self.op.starts_with("Hard") { SINGLE_SIXTH } else { TOLERANCE };
        let apart = |(a, b): (&f64, &f64)| a.is_nan() || (a - b).abs() > tolerance;
        match found.iter().zip(expected).position(apart) {
            Some(i) => candle_core::bail!(
                "{} {:?}: {what} {} at {i} is {} in PyTorch",
                self.op,
                self.settings,
                found[i],
                expected[i]
            ),
            None => Ok(()),
        }
    }
}
