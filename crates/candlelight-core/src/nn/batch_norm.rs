//! Batch normalisation.

pub use candle_nn::BatchNormConfig;

use super::conv_maps::spread;
use super::elements::{Number, has_kernels, lend, widened, with_element};
use super::planes::{plane_affine, plane_scale, sum_channels};
use super::ruled;
use super::{ModuleT, VarBuilder};
use crate::behind::{ChannelScale, scale_behind};
use crate::rules::Form;
use crate::rules::affine::{Affine, Map, Side};
use crate::scope::{Asking, Kind, report, rule_for};
use crate::vjp::{Gradients, vjp_of_fresh};
use candle_core::{Result, Tensor, Var};
use candlelight_kernels::{self as kernels, Element};

/// y = (x − mean) / √(variance + eps) · weight + bias per channel
/// ([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)): with the running statistics, or in training with
/// those of the batch. As in candle_nn it is a [`ModuleT`]: `x.apply_t(&norm, false)`.
///
/// # Shapes
/// Input and output `[N, channels, …]`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    inner: candle_nn::BatchNorm,
    /// As in the configuration: without it, training leaves the mean where it is.
    remove_mean: bool,
    name: String,
}

impl From<candle_nn::BatchNorm> for BatchNorm {
    fn from(inner: candle_nn::BatchNorm) -> Self {
        Self { inner, remove_mean: true, name: String::new() }
    }
}

impl BatchNorm {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_trained(&self) -> bool {
        self.inner.weight_and_bias().is_some_and(|(weight, bias)| weight.track_op() || bias.track_op())
    }

    /// A layer with these statistics and parameters, all `[num_features]`, and a momentum of 0.1.
    ///
    /// # Errors
    /// If a shape differs, or if `eps` is negative.
    pub fn new(
        num_features: usize,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: f64,
    ) -> Result<Self> {
        Ok(candle_nn::BatchNorm::new(num_features, running_mean, running_var, weight, bias, eps)?.into())
    }

    /// A layer without weight and bias.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn new_no_bias(
        num_features: usize,
        running_mean: Tensor,
        running_var: Tensor,
        eps: f64,
    ) -> Result<Self> {
        Ok(candle_nn::BatchNorm::new_no_bias(num_features, running_mean, running_var, eps)?.into())
    }

    /// [`new`](Self::new) with the share that a batch has in the moved statistics.
    ///
    /// # Errors
    /// As of [`new`](Self::new), or if `momentum` is not from 0 to 1.
    pub fn new_with_momentum(
        num_features: usize,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: f64,
        momentum: f64,
    ) -> Result<Self> {
        let new = candle_nn::BatchNorm::new_with_momentum;
        Ok(new(num_features, running_mean, running_var, weight, bias, eps, momentum)?.into())
    }

    /// [`new_no_bias`](Self::new_no_bias) with a momentum.
    ///
    /// # Errors
    /// As of [`new_with_momentum`](Self::new_with_momentum).
    pub fn new_no_bias_with_momentum(
        num_features: usize,
        running_mean: Tensor,
        running_var: Tensor,
        eps: f64,
        momentum: f64,
    ) -> Result<Self> {
        let new = candle_nn::BatchNorm::new_no_bias_with_momentum;
        Ok(new(num_features, running_mean, running_var, eps, momentum)?.into())
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The running mean, `[channels]`.
    pub fn running_mean(&self) -> &Tensor {
        self.inner.running_mean()
    }

    /// The running variance, `[channels]`.
    pub fn running_var(&self) -> &Tensor {
        self.inner.running_var()
    }

    /// What is added to the variance.
    pub fn eps(&self) -> f64 {
        self.inner.eps()
    }

    /// Weight and bias, both `[channels]`.
    pub fn weight_and_bias(&self) -> Option<(&Tensor, &Tensor)> {
        self.inner.weight_and_bias()
    }

    /// The share that a batch has in the moved statistics.
    pub fn momentum(&self) -> f64 {
        self.inner.momentum()
    }

    /// The training pass: the batch's own statistics, and the running ones move towards them.
    ///
    /// # Errors
    /// If the channels differ.
    pub fn forward_train(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_t(x, true)
    }

    /// The affine map that the layer is in evaluation: y = x · scale + shift, of half precision in single.
    pub(super) fn affine(&self) -> Result<(Tensor, Tensor)> {
        let (deviation, mean) = (self.deviation()?, self.mean()?);
        let (scale, bias) = match self.inner.weight_and_bias() {
            Some((weight, bias)) => ((widened(&weight.detach())? / deviation)?, widened(&bias.detach())?),
            None => (deviation.recip()?, mean.zeros_like()?),
        };
        let shift = (bias - (mean * &scale)?)?;
        Ok((scale, shift))
    }

    /// What rules see of the layer in evaluation.
    fn scale(&self, x: &Tensor) -> Result<Affine> {
        let (scale, shift) = self.affine()?;
        let as_rules_see = |channels: &Tensor| spread(channels, x.rank())?.to_dtype(x.dtype());
        Ok(Affine::new(Scale, &as_rules_see(&scale)?, Some(as_rules_see(&shift)?)))
    }

    /// The running mean.
    fn mean(&self) -> Result<Tensor> {
        widened(&self.inner.running_mean().detach())
    }

    /// √(running variance + eps).
    fn deviation(&self) -> Result<Tensor> {
        (widened(&self.inner.running_var().detach())? + self.inner.eps())?.sqrt()
    }

    fn forward_eval(&self, x: &Tensor) -> Result<Tensor> {
        let (scale, shift) = self.affine()?;
        let input = x.detach();
        let y = plane_affine(&input, &scale, &shift)?;
        match self.inner.weight_and_bias() {
            Some((weight, bias)) if self.is_trained() => {
                let (mean, inverse) = (self.mean()?, self.deviation()?.recip()?);
                let unit = plane_affine(&input, &inverse, &(mean.neg()? * &inverse)?)?;
                vjp_of_fresh(&[x, weight, bias], y, move |_, g| {
                    let dx = plane_scale(g, &scale)?;
                    Ok(vec![Some(dx), Some(sum_channels(&(g * &unit)?)?), Some(sum_channels(g)?)])
                })
            }
            _ => scale_behind(x, y, ChannelScale { channels: scale, scaled: plane_scale }),
        }
    }

    /// Normalises with the batch's own statistics and moves the running ones towards them.
    fn forward_batch(&self, x: &Tensor) -> Result<Tensor> {
        let Some((weight, bias)) = self.inner.weight_and_bias() else { return self.inner.forward_train(x) };
        let (input, scale) = (x.detach(), weight.detach());
        with_element!(x, T => {
            let batch = Batch::<T>::of(&input, self.inner.eps())?;
            self.move_running_statistics(&batch)?;
            let y = batch.normalise(&input, &scale.to_vec1()?, &bias.detach().to_vec1()?)?;
            vjp_of_fresh(&[x, weight, bias], y, move |_, g| batch.pull_back(&input, g, &scale.to_vec1()?))
        })
    }

    fn move_running_statistics<T: Number>(&self, batch: &Batch<T>) -> Result<()> {
        let unbiased = batch.count / (batch.count - 1.0).max(1.0);
        let moves = [
            (self.inner.running_mean(), &batch.mean, 1.0),
            (self.inner.running_var(), &batch.variance, unbiased),
        ];
        for (running, now, factor) in moves {
            let now = Tensor::new(&now[..], running.device())?;
            let momentum = self.inner.momentum();
            let moved = ((running.detach() * (1.0 - momentum))? + (now * (momentum * factor))?)?;
            Var::from_tensor(running)?.set(&moved)?;
        }
        Ok(())
    }
}

/// The statistics of one batch.
struct Batch<T> {
    mean: Vec<T>,
    variance: Vec<T>,
    inverse: Vec<T>,
    area: usize,
    /// Elements per channel.
    count: f64,
}

impl<T: Number> Batch<T> {
    fn of(x: &Tensor, eps: f64) -> Result<Self> {
        let (channels, area) = (x.dim(1)?, x.dims()[2..].iter().product());
        let count = (x.dim(0)? * area) as f64;
        let share = |sums: Vec<T>| {
            sums.into_iter().map(|sum| sum / <T as Element>::from_f64(count)).collect::<Vec<T>>()
        };
        let mean = share(lend(x, |x: &[T]| kernels::channel_sums(x, area, channels, |_, v| v))?);
        let square = |c: usize, v: T| (v - mean[c]) * (v - mean[c]);
        let variance = share(lend(x, |x: &[T]| kernels::channel_sums(x, area, channels, square))?);
        let inverse =
            variance.iter().map(|&v| T::ONE / Element::sqrt(v + <T as Element>::from_f64(eps))).collect();
        Ok(Self { mean, variance, inverse, area, count })
    }

    fn normalise(&self, x: &Tensor, weight: &[T], bias: &[T]) -> Result<Tensor> {
        let scale: Vec<T> = weight.iter().zip(&self.inverse).map(|(&w, &i)| w * i).collect();
        let shift: Vec<T> = (0..scale.len()).map(|c| bias[c] - self.mean[c] * scale[c]).collect();
        let y = lend(x, |x: &[T]| kernels::plane_affine(x, self.area, &scale, &shift))?;
        Tensor::from_vec(y, x.shape(), x.device())
    }

    /// With x̂ = (x − mean)·inverse: dw = Σ g·x̂, db = Σ g, dx = w·inverse·(g − db/n − x̂·dw/n).
    fn pull_back(&self, x: &Tensor, g: &Tensor, weight: &[T]) -> Result<Gradients> {
        let (channels, n) = (weight.len(), <T as Element>::from_f64(self.count));
        let db = lend(g, |g: &[T]| kernels::channel_sums(g, self.area, channels, |_, v| v))?;
        let dot =
            lend(g, |g: &[T]| lend(x, |x: &[T]| kernels::channel_products(g, x, self.area, channels)))??;
        let dw: Vec<T> = (0..channels).map(|c| (dot[c] - self.mean[c] * db[c]) * self.inverse[c]).collect();
        let factors: Vec<(T, T, T)> = (0..channels)
            .map(|c| {
                let (scale, slope) = (weight[c] * self.inverse[c], self.inverse[c] * dw[c] / n);
                (scale, -(scale * slope), scale * (self.mean[c] * slope - db[c] / n))
            })
            .collect();
        let run = |g: &[T], x: &[T]| kernels::plane_combine(g, x, self.area, &factors);
        let dx = Tensor::from_vec(lend(g, |g| lend(x, |x| run(g, x)))??, x.shape(), x.device())?;
        Ok(vec![Some(dx), Some(Tensor::new(dw, x.device())?), Some(Tensor::new(db, x.device())?)])
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if !train {
            return ruled::affine(
                (&self.name, Kind::BatchNorm, 0),
                x,
                || self.scale(x),
                || self.forward_eval(x),
            );
        }
        rule_for(Asking::new(&self.name, &Kind::BatchNorm, Form::Norm));
        let y = match has_kernels(x) && self.remove_mean {
            true => self.forward_batch(x)?,
            false => self.inner.forward_train(x)?,
        };
        report(&self.name, Kind::BatchNorm, 0, y)
    }
}

/// One scale per channel.
struct Scale;

impl Map for Scale {
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.output(x, weight, None)
    }

    fn output(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let shift = bias.map_or_else(|| weight.zeros_like(), |bias| Ok(bias.clone()))?;
        plane_affine(x, &weight.flatten_all()?, &shift.flatten_all()?)
    }

    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.product(g, weight)
    }

    fn scaled(&self, weight: &Tensor, scale: &Tensor, _: Side) -> Result<Option<Tensor>> {
        let fits = weight.elem_count() == scale.elem_count();
        fits.then(|| weight * scale.reshape(weight.shape())?).transpose()
    }

    fn is_scale(&self) -> bool {
        true
    }
}

/// A layer with its parameters from `vb`: `running_mean`, `running_var`, `weight` and `bias`.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn batch_norm<C: Into<BatchNormConfig>>(channels: usize, config: C, vb: VarBuilder) -> Result<BatchNorm> {
    let (name, config) = (vb.prefix(), config.into());
    let inner = candle_nn::batch_norm(channels, config, vb)?;
    Ok(BatchNorm { inner, remove_mean: config.remove_mean, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;

    /// Rounding of sums over a few dozen elements in double precision.
    const TOLERANCE: f64 = 1e-10;

    fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
        (a - b)?.abs()?.max_all()?.to_scalar()
    }

    #[test]
    fn training_gives_what_candle_nn_gives_and_moves_the_same_statistics() -> Result<()> {
        let values: Vec<f64> =
            (0..3 * 2 * 4 * 5).map(|i| (f64::from(i) * 0.7).sin() + f64::from(i % 7)).collect();
        let x = Var::from_tensor(&Tensor::from_vec(values, (3, 2, 4, 5), &Device::Cpu)?)?;
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu);
        let (ours, theirs) = (batch_norm(2, 1e-5, vb.pp("a"))?, batch_norm(2, 1e-5, vb.pp("b"))?);
        let y = [ours.forward_t(&x, true)?, theirs.inner.forward_train(&x)?];
        assert!(largest_difference(&y[0], &y[1])? < TOLERANCE);
        let weights = x.as_tensor().sqr()?.detach();
        let gradients =
            [(&y[0] * &weights)?.sum_all()?.backward()?, (&y[1] * &weights)?.sum_all()?.backward()?];
        assert!(
            largest_difference(gradients[0].get(&x).unwrap(), gradients[1].get(&x).unwrap())? < TOLERANCE
        );
        let parameters =
            |norm: &BatchNorm| norm.inner.weight_and_bias().map(|(w, b)| [w.clone(), b.clone()]).unwrap();
        for (a, b) in parameters(&ours).iter().zip(&parameters(&theirs)) {
            assert!(
                largest_difference(gradients[0].get(a).unwrap(), gradients[1].get(b).unwrap())? < TOLERANCE
            );
        }
        assert!(largest_difference(ours.inner.running_mean(), theirs.inner.running_mean())? < TOLERANCE);
        assert!(largest_difference(ours.inner.running_var(), theirs.inner.running_var())? < TOLERANCE);
        Ok(())
    }
}
