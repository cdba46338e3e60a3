//! DeepLIFT's RevealCancel rule ([Shrikumar et al. 2017](https://arxiv.org/abs/1704.02685), sections 3.5.1 and 3.5.3):
//! what raises an output and what lowers it have multipliers of their own, so that they show where they cancel.
//!
//! A batch of pairs has room for two signals: that of positive parts in its first half, that of negative ones in its
//! second. They differ between an activation and the layer with weights before it alone; everywhere else a change has
//! one sign, and both halves hold the same.

use super::affine::Affine;
use super::pair::{Pair, both};
use candle_core::{Result, Tensor};

/// Δ⁺ and Δ⁻ of the outputs z = W·x + b of a batch of pairs: what the positive and the negative contributions w·Δx sum
/// to.
pub(crate) fn parts(affine: &Affine, x: &Tensor) -> Result<Pair> {
    let change = Pair::of(x)?.difference()?;
    let [positive, negative] = affine.weights()?;
    let signs = Pair { x: change.maximum(0.0)?, reference: change.minimum(0.0)? };
    let straight = Pair::of(&affine.product(&signs.joined()?, &positive)?)?;
    let crossed = Pair::of(&affine.product(&signs.joined()?, &negative)?)?;
    Ok(Pair { x: (straight.x + crossed.reference)?, reference: (straight.reference + crossed.x)? })
}

/// The signal at the inputs `x` of z = W·x + b, for the signals `g` of Δ⁺ and Δ⁻: a positive change adds to Δ⁺ by
/// positive weights and to Δ⁻ by negative ones, a negative change the other way round; no change has the mean of both.
pub(crate) fn pull_back(affine: &Affine, x: &Tensor, g: &Tensor) -> Result<Tensor> {
    let change = Pair::of(x)?.difference()?;
    let [positive, negative] = affine.weights()?;
    let straight = Pair::of(&affine.transpose(g, &positive)?)?;
    let crossed = Pair::of(&affine.transpose(g, &negative)?)?;
    let (up, down) = ((straight.x + crossed.reference)?, (straight.reference + crossed.x)?);
    let still = ((&up + &down)? * 0.5)?;
    let moved = change.gt(0.0)?.where_cond(&up, &down)?;
    both(&change.eq(0.0)?.where_cond(&still, &moved)?)
}

/// The signals of Δ⁺ and Δ⁻ before a function of one number, for the one signal `g` behind it: the slope over either
/// part, in the mean of both orders in which they can come. `parts` are those of its argument, which was `reference`;
/// `secants(x, r)` are the function's slopes from r to x.
pub(crate) fn activation(
    reference: &Tensor,
    parts: &Pair,
    g: &Tensor,
    secants: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (raised, lowered) = ((reference + &parts.x)?, (reference + &parts.reference)?);
    let end = (&raised + &parts.reference)?;
    let mean = |first: Tensor, last: Tensor| (first + last)? * 0.5;
    let positive = mean(secants(&raised, reference)?, secants(&end, &lowered)?)?;
    let negative = mean(secants(&lowered, reference)?, secants(&end, &raised)?)?;
    Pair { x: (positive * g)?, reference: (negative * g)? }.joined()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    /// Rounding of a few operations on values of some units.
    const TOLERANCE: f64 = 1e-12;

    fn relu(x: f64) -> f64 {
        x.max(0.0)
    }

    fn slope(x: f64, r: f64) -> f64 {
        if x == r { f64::from(x > 0.0) } else { (relu(x) - relu(r)) / (x - r) }
    }

    fn secants(x: &Tensor, r: &Tensor) -> Result<Tensor> {
        let pairs = x.to_vec1::<f64>()?.into_iter().zip(r.to_vec1::<f64>()?);
        Tensor::from_iter(pairs.map(|(x, r)| slope(x, r)), &Device::Cpu)
    }

    proptest! {
        #[test]
        fn both_parts_together_are_handed_the_whole_change(r in -2.0..2.0, up in 0.0..3.0, down in -3.0..0.0) {
            let one = |value: f64| Tensor::new(&[value], &Device::Cpu).unwrap();
            let parts = Pair { x: one(up), reference: one(down) };
            let signals = activation(&one(r), &parts, &one(1.0), secants).unwrap().to_vec1::<f64>().unwrap();
            let (positive, negative) = (
                0.5 * (relu(r + up) - relu(r)) + 0.5 * (relu(r + down + up) - relu(r + down)),
                0.5 * (relu(r + down) - relu(r)) + 0.5 * (relu(r + up + down) - relu(r + up)),
            );
            prop_assert!((signals[0] * up - positive).abs() < TOLERANCE);
            prop_assert!((signals[1] * down - negative).abs() < TOLERANCE);
        }
    }
}
