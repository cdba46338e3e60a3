//! DeepLIFT's Rescale rule ([Shrikumar et al. 2017](https://arxiv.org/abs/1704.02685)) for operations that are no
//! function of one number: multipliers m with Σ m·Δx = Σ g·Δy exactly, equal to the gradient where nothing changes.
//!
//! A product changes by its factors' changes at the middle of the other: Δ(ab) = Δa·b̄ + ā·Δb. Everything here is made
//! of that, of linear maps, and of functions of one number.

use super::pair::{Pair, both};
use crate::nn::mean_exponential;
use crate::vjp::vjp_of_fresh;
use candle_core::{D, Result, Tensor};

/// The multipliers of the logits of a softmax over the last axis, from those (`g`) of its probabilities.
///
/// With the logarithmic mean L(a, b) = (a − b) / (ln a − ln b), Δp = L(p, p′)·Δ ln p, and ln p = x − ln Z, where
/// Δ ln Z = Σ q·Δx with q = L(eˣ, eˣ′) / L(Z, Z′): the softmax's gradient with means in place of p.
///
/// # Shapes
/// `x` and `g` `[…, classes]`.
pub(crate) fn softmax(x: &Pair, g: &Tensor) -> Result<Tensor> {
    let normaliser = x.map(|x| x.log_sum_exp(D::Minus1)?.unsqueeze(D::Minus1))?;
    let mean =
        log_mean(&x.x.broadcast_sub(&normaliser.x)?, &x.reference.broadcast_sub(&normaliser.reference)?)?;
    let top = normaliser.x.maximum(&normaliser.reference)?;
    let share = log_mean(&x.x.broadcast_sub(&top)?, &x.reference.broadcast_sub(&top)?)?
        .broadcast_div(&log_mean(&(&normaliser.x - &top)?, &(&normaliser.reference - &top)?)?)?;
    let weighted = (g * mean)?;
    &weighted - share.broadcast_mul(&weighted.sum_keepdim(D::Minus1)?)?
}

/// L(eᵃ, eᵇ) = e^max(a, b) · (1 − e^−|a − b|) / |a − b|.
fn log_mean(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.maximum(b)?.exp()? * mean_exponential(&(a - b)?.abs()?)?
}

/// The multipliers of rows that are divided by √(mean square + eps), from those (`g`) of the quotients y = x·s:
/// Δy = Δx·s̄ + x̄·Δs, and Δs = −s²s′²/(s + s′)·Δ(mean square), of which Δ(x²) = 2x̄·Δx.
///
/// # Shapes
/// `x` and `g` `[…, features]`.
pub(crate) fn unit_rows(x: &Pair, g: &Tensor, eps: f64) -> Result<Tensor> {
    let scale = x.map(|x| (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip())?;
    let slope = ((&scale.x * &scale.reference)?.sqr()? / (&scale.x + &scale.reference)?)?;
    let middle = x.middle()?;
    let along = ((g * &middle)?.mean_keepdim(D::Minus1)? * slope)? * 2.0;
    g.broadcast_mul(&scale.middle()?)? - middle.broadcast_mul(&along?)?
}

/// The multipliers of both factors of a matrix product, from those (`g`) of the product.
///
/// # Shapes
/// `a` `[…, n, k]`, `b` `[…, k, m]`, `g` `[…, n, m]`.
fn matmul(a: &Pair, b: &Pair, g: &Tensor) -> Result<(Tensor, Tensor)> {
    let transposed = |x: &Pair| x.middle()?.transpose(D::Minus2, D::Minus1)?.contiguous();
    Ok((g.matmul(&transposed(b)?)?, transposed(a)?.matmul(g)?))
}

/// a·b, element by element, of batches of pairs.
pub(crate) fn product_of_pairs(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (left, right) = (a.detach(), b.detach());
    vjp_of_fresh(&[a, b], (&left * &right)?, move |_, g| {
        let (a, b) = product(&Pair::of(&left)?, &Pair::of(&right)?, &Pair::of(g)?.x)?;
        Ok(vec![Some(both(&a)?), Some(both(&b)?)])
    })
}

/// The matrix product a·b of batches of pairs.
pub(crate) fn matmul_of_pairs(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (left, right) = (a.detach(), b.detach());
    vjp_of_fresh(&[a, b], left.matmul(&right)?, move |_, g| {
        let (a, b) = matmul(&Pair::of(&left)?, &Pair::of(&right)?, &Pair::of(g)?.x.contiguous()?)?;
        Ok(vec![Some(both(&a)?), Some(both(&b)?)])
    })
}

/// The multipliers of both factors of a product of elements, from those (`g`) of the product.
fn product(a: &Pair, b: &Pair, g: &Tensor) -> Result<(Tensor, Tensor)> {
    Ok(((g * b.middle()?)?, (g * a.middle()?)?))
}

/// The signal behind a max pool of batches of pairs, `x` before and `y` behind it, from `g`: what a window gains over its
/// reference it owes to the input's winner, what it loses to the reference's. A winner that is what it was in the
/// reference passes nothing: windows of dead units tie, and the first of them is no more its winner than the others.
///
/// `to_winners` hands a gradient of `y` to where its maxima come from.
pub(crate) fn max_pool(
    x: &Tensor,
    y: &Tensor,
    g: &Tensor,
    to_winners: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (gap, change, g) = (Pair::of(x)?.difference()?, Pair::of(y)?.difference()?, Pair::of(g)?.x);
    let owed = Pair { x: (&g * change.maximum(0.0)?)?, reference: (&g * change.minimum(0.0)?)? };
    let handed = Pair::of(&to_winners(&owed.joined()?)?)?;
    let apart = gap.ne(0.0)?;
    both(&((handed.x + handed.reference)? / apart.where_cond(&gap, &gap.ones_like()?)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use proptest::prelude::*;

    /// Rounding of sums of some dozen products of some units.
    const TOLERANCE: f64 = 1e-12;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    fn sum(x: &Tensor) -> f64 {
        x.sum_all().unwrap().to_scalar().unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// Σ g·Δy − Σ m·Δx.
    fn missing(f: impl Fn(&Tensor) -> Result<Tensor>, x: &Pair, g: &Tensor, m: &Tensor) -> Result<f64> {
        let change = (f(&x.x)? - f(&x.reference)?)?;
        Ok((sum(&(g * change)?) - sum(&(m * x.difference()?)?)).abs())
    }

    /// The gradient of Σ g·f.
    fn gradient(f: impl Fn(&Tensor) -> Result<Tensor>, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        let x = Var::from_tensor(x)?;
        let gradients = (f(&x)? * g)?.sum_all()?.backward()?;
        Ok(gradients.get(&x).unwrap().clone())
    }

    fn rms(x: &Tensor) -> Result<Tensor> {
        x.broadcast_div(&(x.sqr()?.mean_keepdim(D::Minus1)? + 0.01)?.sqrt()?)
    }

    fn probabilities(x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::softmax(x, D::Minus1)
    }

    fn values(count: usize, largest: f64) -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-largest..largest, count)
    }

    proptest! {
        #[test]
        fn a_softmax_hands_down_its_whole_change(x in values(8, 30.0), r in values(8, 30.0), g in values(8, 2.0)) {
            let pair = Pair { x: tensor(&x, &[2, 4]), reference: tensor(&r, &[2, 4]) };
            let g = tensor(&g, &[2, 4]);
            let m = softmax(&pair, &g).unwrap();
            prop_assert!(missing(probabilities, &pair, &g, &m).unwrap() < TOLERANCE);
        }

        #[test]
        fn unit_rows_hand_down_their_whole_change(x in values(8, 3.0), r in values(8, 3.0), g in values(8, 2.0)) {
            let pair = Pair { x: tensor(&x, &[2, 4]), reference: tensor(&r, &[2, 4]) };
            let g = tensor(&g, &[2, 4]);
            let m = unit_rows(&pair, &g, 0.01).unwrap();
            prop_assert!(missing(rms, &pair, &g, &m).unwrap() < 10.0 * TOLERANCE);
        }

        #[test]
        fn products_hand_down_their_whole_change(a in values(12, 2.0), b in values(12, 2.0), g in values(4, 2.0)) {
            let half = |v: &[f64], shape: &[usize], index: usize| tensor(&v[index * 6..][..6], shape);
            let a = Pair { x: half(&a, &[2, 3], 0), reference: half(&a, &[2, 3], 1) };
            let b = Pair { x: half(&b, &[3, 2], 0), reference: half(&b, &[3, 2], 1) };
            let g = tensor(&g, &[2, 2]);
            let (ma, mb) = matmul(&a, &b, &g).unwrap();
            let change = (a.x.matmul(&b.x).unwrap() - a.reference.matmul(&b.reference).unwrap()).unwrap();
            let handed = sum(&(ma * a.difference().unwrap()).unwrap()) + sum(&(mb * b.difference().unwrap()).unwrap());
            prop_assert!((sum(&(g * change).unwrap()) - handed).abs() < TOLERANCE);
        }

        #[test]
        fn where_nothing_changes_the_multipliers_are_the_gradient(x in values(8, 3.0), g in values(8, 2.0), tiny in 0.0..1e-13) {
            let x = tensor(&x, &[2, 4]);
            let g = tensor(&g, &[2, 4]);
            let pair = Pair { reference: x.affine(1.0, tiny).unwrap(), x };
            let m = softmax(&pair, &g).unwrap();
            prop_assert!(apart(&m, &gradient(probabilities, &pair.x, &g).unwrap()) < TOLERANCE);
            let m = unit_rows(&pair, &g, 0.01).unwrap();
            prop_assert!(apart(&m, &gradient(rms, &pair.x, &g).unwrap()) < 100.0 * TOLERANCE);
        }
    }

    #[test]
    fn logits_that_are_far_apart_neither_overflow_nor_lose_their_change() -> Result<()> {
        let pair = Pair {
            x: tensor(&[800.0, -900.0, 0.0], &[1, 3]),
            reference: tensor(&[-700.0, 5.0, 4.0], &[1, 3]),
        };
        let g = tensor(&[1.0, -2.0, 0.5], &[1, 3]);
        let m = softmax(&pair, &g)?;
        assert!(missing(probabilities, &pair, &g, &m)? < TOLERANCE, "{m}");
        Ok(())
    }

    #[test]
    fn all_logits_raised_alike_change_no_probability_and_hand_down_nothing() -> Result<()> {
        let x = tensor(&[0.3, -1.0, 2.0], &[1, 3]);
        let pair = Pair { reference: x.affine(1.0, -5.0)?, x };
        let m = softmax(&pair, &tensor(&[1.0, 0.0, 0.0], &[1, 3]))?;
        assert!(sum(&m).abs() < TOLERANCE);
        Ok(())
    }

    /// Windows of two with stride one over a row of four.
    fn windows(x: &[f64]) -> Vec<(f64, usize)> {
        (0..3).map(|i| if x[i] >= x[i + 1] { (x[i], i) } else { (x[i + 1], i + 1) }).collect()
    }

    /// The rule from its definition: window by window, element by element.
    fn naive_max_pool(x: &[f64], r: &[f64], g: &[f64]) -> Vec<f64> {
        let mut handed = vec![0.0; 4];
        for (((y, winner), (y0, winner0)), g) in windows(x).into_iter().zip(windows(r)).zip(g) {
            handed[if y > y0 { winner } else { winner0 }] += g * (y - y0);
        }
        handed
    }

    proptest! {
        #[test]
        fn a_max_pool_hands_its_change_to_the_winners(x in values(4, 1.0), r in values(4, 1.0), g in values(3, 1.0)) {
            let to = |source: &[f64], g: &[f64]| {
                let mut out = vec![0.0; 4];
                windows(source).iter().zip(g).for_each(|((_, winner), g)| out[*winner] += g);
                out
            };
            let to_winners = |g: &Tensor| {
                let g = g.to_vec2::<f64>()?;
                Ok(tensor(&[to(&x, &g[0]), to(&r, &g[1])].concat(), &[2, 4]))
            };
            let pool = |v: &[f64]| windows(v).iter().map(|w| w.0).collect::<Vec<_>>();
            let pair = Pair { x: tensor(&x, &[1, 4]), reference: tensor(&r, &[1, 4]) };
            let pooled = tensor(&[pool(&x), pool(&r)].concat(), &[2, 3]);
            let g = [&g[..], &[0.0; 3]].concat();
            let m = max_pool(&pair.joined().unwrap(), &pooled, &tensor(&g, &[2, 3]), to_winners).unwrap();
            let handed = (Pair::of(&m).unwrap().x * pair.difference().unwrap()).unwrap();
            prop_assert!(apart(&handed, &tensor(&naive_max_pool(&x, &r, &g), &[1, 4])) < TOLERANCE);
        }
    }
}
