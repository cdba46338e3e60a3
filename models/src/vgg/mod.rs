//! VGG: stages of 3x3 convolutions with a pool behind each, and three fully connected layers.

mod config;

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Activation, Chain, Module, Part, Recorder, Value, VarBuilder};

pub use config::{Naming, VggConfig};

use crate::path;

/// Height and width of the maps that the first fully connected layer takes.
const POOLED: usize = 7;

/// A VGG (<https://arxiv.org/abs/1409.1556>), as a classifier.
///
/// Every layer is a tap under the name that its weights have, activations and pools under the numbers between them:
/// `features.28`, `features.29`, `features.30`.
#[derive(Clone, Debug)]
pub struct Vgg {
    config: VggConfig,
    stages: Vec<Stage>,
    pool: nn::AdaptiveAvgPool2d,
    hidden: [(nn::Linear, nn::Act); 2],
    head: nn::Linear,
}

/// Some convolutions and a pool.
#[derive(Clone, Debug)]
struct Stage {
    units: Vec<Unit>,
    pool: nn::MaxPool2d,
    chain: Option<Chain>,
}

/// A convolution, its batch norm if there is one, and the activation.
#[derive(Clone, Debug)]
struct Unit {
    conv: nn::Conv2d,
    norm: Option<nn::BatchNorm>,
    act: nn::Act,
}

impl Vgg {
    /// A network whose weights come from `vb`.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape.
    pub fn new(config: VggConfig, vb: VarBuilder) -> Result<Self> {
        let pooled = config.features() * POOLED * POOLED;
        let hidden = |index: usize, inputs| hidden(&config, index, inputs, &vb);
        Ok(Self {
            stages: stages(&config, &vb.pp("features"))?,
            pool: nn::AdaptiveAvgPool2d::new(POOLED, POOLED).at("avgpool"),
            hidden: [hidden(0, pooled)?, hidden(1, config.hidden_size)?],
            head: nn::linear(config.hidden_size, config.classes, vb.pp(HEADS[2].of(config.naming)))?,
            config,
        })
    }

    /// What the network is made of.
    pub fn config(&self) -> &VggConfig {
        &self.config
    }

    /// The last maps as the first fully connected layer takes them, `[N, features, 7, 7]`.
    fn pooled(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        match (self.config.naming, (height, width)) {
            (_, (POOLED, POOLED)) => Ok(x.clone()),
            (Naming::Torchvision, _) => self.pool.forward(x),
            (Naming::Timm, _) => candle_core::bail!(
                "the last maps are {height}x{width}, and the weights take {POOLED}x{POOLED}: give images of 224x224"
            ),
        }
    }
}

impl Module for Vgg {
    /// Logits `[N, classes]` of images `[N, C, H, W]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let parts: Vec<&dyn Part> = self.stages.iter().map(|stage| stage as &dyn Part).collect();
        let x = self.pooled(&nn::run_parts(&parts, x)?)?.flatten_from(1)?;
        let x = self.hidden.iter().try_fold(x, |x, (linear, act)| act.forward(&linear.forward(&x)?))?;
        self.head.forward(&x)
    }
}

impl Stage {
    fn new(units: Vec<Unit>, pool: nn::MaxPool2d) -> Self {
        let chain = Chain::record(|chain| {
            let x = units.iter().try_fold(chain.input(), |x, unit| unit.record(x, chain))?;
            chain.max_pool(x, &pool)
        });
        Self { units, pool, chain }
    }
}

impl Part for Stage {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        self.pool.forward(&self.units.iter().try_fold(x.clone(), |x, unit| unit.run(&x))?)
    }
}

impl Unit {
    fn record(&self, x: Value, chain: &mut Recorder) -> Option<Value> {
        let x = chain.conv(x, &self.conv, self.norm.as_ref())?;
        chain.act(x, &self.act)
    }

    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv.forward(x)?;
        let x = match &self.norm {
            Some(norm) => nn::ModuleT::forward_t(norm, &x, false)?,
            None => x,
        };
        self.act.forward(&x)
    }
}

/// The stages; their modules are numbered through.
fn stages(config: &VggConfig, vb: &VarBuilder) -> Result<Vec<Stage>> {
    let (mut inputs, mut number) = (config.in_channels, 0);
    let mut stages = Vec::with_capacity(config.stages.len());
    for channels in &config.stages {
        let mut units = Vec::with_capacity(channels.len());
        for &outputs in channels {
            units.push(unit(config, (inputs, outputs), number, vb)?);
            inputs = outputs;
            number += config.modules();
        }
        let pool = nn::MaxPool2d::new(2, 2, 0).at(path(vb, &number.to_string()));
        stages.push(Stage::new(units, pool));
        number += 1;
    }
    Ok(stages)
}

fn unit(
    config: &VggConfig,
    (inputs, outputs): (usize, usize),
    number: usize,
    vb: &VarBuilder,
) -> Result<Unit> {
    let padded = nn::Conv2dConfig { padding: 1, ..Default::default() };
    let norm = config.norm_eps.map(|eps| nn::batch_norm(outputs, eps, vb.pp(number + 1)));
    Ok(Unit {
        conv: nn::conv2d(inputs, outputs, 3, padded, vb.pp(number))?,
        norm: norm.transpose()?,
        act: Activation::Relu.at(path(vb, &(number + config.modules() - 1).to_string())),
    })
}

/// The names of a fully connected layer in both vocabularies.
struct Names {
    torchvision: &'static str,
    timm: &'static str,
}

impl Names {
    fn of(&self, naming: Naming) -> &'static str {
        match naming {
            Naming::Torchvision => self.torchvision,
            Naming::Timm => self.timm,
        }
    }
}

const HEADS: [Names; 3] = [
    Names { torchvision: "classifier.0", timm: "pre_logits.fc1" },
    Names { torchvision: "classifier.3", timm: "pre_logits.fc2" },
    Names { torchvision: "classifier.6", timm: "head.fc" },
];
const ACTS: [Names; 2] = [
    Names { torchvision: "classifier.1", timm: "pre_logits.act1" },
    Names { torchvision: "classifier.4", timm: "pre_logits.act2" },
];

/// A hidden layer with its activation. timm has it as a convolution over all of its input.
fn hidden(config: &VggConfig, index: usize, inputs: usize, vb: &VarBuilder) -> Result<(nn::Linear, nn::Act)> {
    let (naming, outputs) = (config.naming, config.hidden_size);
    let vb_of = vb.pp(HEADS[index].of(naming));
    let linear = match naming {
        Naming::Torchvision => nn::linear(inputs, outputs, vb_of)?,
        Naming::Timm => {
            let side = if index == 0 { POOLED } else { 1 };
            let weight = vb_of.get((outputs, inputs / (side * side), side, side), "weight")?;
            let bias = vb_of.get(outputs, "bias")?;
            nn::Linear::new(weight.flatten_from(1)?, Some(bias)).at(vb_of.prefix())
        }
    };
    Ok((linear, Activation::Relu.at(path(vb, ACTS[index].of(naming)))))
}
