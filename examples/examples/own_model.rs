//! An own model made explainable: `candlelight::nn` for `candle_nn`, a `tap` where maps are wanted.

use candle_core::{DType, Device, Result, Tensor};
use candlelight::nn::{self, Conv2dConfig, Module, VarBuilder, VarMap};
use candlelight::prelude::{Explain, GradCam, IntegratedGradients, check_gradients, tap};

struct Net {
    conv: nn::Conv2d,
    head: nn::Linear,
}

impl Net {
    fn new(vb: VarBuilder) -> Result<Self> {
        let config = Conv2dConfig { padding: 1, ..Default::default() };
        Ok(Self { conv: nn::conv2d(3, 8, 3, config, vb.pp("conv"))?, head: nn::linear(8, 4, vb.pp("head"))? })
    }
}

impl Module for Net {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let maps = tap("maps", &nn::relu(&self.conv.forward(x)?)?)?;
        self.head.forward(&maps.mean((2, 3))?)
    }
}

fn main() -> anyhow::Result<()> {
    let weights = VarMap::new(); // untrained: load your own
    let net = Net::new(VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    let image = Tensor::rand(0f32, 1.0, (1, 3, 32, 32), &Device::Cpu)?;

    check_gradients(&net, &image)?;
    let cam = GradCam::at("maps").explain(&net, &image)?;
    let map = IntegratedGradients::default().explain(&net, (&image, 2))?;
    println!("Grad-CAM of class {}: {:?}", cam.classes()[0], cam.values().dims());
    println!("Integrated Gradients: residual {:.1e}", map.convergence().worst());
    Ok(())
}
