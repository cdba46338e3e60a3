//! Rows brought to unit size: what layer norm, RMS norm and group norm have in common.

use super::elements::{Number, has_kernels, lend, lend_some, widened, with_element};
use crate::rules::affine::plus;
use crate::rules::pair::{Pair, both};
use crate::rules::{Rule, rescale};
use candle_core::{D, Result, Tensor};
use candlelight_kernels::{self as kernels, Affine, Element};
use rayon::prelude::*;

/// How a row is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Less its mean, divided by its standard deviation.
    Standardized,
    /// Divided by its root mean square.
    Scaled,
}

impl Rows {
    /// The rows (last axis) of `x`, normalised. Half precision is computed in single, as candle_nn and PyTorch do.
    pub fn of(self, x: &Tensor, eps: f64) -> Result<Tensor> {
        self.scaled(x, eps, None, None)
    }

    /// [`of`](Self::of), times `weight`, plus `bias`.
    pub fn scaled(
        self,
        x: &Tensor,
        eps: f64,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let [weight, bias] = [weight, bias].map(|part| part.map(widened).transpose());
        self.normalised(&widened(x)?, eps, [weight?.as_ref(), bias?.as_ref()])?.to_dtype(x.dtype())
    }

    /// The gradient of [`of`](Self::of) with respect to `x`.
    pub fn gradient(self, x: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
        self.scaled_gradient(x, g, eps, None)
    }

    /// The gradient of [`scaled`](Self::scaled) with respect to `x`.
    pub fn scaled_gradient(
        self,
        x: &Tensor,
        g: &Tensor,
        eps: f64,
        weight: Option<&Tensor>,
    ) -> Result<Tensor> {
        let weight = weight.map(widened).transpose()?;
        self.pulled_back(&widened(x)?, &widened(g)?, eps, weight.as_ref())?.to_dtype(x.dtype())
    }

    /// What brings a signal back under a rule: what is divided by changes from reference to input, or is held fixed.
    pub fn under(self, rule: &Rule) -> fn(Self, &Tensor, &Tensor, f64) -> Result<Tensor> {
        if rule.is_of_pairs() { Self::rescaled } else { Self::held }
    }

    /// The signal before the normalisation of a batch of pairs, for that behind it (`g`), under DeepLIFT's rules.
    fn rescaled(self, batch: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
        let centred = Pair::of(&widened(batch)?)?.map(|x| self.centred(x))?;
        let multipliers = rescale::unit_rows(&centred, &widened(&Pair::of(g)?.x)?, eps)?;
        both(&self.centred(&multipliers)?)?.to_dtype(batch.dtype())
    }

    /// [`gradient`](Self::gradient) with what is divided by held fixed.
    fn held(self, x: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
        let (wide, g) = (widened(x)?, widened(g)?);
        let held = match has_kernels(&wide) {
            true => with_element!(wide, T => self.held_by_rows::<T>(&wide, &g, eps))?,
            false => self.centred(&g)?.broadcast_div(&deviation(&self.centred(&wide)?, eps)?)?,
        };
        held.to_dtype(x.dtype())
    }

    fn held_by_rows<T: Number>(self, x: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
        let width = x.dim(D::Minus1)?;
        let mean = |row: &[T], f: &dyn Fn(f64) -> f64| {
            row.iter().map(|&v| f(Element::to_f64(v))).sum::<f64>() / width as f64
        };
        let centre = |row: &[T]| match self {
            Self::Standardized => mean(row, &|v| v),
            Self::Scaled => 0.0,
        };
        let row = |(out, (x, g)): (&mut [T], (&[T], &[T]))| {
            let (centre_x, centre_g) = (centre(x), <T as Element>::from_f64(centre(g)));
            let inverse = 1.0 / (mean(x, &|v| (v - centre_x).powi(2)) + eps).sqrt();
            let inverse = <T as Element>::from_f64(inverse);
            out.iter_mut().zip(g).for_each(|(out, &g)| *out = (g - centre_g) * inverse);
        };
        let mut out = vec![T::ZERO; x.elem_count()];
        lend(x, |x| {
            lend(g, |g| {
                let rows = x.par_chunks(width).zip(g.par_chunks(width));
                out.par_chunks_mut(width).zip(rows).for_each(row);
            })
        })??;
        Tensor::from_vec(out, x.shape(), x.device())
    }

    fn normalised(self, x: &Tensor, eps: f64, affine: [Option<&Tensor>; 2]) -> Result<Tensor> {
        if !has_kernels(x) {
            return self.by_candle(x, eps, affine);
        }
        let width = x.dim(D::Minus1)?;
        with_element!(x, T => {
            let run = |x: &[T], affine: Affine<T>| match self {
                Self::Standardized => kernels::standardize(x, width, eps, affine),
                Self::Scaled => kernels::rms_scale(x, width, eps, affine),
            };
            let y = lend(x, |x| lend_affine(affine, |affine| run(x, affine)))??;
            Tensor::from_vec(y, x.shape(), x.device())
        })
    }

    fn pulled_back(self, x: &Tensor, g: &Tensor, eps: f64, weight: Option<&Tensor>) -> Result<Tensor> {
        if !has_kernels(x) {
            return match weight {
                Some(weight) => self.gradient_by_candle(x, &g.broadcast_mul(weight)?, eps),
                None => self.gradient_by_candle(x, g, eps),
            };
        }
        let width = x.dim(D::Minus1)?;
        with_element!(x, T => {
            let run = |x: &[T], g: &[T], affine: Affine<T>| match self {
                Self::Standardized => kernels::standardize_gradient(x, g, width, eps, affine),
                Self::Scaled => kernels::rms_scale_gradient(x, g, width, eps, affine),
            };
            let dx = lend(x, |x| lend(g, |g| lend_affine([weight, None], |affine| run(x, g, affine))))???;
            Tensor::from_vec(dx, x.shape(), x.device())
        })
    }

    fn by_candle(self, x: &Tensor, eps: f64, [weight, bias]: [Option<&Tensor>; 2]) -> Result<Tensor> {
        let centred = self.centred(x)?;
        let unit = centred.broadcast_div(&deviation(&centred, eps)?)?;
        let scaled = if let Some(weight) = weight { unit.broadcast_mul(weight)? } else { unit };
        plus(scaled, bias)
    }

    fn gradient_by_candle(self, x: &Tensor, g: &Tensor, eps: f64) -> Result<Tensor> {
        let centred = self.centred(x)?;
        let deviation = deviation(&centred, eps)?;
        let unit = centred.broadcast_div(&deviation)?;
        let along = unit.broadcast_mul(&(g * &unit)?.mean_keepdim(D::Minus1)?)?;
        (self.centred(g)? - along)?.broadcast_div(&deviation)
    }

    /// `x` less its mean, where this normalisation takes that away; the gradient loses its mean likewise.
    fn centred(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Standardized => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?),
            Self::Scaled => Ok(x.clone()),
        }
    }
}

/// Lends weight and bias as what follows the normalisation.
fn lend_affine<T: Number, R>(
    [weight, bias]: [Option<&Tensor>; 2],
    f: impl FnOnce(Affine<T>) -> R,
) -> Result<R> {
    lend_some(weight, |weight| lend_some(bias, |bias| f(Affine { weight, bias })))?
}

fn deviation(centred: &Tensor, eps: f64) -> Result<Tensor> {
    (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// Rounding of sums of a few products in double precision.
    const TOLERANCE: f64 = 1e-12;

    #[test]
    fn candles_operations_give_what_the_kernels_give() -> Result<()> {
        let wave = |step: f64| (0..35).map(|i| (f64::from(i) * step).sin()).collect::<Vec<_>>();
        let x = Tensor::from_vec(wave(0.7), (5, 7), &Device::Cpu)?;
        let g = Tensor::from_vec(wave(0.3), (5, 7), &Device::Cpu)?;
        let (weight, bias) = (x.get(2)?, g.get(1)?);
        for rows in [Rows::Standardized, Rows::Scaled] {
            let by_candle = rows.gradient_by_candle(&x, &g.broadcast_mul(&weight)?, 1e-3)?;
            let apart = (rows.pulled_back(&x, &g, 1e-3, Some(&weight))? - by_candle)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f64>()? < TOLERANCE, "{rows:?}");
            let centred = rows.centred(&x)?;
            let by_candle = rows.centred(&g)?.broadcast_div(&deviation(&centred, 1e-3)?)?;
            let apart = (rows.held(&x, &g, 1e-3)? - by_candle)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f64>()? < TOLERANCE, "{rows:?}");
            for affine in [[None, None], [Some(&weight), None], [Some(&weight), Some(&bias)]] {
                let by_candle = rows.by_candle(&x, 1e-3, affine)?;
                let apart = (rows.normalised(&x, 1e-3, affine)? - by_candle)?.abs()?.max_all()?;
                assert!(apart.to_scalar::<f64>()? < TOLERANCE, "{rows:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn half_precision_is_computed_in_single() -> Result<()> {
        let x = Tensor::new(&[[3e4f32, -3e4, 1e4, 2e4]], &Device::Cpu)?.to_dtype(DType::F16)?;
        for rows in [Rows::Standardized, Rows::Scaled] {
            let y = rows.of(&x, 1e-5)?;
            assert_eq!(y.dtype(), DType::F16);
            let expected = rows.of(&x.to_dtype(DType::F32)?, 1e-5)?;
            let apart = (y.to_dtype(DType::F32)? - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(apart < 1e-3, "squares of 3e4 overflow in half precision: {apart}");
        }
        Ok(())
    }
}
