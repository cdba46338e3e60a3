//! Maps weighted by what the score's gradient says of them.

use super::{Asked, ClassActivation, Maps, Weighting};
use crate::Result;
use candle_core::Tensor;

/// What pytorch-grad-cam adds to the denominator of Grad-CAM++, in units of the squared gradient.
const SECOND_ORDER: f64 = 1e-6;
/// What it adds to that of XGrad-CAM, in units of the activation.
const NORMALISED: f64 = 1e-7;

/// A = Σₖ wₖ·Aₖ with wₖ the mean over space of ∂f/∂Aₖ ([Selvaraju et al. 2016](https://arxiv.org/abs/1610.02391)).
///
/// **When not to use it:** for fine detail, or at an early layer: one weight per channel says nothing about where in
/// the channel the evidence lies. [`LayerCam`] and [`HiResCam`] weigh every cell.
///
/// # Example
/// ```
/// use candlelight_core::GradCam;
///
/// let last = GradCam::default();
/// let stages = GradCam::at("layer3").and("layer4");
/// let blocks = GradCam::at("layer4.*").eigen_smooth();
/// ```
pub type GradCam = ClassActivation<MeanGradient>;

/// A = Σₖ wₖ·Aₖ with wₖ = Σᵢⱼ αₖᵢⱼ·max(gₖᵢⱼ, 0) and α = g² / (2g² + g³·Σᵢⱼ Aₖ), g = ∂f/∂Aₖ
/// ([Chattopadhay et al. 2017](https://arxiv.org/abs/1710.11063); higher derivatives as in the paper, of the score's
/// exponential). 10⁻⁶ is added to the denominator, as in pytorch-grad-cam.
///
/// **When not to use it:** where gradients are negative at large maps: the denominator may come near zero there, and one
/// cell outweighs the rest. And where it matters that the weights are derivatives: gradients smaller than 10⁻³ fade
/// away beside the 10⁻⁶, so that the map depends on the units of the score.
pub type GradCamPlusPlus = ClassActivation<SecondOrder>;

/// A = Σₖ wₖ·Aₖ with wₖ = Σᵢⱼ gₖᵢⱼ·Aₖᵢⱼ / Σᵢⱼ Aₖᵢⱼ, g = ∂f/∂Aₖ: Grad-CAM with the mean of the gradient taken where the
/// map is ([Fu et al. 2020](https://arxiv.org/abs/2008.02312)). The map sums to Σ g·A.
///
/// **When not to use it:** at layers whose maps have both signs (before a rectifier, in a transformer): their sum may come
/// near zero, and the weight with it to infinity.
pub type XGradCam = ClassActivation<NormalisedGradient>;

/// A = Σₖ gₖ·Aₖ cell by cell, g = ∂f/∂Aₖ ([Draelos and Carin 2020](https://arxiv.org/abs/2011.08891)): the map shows
/// only cells that move the score, which the mean gradient of Grad-CAM does not promise.
///
/// **When not to use it:** at early layers of deep networks, where gradients are noisy and so is their product.
pub type HiResCam = ClassActivation<GradientTimesMap>;

/// A = Σₖ max(gₖ, 0)·Aₖ cell by cell, g = ∂f/∂Aₖ
/// ([Jiang et al. 2021](https://doi.org/10.1109/TIP.2021.3089943)). At early layers it is finer than Grad-CAM.
///
/// **When not to use it:** for evidence against the class: cells with a negative gradient are left out.
pub type LayerCam = ClassActivation<PositiveGradient>;

/// A = Σₖ max(gₖ·Aₖ, 0) cell by cell, g = ∂f/∂Aₖ: pytorch-grad-cam's element-wise Grad-CAM
/// ([its code](https://github.com/jacobgil/pytorch-grad-cam/blob/master/pytorch_grad_cam/grad_cam_elementwise.py); no
/// paper).
///
/// **When not to use it:** to weigh evidence for against evidence against: what speaks against is cut off channel by
/// channel, so that noise adds up; [`HiResCam`] lets both meet.
pub type ElementWiseGradCam = ClassActivation<ElementWise>;

/// The weighting of [`GradCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanGradient;

/// The weighting of [`GradCamPlusPlus`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SecondOrder;

/// The weighting of [`XGradCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NormalisedGradient;

/// The weighting of [`HiResCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientTimesMap;

/// The weighting of [`LayerCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PositiveGradient;

/// The weighting of [`ElementWiseGradCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ElementWise;

impl Weighting for MeanGradient {
    const NAME: &'static str = "grad-cam";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok(maps.activation().broadcast_mul(&maps.gradient()?.mean_keepdim((2, 3))?)?)
    }
}

impl Weighting for SecondOrder {
    const NAME: &'static str = "grad-cam-plus-plus";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        let (a, g) = (maps.activation(), maps.gradient()?);
        let squared = g.sqr()?;
        let cubed = (&squared * g)?.broadcast_mul(&a.sum_keepdim((2, 3))?)?;
        let alpha = (&squared / (((&squared * 2.0)? + cubed)? + SECOND_ORDER)?)?;
        Ok(a.broadcast_mul(&(g.relu()? * alpha)?.sum_keepdim((2, 3))?)?)
    }
}

impl Weighting for NormalisedGradient {
    const NAME: &'static str = "xgrad-cam";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        let (a, g) = (maps.activation(), maps.gradient()?);
        let weights = ((g * a)?.sum_keepdim((2, 3))? / (a.sum_keepdim((2, 3))? + NORMALISED)?)?;
        Ok(a.broadcast_mul(&weights)?)
    }
}

impl Weighting for GradientTimesMap {
    const NAME: &'static str = "hires-cam";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok((maps.gradient()? * maps.activation())?)
    }
}

impl Weighting for PositiveGradient {
    const NAME: &'static str = "layer-cam";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok((maps.gradient()?.relu()? * maps.activation())?)
    }
}

impl Weighting for ElementWise {
    const NAME: &'static str = "grad-cam-element-wise";

    fn weigh(&self, maps: &Maps, _: &mut Asked) -> Result<Tensor> {
        Ok((maps.gradient()? * maps.activation())?.relu()?)
    }
}
