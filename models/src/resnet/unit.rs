//! Convolution, norm and activation: what every layer of a ResNet is made of.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Module, ModuleT, Recorder, Value, VarBuilder};

use super::naming::UnitNames;
use crate::{Mode, path};

/// The shape of one convolution.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub inputs: usize,
    pub outputs: usize,
    pub size: usize,
    pub stride: usize,
}

/// A convolution without bias, its batch norm, and the activation if one follows directly.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    conv: nn::Conv2d,
    norm: nn::BatchNorm,
    act: Option<nn::Act>,
}

impl Unit {
    /// A unit without activation.
    pub fn linear(kernel: Kernel, names: &UnitNames, eps: f64, vb: &VarBuilder) -> Result<Self> {
        let Kernel { inputs, outputs, size, stride } = kernel;
        let config = nn::Conv2dConfig { stride, padding: size / 2, ..Default::default() };
        let conv = nn::conv2d_no_bias(inputs, outputs, size, config, vb.pp(&names.conv))?;
        let norm = nn::batch_norm(outputs, eps, vb.pp(&names.norm))?;
        Ok(Self { conv, norm, act: None })
    }

    /// The unit with `act` after the norm.
    pub fn then(mut self, act: nn::Activation, names: &UnitNames, vb: &VarBuilder) -> Self {
        self.act = Some(act.at(path(vb, &names.act)));
        self
    }

    /// The unit as a link of a chain.
    pub fn record(&self, x: Value, chain: &mut Recorder) -> Option<Value> {
        let x = chain.conv(x, &self.conv, Some(&self.norm))?;
        match &self.act {
            Some(act) => chain.act(x, act),
            None => Some(x),
        }
    }

    pub fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.norm.forward_t(&self.conv.forward(x)?, mode.is_train())?;
        match &self.act {
            Some(act) => act.forward(&x),
            None => Ok(x),
        }
    }
}
