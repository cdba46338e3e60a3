//! Half precision on a CPU: what is stored in it is computed in single.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candlelight_core::nn::{
    self, Activation, AvgPool2d, BatchNorm, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose2d,
    ConvTranspose2dConfig, Corners, GlobalAvgPool, GroupNorm, LayerNorm, Linear, MaxPool2d, Module, ModuleT,
    Upsample,
};
use candlelight_core::{Explain, IntegratedGradients};
use candlelight_tests::Folder;
use candlelight_tests::compare::{distance, values};

use crate::fixtures::{golden, images};

/// The types, and the rounding of one number.
const HALVES: [(DType, f64); 2] = [(DType::F16, 4.9e-4), (DType::BF16, 3.9e-3)];

/// How many roundings of one number a layer's result may be off: one at its end, and of attention one of the
/// probabilities, whose products with the values cancel.
const ROUNDINGS: f64 = 8.0;

/// A layer's forward pass.
type Layer = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor>>;

/// A layer as it is with parameters of a type.
type Build = fn(DType) -> Result<Layer>;

/// Numbers that all types hold alike.
fn wave(shape: &[usize], step: f64, dtype: DType) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..count).map(|i| ((i as f64 * step).sin() * 64.0).round() / 64.0).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
}

fn module(module: impl Module + 'static) -> Layer {
    Box::new(move |x| module.forward(x))
}

const LAYERS: [(&str, &[usize], Build); 14] = [
    ("convolution", &[2, 4, 9, 9], |dtype| {
        let config = Conv2dConfig { padding: 1, stride: 2, groups: 2, ..Default::default() };
        let bias = wave(&[6], 0.5, dtype)?;
        Ok(module(Conv2d::new(wave(&[6, 2, 3, 3], 0.71, dtype)?, Some(bias), config)))
    }),
    ("convolution of lines", &[2, 4, 9], |dtype| {
        Ok(module(Conv1d::new(wave(&[6, 4, 3], 0.71, dtype)?, None, Conv1dConfig::default())))
    }),
    ("transposed convolution", &[2, 4, 5, 5], |dtype| {
        let config = ConvTranspose2dConfig { stride: 2, ..Default::default() };
        Ok(module(ConvTranspose2d::new(wave(&[4, 3, 3, 3], 0.71, dtype)?, None, config)))
    }),
    ("linear", &[3, 40], |dtype| {
        Ok(module(Linear::new(wave(&[7, 40], 0.71, dtype)?, Some(wave(&[7], 0.5, dtype)?))))
    }),
    ("attention", &[1, 2, 30, 8], |dtype| {
        let (q, k) = (wave(&[1, 2, 30, 8], 0.31, dtype)?, wave(&[1, 2, 30, 8], 0.17, dtype)?);
        Ok(Box::new(move |v| nn::attention(&q, &k, v, 0.35, "")))
    }),
    ("softmax", &[4, 300], |_| Ok(Box::new(nn::softmax_last_dim))),
    ("batch norm", &[2, 4, 5, 5], |dtype| {
        let (mean, weight) = (wave(&[4], 0.3, dtype)?, wave(&[4], 0.7, dtype)?);
        let norm = BatchNorm::new(4, mean, (weight.abs()? + 0.5)?, weight.clone(), weight, 1e-5)?;
        Ok(Box::new(move |x| norm.forward_t(x, false)))
    }),
    ("layer norm", &[3, 40], |dtype| {
        Ok(module(LayerNorm::new(wave(&[40], 0.3, dtype)?, wave(&[40], 0.7, dtype)?, 1e-5)))
    }),
    ("group norm", &[2, 4, 5, 5], |dtype| {
        Ok(module(GroupNorm::new(wave(&[4], 0.3, dtype)?, wave(&[4], 0.7, dtype)?, 4, 2, 1e-5)?))
    }),
    ("max pool", &[2, 3, 9, 9], |_| Ok(module(MaxPool2d::new(3, 2, 1)))),
    ("average pool", &[2, 3, 9, 9], |_| Ok(module(AvgPool2d::new(3, 2, 1)))),
    ("mean of a plane", &[2, 3, 40, 40], |_| Ok(module(GlobalAvgPool::at("pool")))),
    ("bilinear", &[2, 3, 5, 5], |_| Ok(module(Upsample::bilinear(9, 12, Corners::Apart)))),
    ("gelu", &[3, 40], |_| Ok(module(Activation::Gelu))),
];

/// The output for `x`, and the gradient at `x` of the output weighed by a wave.
fn both(layer: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let x = Var::from_tensor(x)?;
    let y = layer(&x)?;
    let seed = wave(y.dims(), 0.43, y.dtype())?;
    let gradient = (&y * seed)?.sum_all()?.backward()?.get(&x).context("no gradient")?.clone();
    Ok((y, gradient))
}

#[test]
fn every_layer_gives_what_it_gives_in_single_precision_rounded() -> Result<()> {
    for (name, shape, build) in LAYERS {
        let (y, gradient) = both(&*build(DType::F32)?, &wave(shape, 0.37, DType::F32)?)?;
        for (dtype, rounding) in HALVES {
            let (half, half_gradient) = both(&*build(dtype)?, &wave(shape, 0.37, dtype)?)
                .with_context(|| format!("{name} in {dtype:?}"))?;
            ensure!(half.dtype() == dtype && half_gradient.dtype() == dtype, "{name} in {dtype:?}");
            let (apart, gradients_apart) = (distance(&half, &y)?, distance(&half_gradient, &gradient)?);
            let worst = apart.max(gradients_apart) / rounding;
            ensure!(worst < ROUNDINGS, "{name} in {dtype:?}: {apart:.1e}, {gradients_apart:.1e}");
        }
    }
    Ok(())
}

/// Logits, and the residual of Integrated Gradients over all rows, in units of what its maps hold: maps themselves
/// differ, because a rounded number may lie on the other side of a rectifier.
fn explained(folder: &Folder, name: &str, dtype: DType) -> Result<(Tensor, f64)> {
    let (model, x) = (folder.model(name, dtype)?, images(dtype)?);
    let logits = model.forward(&x)?;
    ensure!(logits.dtype() == dtype, "{name} in {dtype:?}");
    let map = IntegratedGradients::default().steps(50).explain(&*model, (&x, 1))?;
    ensure!(map.values().dtype() == dtype, "{name} in {dtype:?}");
    let residual: f64 = map.convergence().completeness.as_ref().context("complete")?.residual().iter().sum();
    Ok((logits, residual / values(map.values())?.iter().map(|value| value.abs()).sum::<f64>()))
}

#[test]
fn models_of_half_precision_are_explained_nearly_as_well_as_those_of_single() -> Result<()> {
    let folder = golden()?;
    for name in ["hf_resnet_basic", "hf_vit"] {
        let (logits, residual) = explained(&folder, name, DType::F32)?;
        for (dtype, rounding) in HALVES {
            let (half, half_residual) = explained(&folder, name, dtype)?;
            let apart = distance(&half, &logits)?;
            ensure!(apart < 10.0 * rounding, "{name} in {dtype:?}: {apart:.1e}");
            ensure!(
                half_residual < residual + rounding,
                "{name} in {dtype:?}: {half_residual:.1e}, {residual:.1e} in single"
            );
        }
    }
    Ok(())
}
