//! Training for the right reasons ([Ross et al. 2017](https://doi.org/10.24963/ijcai.2017/371)): of a scene with two
//! objects, the relevance of a class ([Chefer et al. 2021](https://arxiv.org/abs/2103.15679)) shall lie on its object.
//!
//! Relevance is made of attention A and of the gradient of a logit at it. The gradient of a loss L of both at the weights θ
//! has a second derivative in it, which candle does not have: ∂L/∂∇A · ∂(∇A)/∂θ. With u = ∂L/∂∇A it is the gradient of the
//! logit's slope in the direction u, and that a difference of two passes: [f(A + h·u) − f(A − h·u)] / 2h.

use crate::open::{OpenViT, Pass};
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Error, IndexOp, Result, Tensor, Var};

/// How far attention is nudged: the length of the nudge of one image over all blocks.
const REACH: f64 = 0.05;
/// Added to masses of relevance before their ratio is taken.
const LITTLE: f64 = 1e-4;
/// Longest gradient of one image at its slopes that counts as it is.
const LONGEST: f64 = 10.0;
/// Weight of the relevance that lies on no object, beside that on the other one.
const BACKGROUND: f64 = 0.2;

/// Images, the class asked about, and where its object and the other lie.
pub struct Asked {
    /// `[N, C, H, W]`.
    pub x: Tensor,
    /// 1 for the class, `[N, classes]`.
    pub target: Tensor,
    /// The share of every token that the class's object covers, `[N, T]`.
    pub own: Tensor,
    /// That of the other object.
    pub other: Tensor,
}

/// A loss that is linear in attention and in its gradient, and has the gradient of that which it stands for.
pub struct Guidance {
    /// In how many of the images more relevance lies on the own object than on the other.
    pub told: f64,
    by_attention: Vec<Tensor>,
    nudges: Vec<Tensor>,
    /// Of the gradient at the slopes, `[N]`.
    lengths: Tensor,
}

impl Guidance {
    /// Looks at the relevance that `net`, whose weights are frozen, has for what is asked.
    pub fn of(net: &OpenViT, asked: &Asked) -> Result<Self> {
        let (attention, slopes) = attended(net, asked)?;
        let row = relevance(&attention, &slopes)?;
        let own = ((&row * &asked.own)?.sum(1)? + LITTLE)?;
        let other = ((&row * &asked.other)?.sum(1)? + LITTLE)?;
        let all = (row.i((.., 1..))?.sum(1)? + 2.0 * LITTLE)?;
        let surprise = |share: Tensor| share.log()?.neg();
        let loss = (surprise((&own / (&own + &other)?)?)? + (surprise((&own / all)?)? * BACKGROUND)?)?;
        let gradients = loss.sum_all()?.backward()?;
        let by_slope = at(&gradients, &slopes)?;
        let lengths = lengths(&by_slope)?;
        let scale = (lengths.recip()? * REACH)?.reshape(((), 1, 1, 1))?;
        Ok(Self {
            told: own.gt(&other)?.to_dtype(DType::F64)?.mean_all()?.to_scalar::<f64>()?,
            by_attention: at(&gradients, &attention)?,
            nudges: by_slope.iter().map(|u| u.broadcast_mul(&scale)).collect::<Result<_>>()?,
            lengths: lengths.clamp(0.0, LONGEST)?,
        })
    }

    /// The nudges of a batch of `plain` images, which begins with those looked at, followed by these twice again: nudged
    /// forward, and back.
    pub fn nudges(&self, plain: usize) -> Result<Vec<Tensor>> {
        let batch = |u: &Tensor| {
            let (_, heads, tokens, _) = u.dims4()?;
            let still = Tensor::zeros((plain, heads, tokens, tokens), u.dtype(), u.device())?;
            Tensor::cat(&[&still, u, &u.neg()?], 0)
        };
        self.nudges.iter().map(batch).collect()
    }

    /// Of the pass of such a batch, the mean whose gradient is that of the loss.
    pub fn surrogate(&self, pass: &Pass, asked: &Asked) -> Result<Tensor> {
        let n = asked.x.dim(0)?;
        let plain = pass.logits.dim(0)? - 2 * n;
        let score = |from: usize| (pass.logits.narrow(0, from, n)? * &asked.target)?.sum(D::Minus1);
        let turned = ((score(plain)? - score(plain + n)?)? * &self.lengths)?.sum_all()?;
        let mut sum = (turned / (2.0 * REACH))?;
        for (attention, by) in pass.attention.iter().zip(&self.by_attention) {
            sum = (sum + (attention.narrow(0, 0, n)? * by)?.sum_all()?)?;
        }
        sum / n as f64
    }
}

/// Attention of every block and the gradient of the logits asked about at it, as variables.
fn attended(net: &OpenViT, asked: &Asked) -> Result<(Vec<Var>, Vec<Var>)> {
    let still = net.still(asked.x.dim(0)?)?;
    let nudges: Vec<Tensor> = still.iter().map(|nudge| nudge.as_tensor().clone()).collect();
    let pass = net.forward(&asked.x, &nudges)?;
    let gradients = (&pass.logits * &asked.target)?.sum_all()?.backward()?;
    let variables = |tensors: &[Tensor]| tensors.iter().map(|x| Var::from_tensor(&x.detach())).collect();
    let (attention, slopes): (Result<Vec<Var>>, Result<Vec<Var>>) =
        (variables(&pass.attention), variables(&at(&gradients, &still)?));
    Ok((attention?, slopes?))
}

/// The gradients at some variables.
fn at(gradients: &GradStore, variables: &[Var]) -> Result<Vec<Tensor>> {
    let missing = || Error::msg("the relevance does not depend on the attention of a block");
    variables.iter().map(|variable| Ok(gradients.get(variable).ok_or_else(missing)?.detach())).collect()
}

/// The length of what each image has in all tensors, `[N]`; a little more, so that it is not zero.
fn lengths(tensors: &[Tensor]) -> Result<Tensor> {
    let squares = tensors.iter().map(|u| u.sqr()?.flatten_from(1)?.sum(1)).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&squares, 0)?.sum(0)?.sqrt()? + 1e-12
}

/// The class token's row of the relevance, `[N, T]`.
fn relevance(attention: &[Var], slopes: &[Var]) -> Result<Tensor> {
    let (n, _, tokens, _) = attention[0].dims4()?;
    let eye = Tensor::eye(tokens, attention[0].dtype(), attention[0].device())?;
    let mut sum = eye.broadcast_as((n, tokens, tokens))?.contiguous()?;
    for (attention, slope) in attention.iter().zip(slopes) {
        let heads = (attention.as_tensor() * slope.as_tensor())?.relu()?.mean(1)?;
        sum = (&sum + heads.matmul(&sum)?)?;
    }
    sum.i((.., 0))?.contiguous()
}
