//! The first class activation maps: the weights of the class.

use super::{Asked, ClassActivation, Maps, Passes, Weighting};
use crate::{Error, Result};
use candle_core::Tensor;

/// How far two gradients may be apart that are one but for rounding, as a share of the largest.
const ROUNDING: f64 = 1e-4;

/// A = Σₖ Wₖ·Aₖ with Wₖ the weight of the class for channel k, behind a global average pool
/// ([Zhou et al. 2015](https://arxiv.org/abs/1512.04150)). The mean of the map is the score less the class's bias.
///
/// Wₖ is read off the gradient: Σᵢⱼ ∂f/∂Aₖᵢⱼ, which is the same in every cell and wherever it is taken. Both are tried,
/// the second with one more pass at −A.
///
/// **When not to use it:** it cannot be used where anything but a pool over space and one linear layer follows the
/// maps, and says so ([`Error::NotPooled`]); [`GradCam`](super::GradCam) is its generalisation, and the same map over
/// the number of cells there.
pub type Cam = ClassActivation<ClassWeights>;

/// The weighting of [`Cam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassWeights;

impl Weighting for ClassWeights {
    const NAME: &'static str = "cam";
    const PASSES: Passes = Passes::PerRow;

    fn weigh(&self, maps: &Maps, asked: &mut Asked) -> Result<Tensor> {
        let gradient = maps.gradient()?;
        let mean = gradient.mean_keepdim((2, 3))?;
        let elsewhere = asked.gradient_at(maps, &maps.output().neg()?)?;
        let same = |other: &Tensor| -> Result<bool> {
            let largest = |x: &Tensor| {
                Ok::<_, Error>(x.abs()?.max_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?)
            };
            Ok(largest(&mean.broadcast_sub(other)?)? <= ROUNDING * largest(&mean)?)
        };
        if !(same(gradient)? && same(&elsewhere)?) {
            return Err(Error::NotPooled { layer: maps.name().to_owned() });
        }
        Ok(maps.activation().broadcast_mul(&gradient.sum_keepdim((2, 3))?)?)
    }
}

impl Asked<'_, '_> {
    /// The gradient of the scores with `outputs` in the layer's place.
    fn gradient_at(&mut self, maps: &Maps, outputs: &Tensor) -> Result<Tensor> {
        let mut gradients = Vec::new();
        for range in self.run.batches(self.run.rows()) {
            let part = |x: &Tensor| x.narrow(0, range.start, range.len());
            let (x, outputs) = (part(self.run.input())?, part(outputs)?);
            let rows = Vec::from_iter(range.clone());
            let target = &self.prediction.target;
            gradients.push(self.run.slopes_at(maps.name(), (&x, Some(&outputs)), &rows, target)?.1);
        }
        maps.laid_out(&Tensor::cat(&gradients, 0)?)
    }
}
