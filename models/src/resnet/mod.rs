//! Residual networks: basic and bottleneck blocks, every common stem and shortcut, three vocabularies.
//!
//! One description ([`ResNetConfig`]) and one forward pass; [`Naming`] only says where the weights are
//! found and what the taps are called.

mod block;
mod config;
mod naming;
mod unit;

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Chain, Module, Part, VarBuilder};
use std::iter;

pub(crate) use config::stages;
pub use config::{Block, ResNetConfig, Shortcut, Stage, Stem};
pub use naming::Naming;

use crate::{Mode, path};
use block::{Residual, Shape, record_all, run_all};
use unit::{Kernel, Unit};

/// A residual network (<https://arxiv.org/abs/1512.03385>).
///
/// As a [`Module`] it classifies with the stored statistics of its batch norms. Every layer, block and
/// stage is a tap under the name that its weights have: `layer4`, `layer4.0`, `layer4.0.conv1`.
#[derive(Clone, Debug)]
pub struct ResNet {
    config: ResNetConfig,
    stem: Root,
    stages: Vec<Trunk>,
    pool: nn::GlobalAvgPool,
    head: nn::Linear,
}

/// What comes before the stages, with its weights.
#[derive(Clone, Debug)]
struct Root {
    units: Vec<Unit>,
    pool: Option<nn::MaxPool2d>,
    chain: Option<Chain>,
}

/// One stage with its weights.
#[derive(Clone, Debug)]
struct Trunk {
    blocks: Vec<Residual>,
    name: String,
    chain: Option<Chain>,
}

impl ResNet {
    /// A network whose weights come from `vb`: a file, or a `VarMap` to train them.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape.
    pub fn new(config: ResNetConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            stem: Root::new(stem(&config, &vb)?, stem_pool(&config, &vb)),
            stages: trunks(&config, &vb)?,
            pool: nn::GlobalAvgPool::at(path(&vb, config.naming.pool())),
            head: nn::linear(config.features(), config.classes, vb.pp(config.naming.head()))?,
            config,
        })
    }

    /// What the network is made of.
    pub fn config(&self) -> &ResNetConfig {
        &self.config
    }

    /// The forward pass of training: batch norms use the batch's own statistics, and update the stored ones.
    ///
    /// # Shapes
    ///
    /// `x` is `[N, C, H, W]`, the logits are `[N, classes]`.
    ///
    /// # Errors
    ///
    /// The shape of `x` does not fit.
    pub fn forward_train(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Mode::Train)
    }

    /// The last feature map, `[N, features, H / s, W / s]`.
    fn features(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match mode {
            Mode::Train => {
                let x = self.stem.run(x, mode)?;
                self.stages.iter().try_fold(x, |x, stage| stage.run(&x, mode))
            }
            Mode::Eval => {
                let stages = self.stages.iter().map(|stage| stage as &dyn Part);
                nn::run_parts(&iter::once(&self.stem as &dyn Part).chain(stages).collect::<Vec<_>>(), x)
            }
        }
    }

    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.pool.forward(&self.features(x, mode)?)?;
        self.head.forward(&x)
    }
}

impl Module for ResNet {
    /// Logits `[N, classes]` of images `[N, C, H, W]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Mode::Eval)
    }
}

impl Root {
    fn new(units: Vec<Unit>, pool: Option<nn::MaxPool2d>) -> Self {
        let chain = Chain::record(|chain| {
            let x = record_all(&units, chain.input(), chain)?;
            match &pool {
                Some(pool) => chain.max_pool(x, pool),
                None => Some(x),
            }
        });
        Self { units, pool, chain }
    }

    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = run_all(&self.units, x, mode)?;
        match &self.pool {
            Some(pool) => pool.forward(&x),
            None => Ok(x),
        }
    }
}

impl Trunk {
    fn new(blocks: Vec<Residual>, name: String) -> Self {
        let chain =
            Chain::record(|chain| blocks.iter().try_fold(chain.input(), |x, block| block.record(x, chain)));
        Self { blocks, chain: chain.map(|chain| chain.shown_as(&name)), name }
    }

    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.blocks.iter().try_fold(x.clone(), |x, block| block.run(&x, mode))?;
        candlelight_core::tap(&self.name, &x)
    }
}

impl Part for Root {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Mode::Eval)
    }
}

impl Part for Trunk {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Mode::Eval)
    }
}

fn stem(config: &ResNetConfig, vb: &VarBuilder) -> Result<Vec<Unit>> {
    let (inputs, outputs) = (config.in_channels, config.stem_channels);
    let kernel = |inputs, outputs, size, stride| Kernel { inputs, outputs, size, stride };
    let (naming, units) = (
        config.naming,
        match config.stem {
            Stem::Plain => vec![kernel(inputs, outputs, 7, 2)],
            Stem::Small => vec![kernel(inputs, outputs, 3, 1)],
            Stem::Deep { width } => {
                vec![kernel(inputs, width, 3, 2), kernel(width, width, 3, 1), kernel(width, outputs, 3, 1)]
            }
        },
    );
    let names = |i| if units.len() == 1 { naming.stem() } else { naming.deep_stem(i) };
    let unit = |(i, &kernel): (usize, &Kernel)| {
        Ok(Unit::linear(kernel, &names(i), config.norm_eps, vb)?.then(config.activation, &names(i), vb))
    };
    units.iter().enumerate().map(unit).collect()
}

fn stem_pool(config: &ResNetConfig, vb: &VarBuilder) -> Option<nn::MaxPool2d> {
    let pool = nn::MaxPool2d::new(3, 2, 1).at(path(vb, config.naming.stem_pool()));
    (config.stem != Stem::Small).then_some(pool)
}

fn trunks(config: &ResNetConfig, vb: &VarBuilder) -> Result<Vec<Trunk>> {
    let mut inputs = config.stem_channels;
    let mut trunks = Vec::with_capacity(config.stages.len());
    for (index, stage) in config.stages.iter().enumerate() {
        trunks.push(trunk(config, stage, inputs, vb.pp(config.naming.stage(index)))?);
        inputs = stage.channels;
    }
    Ok(trunks)
}

fn trunk(config: &ResNetConfig, stage: &Stage, inputs: usize, vb: VarBuilder) -> Result<Trunk> {
    let block = |index| {
        let shape = Shape::of(stage, index, inputs);
        Residual::new(config, stage.block, shape, vb.pp(config.naming.block(index)))
    };
    let blocks = (0..stage.depth).map(block).collect::<Result<_>>()?;
    Ok(Trunk::new(blocks, vb.prefix()))
}
