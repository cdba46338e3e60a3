//! One residual block: a branch of units, a shortcut, their sum, and an activation.

use candle_core::{DType, Device, Result, Tensor};
use candlelight_core::nn::{self, Extent, Module, Padded, Recorder, Subsample, Value, VarBuilder};

use super::unit::{Kernel, Unit};
use super::{Block, ResNetConfig, Shortcut, Stage};
use crate::{Mode, path};

/// The shape that a block takes and gives.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    pub stride: usize,
}

impl Shape {
    /// The shape of block `index` of a stage that gets `inputs` channels.
    pub fn of(stage: &Stage, index: usize, inputs: usize) -> Self {
        match index {
            0 => Self { inputs, outputs: stage.channels, stride: stage.stride },
            _ => Self { inputs: stage.channels, outputs: stage.channels, stride: 1 },
        }
    }

    fn kept(self) -> bool {
        self.stride == 1 && self.inputs == self.outputs
    }
}

/// A residual block with its weights.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    branch: Vec<Unit>,
    side: Side,
    act: nn::Act,
    sum: String,
    name: String,
}

impl Residual {
    pub fn new(config: &ResNetConfig, block: Block, shape: Shape, vb: VarBuilder) -> Result<Self> {
        let kernels = kernels(block, shape);
        let act = config.naming.block_act(kernels.len());
        Ok(Self {
            branch: branch(config, &kernels, &vb)?,
            side: Side::new(config, shape, &vb)?,
            act: config.activation.at(path(&vb, &act)),
            sum: path(&vb, "add"),
            name: vb.prefix(),
        })
    }

    /// The block as links of a chain.
    pub fn record(&self, x: Value, chain: &mut Recorder) -> Option<Value> {
        let side = self.side.record(x, chain)?;
        let branch = record_all(&self.branch, x, chain)?;
        let sum = chain.add(branch, side, &self.sum)?;
        let y = chain.act(sum, &self.act)?;
        chain.tap(&self.name);
        Some(y)
    }

    pub fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let side = self.side.run(x, mode)?;
        let branch = run_all(&self.branch, x, mode)?;
        let sum = nn::add(&branch, &side, &self.sum)?;
        candlelight_core::tap(&self.name, &self.act.forward(&sum)?)
    }
}

/// Units one after the other, as links of a chain.
pub(super) fn record_all(units: &[Unit], x: Value, chain: &mut Recorder) -> Option<Value> {
    units.iter().try_fold(x, |x, unit| unit.record(x, chain))
}

/// Units one after the other.
pub(super) fn run_all(units: &[Unit], x: &Tensor, mode: Mode) -> Result<Tensor> {
    units.iter().try_fold(x.clone(), |x, unit| unit.run(&x, mode))
}

fn kernels(block: Block, shape: Shape) -> Vec<Kernel> {
    let Shape { inputs, outputs, stride } = shape;
    let inner = outputs / 4;
    let kernel = |inputs, outputs, size, stride| Kernel { inputs, outputs, size, stride };
    let bottleneck = |first, second| {
        vec![kernel(inputs, inner, 1, first), kernel(inner, inner, 3, second), kernel(inner, outputs, 1, 1)]
    };
    match block {
        Block::Basic => vec![kernel(inputs, outputs, 3, stride), kernel(outputs, outputs, 3, 1)],
        Block::Bottleneck => bottleneck(1, stride),
        Block::BottleneckV1 => bottleneck(stride, 1),
    }
}

fn branch(config: &ResNetConfig, kernels: &[Kernel], vb: &VarBuilder) -> Result<Vec<Unit>> {
    let last = kernels.len() - 1;
    let unit = |(i, &kernel): (usize, &Kernel)| {
        let names = config.naming.unit(i);
        let unit = Unit::linear(kernel, &names, config.norm_eps, vb)?;
        Ok(if i == last { unit } else { unit.then(config.activation, &names, vb) })
    };
    kernels.iter().enumerate().map(unit).collect()
}

/// The way around the branch.
#[derive(Clone, Debug)]
enum Side {
    Identity,
    Conv(Box<Projection>),
    Pad(Subsample),
}

/// A shortcut with weights.
#[derive(Clone, Debug)]
struct Projection {
    pool: Option<nn::AvgPool2d>,
    unit: Unit,
}

impl Projection {
    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.pool {
            Some(pool) => self.unit.run(&pool.forward(x)?, mode),
            None => self.unit.run(x, mode),
        }
    }
}

impl Side {
    fn new(config: &ResNetConfig, shape: Shape, vb: &VarBuilder) -> Result<Self> {
        match config.shortcut {
            _ if shape.kept() => Ok(Self::Identity),
            Shortcut::Conv => Self::conv(config, shape, None, vb),
            Shortcut::PoolConv => Self::pooled(config, shape, vb),
            Shortcut::PadChannels => Ok(Self::pad(shape)),
        }
    }

    fn conv(
        config: &ResNetConfig,
        shape: Shape,
        pool: Option<nn::AvgPool2d>,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let Shape { inputs, outputs, stride } = shape;
        let kernel = Kernel { inputs, outputs, size: 1, stride };
        let unit = Unit::linear(kernel, &config.naming.shortcut(config.shortcut), config.norm_eps, vb)?;
        Ok(Self::Conv(Box::new(Projection { pool, unit })))
    }

    /// The pool takes the stride; there is none where the stride is 1, but the numbers stay.
    fn pooled(config: &ResNetConfig, shape: Shape, vb: &VarBuilder) -> Result<Self> {
        let name = path(vb, config.naming.shortcut_pool());
        let pool =
            nn::AvgPool2d::new(2, shape.stride, 0).extent(Extent::Ceil).padded(Padded::Ignored).at(name);
        let pool = (shape.stride > 1).then_some(pool);
        Self::conv(config, Shape { stride: 1, ..shape }, pool, vb)
    }

    fn pad(shape: Shape) -> Self {
        let missing = shape.outputs.saturating_sub(shape.inputs);
        Self::Pad(Subsample { stride: shape.stride, before: missing / 2, after: missing - missing / 2 })
    }

    fn record(&self, x: Value, chain: &mut Recorder) -> Option<Value> {
        match self {
            Self::Identity => Some(x),
            Self::Conv(projection) if projection.pool.is_none() => projection.unit.record(x, chain),
            Self::Conv(_) => None,
            Self::Pad(subsample) => chain.subsample(x, *subsample),
        }
    }

    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Conv(projection) => projection.run(x, mode),
            &Self::Pad(Subsample { stride, before, after }) => {
                let x = every(&every(x, 2, stride)?, 3, stride)?;
                x.pad_with_zeros(1, before, after)
            }
        }
    }
}

/// Every `stride`-th slice along `dim`, from the first one.
fn every(x: &Tensor, dim: usize, stride: usize) -> Result<Tensor> {
    match stride {
        1 => Ok(x.clone()),
        _ => x.contiguous()?.index_select(&steps(x.dim(dim)?, stride, x.device())?, dim),
    }
}

fn steps(len: usize, stride: usize, device: &Device) -> Result<Tensor> {
    Tensor::arange_step(0u32, len as u32, stride as u32, device)?.to_dtype(DType::U32)
}
