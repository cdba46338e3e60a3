//! Class activation maps as peers have them.

use anyhow::Result;
use candle_core::Tensor;
use candlelight_core::{
    AblationCam, Attribution, Cam, EigenCam, EigenGradCam, ElementWiseGradCam, Explain, FullGrad, GradCam,
    GradCamPlusPlus, GuidedGradCam, HiResCam, LayerCam, Psi, ScoreCam, Upsampling, XGradCam, bilinear, peers,
};

use crate::methods::{Outputs, Setup, one};

pub fn captum(setup: &Setup) -> Result<Outputs> {
    let raw = at_layer(setup, GradCam::at)?.values().clone();
    let (height, width) = size(setup)?;
    let upsampled = bilinear(&raw.relu()?, height, width)?;
    Ok(vec![("raw".into(), raw), ("relu_upsampled".into(), upsampled)])
}

pub fn grad_cam(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, GradCam::at)?.values())
}

pub fn grad_cam_plus_plus(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, GradCamPlusPlus::at)?.values())
}

pub fn xgrad_cam(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, XGradCam::at)?.values())
}

pub fn hires_cam(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, HiResCam::at)?.values())
}

pub fn layer_cam(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, LayerCam::at)?.values())
}

pub fn element_wise(setup: &Setup) -> Result<Outputs> {
    pytorch_grad_cam(setup, at_layer(setup, ElementWiseGradCam::at)?.values())
}

/// The peer's masks lie corner on corner.
pub fn score_cam(setup: &Setup) -> Result<Outputs> {
    let method = |layer| ScoreCam::at(layer).upsampling(Upsampling::Corners);
    pytorch_grad_cam(setup, at_layer(setup, method)?.values())
}

/// The peer's weights are ours over the score.
pub fn ablation_cam(setup: &Setup) -> Result<Outputs> {
    let map = at_layer(setup, AblationCam::at)?;
    let scores = Tensor::new(map.scores(), map.values().device())?.to_dtype(setup.dtype)?;
    pytorch_grad_cam(setup, &map.values().broadcast_div(&scores.reshape(((), 1, 1, 1))?)?)
}

pub fn eigen_cam(setup: &Setup) -> Result<Outputs> {
    Ok(one("raw", at_layer(setup, EigenCam::at)?.values().squeeze(1)?))
}

pub fn eigen_grad_cam(setup: &Setup) -> Result<Outputs> {
    Ok(one("raw", at_layer(setup, EigenGradCam::at)?.values().squeeze(1)?))
}

/// The peer's map is the paper's, from 0 to 1.
pub fn full_grad(setup: &Setup) -> Result<Outputs> {
    let paper = FullGrad::default().psi(Psi::Rescaled(Upsampling::Tiled));
    Ok(one("final", peers::scale_cam_image(&setup.explain(&paper)?.values().squeeze(1)?)?))
}

pub fn guided_grad_cam(setup: &Setup) -> Result<Outputs> {
    let method = |layer| GuidedGradCam::at(layer).upsampling(Upsampling::Nearest);
    Ok(one("attribution", at_layer(setup, method)?.values().clone()))
}

/// The residual is what the mean of the map and the class's bias miss of the logit.
pub fn cam(setup: &Setup) -> Result<Outputs> {
    let map = at_layer(setup, Cam::at)?;
    let bias = setup.weight(&format!("{}.bias", setup.case.text("classifier")?))?;
    let biases = bias.index_select(&Tensor::new(setup.classes(), bias.device())?, 0)?;
    let scores = Tensor::new(map.scores(), bias.device())?.to_dtype(setup.dtype)?;
    let residual = ((map.values().mean((1, 2, 3))? + biases)? - scores)?;
    Ok(vec![("cam".into(), map.values().squeeze(1)?), ("residual".into(), residual)])
}

fn at_layer<M: Explain>(setup: &Setup, at: impl FnOnce(String) -> M) -> Result<Attribution> {
    setup.explain(&at(setup.case.text("layer")?.to_owned()))
}

fn pytorch_grad_cam(setup: &Setup, raw: &Tensor) -> Result<Outputs> {
    let (height, width) = size(setup)?;
    let last = peers::pytorch_grad_cam(std::slice::from_ref(raw), height, width)?;
    Ok(vec![("raw".into(), raw.squeeze(1)?), ("final".into(), last.squeeze(1)?)])
}

fn size(setup: &Setup) -> Result<(usize, usize)> {
    let (_, _, height, width) = setup.x.dims4()?;
    Ok((height, width))
}
