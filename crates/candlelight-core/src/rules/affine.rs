//! Rules at layers with weights: linear layers, convolutions, and the batch norms that are merged into them.

use super::ledger::Account;
use super::ratio::{any_negative, by_sign, over, relevance, signal};
use super::{Bias, Rule, STABILISER, reveal_cancel};
use crate::Bounds;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// A map that is linear in its input and in its weight.
pub(crate) trait Map: Send + Sync {
    /// W·x, for any number of rows.
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// W·x + b.
    fn output(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        plus(self.product(x, weight)?, bias)
    }

    /// Wᵀ·g.
    fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// The weight of what comes out, or goes in, times `scale`, which broadcasts over it as a scale per channel does;
    /// nothing if its axis is not the one that this map mixes.
    fn scaled(&self, weight: &Tensor, scale: &Tensor, side: Side) -> Result<Option<Tensor>>;

    /// Whether it only scales channels, as a batch norm does.
    fn is_scale(&self) -> bool {
        false
    }
}

/// An end of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Inputs,
    Outputs,
}

/// W·x + b, of which a rule may replace W and b.
#[derive(Clone)]
pub(crate) struct Affine {
    map: Arc<dyn Map>,
    weight: Tensor,
    /// Of a shape that broadcasts over the outputs.
    bias: Option<Tensor>,
}

impl Affine {
    /// `bias` must be of a shape that broadcasts over the outputs.
    pub fn new(map: impl Map + 'static, weight: &Tensor, bias: Option<Tensor>) -> Self {
        Self { map: Arc::new(map), weight: weight.detach(), bias: bias.map(|bias| bias.detach()) }
    }

    /// Whether it only scales channels, as a batch norm does.
    pub fn is_scale(&self) -> bool {
        self.map.is_scale()
    }

    /// b, of a shape that broadcasts over the outputs.
    pub fn bias(&self) -> Option<Tensor> {
        self.bias.clone()
    }

    /// W·x + b.
    pub fn output(&self, x: &Tensor) -> Result<Tensor> {
        self.map.output(x, &self.weight, self.bias.as_ref())
    }

    /// This map behind `before`, which was given `input`, as one map; nothing unless one of them only scales channels.
    pub fn behind(&self, before: &Self, input: &Tensor) -> Result<Option<Self>> {
        match (self.is_scale(), before.is_scale()) {
            (true, _) => before.followed_by(self),
            (false, true) => self.preceded_by(before, input),
            (false, false) => Ok(None),
        }
    }

    /// s·(W·x + b) + t = (sW)·x + (sb + t).
    fn followed_by(&self, scale: &Self) -> Result<Option<Self>> {
        let Some(weight) = self.map.scaled(&self.weight, &scale.weight, Side::Outputs)? else {
            return Ok(None);
        };
        let bias = self.bias.as_ref().map(|bias| bias.broadcast_mul(&scale.weight)).transpose()?;
        let bias = match (bias, &scale.bias) {
            (Some(bias), Some(shift)) => Some(bias.broadcast_add(shift)?),
            (bias, shift) => bias.or_else(|| shift.clone()),
        };
        Ok(Some(Self { map: self.map.clone(), weight, bias }))
    }

    /// W·(s·x + t) + b = (Ws)·x + (W·t + b): where W pads with zeros, W·t differs from place to place.
    fn preceded_by(&self, scale: &Self, input: &Tensor) -> Result<Option<Self>> {
        let Some(weight) = self.map.scaled(&self.weight, &scale.weight, Side::Inputs)? else {
            return Ok(None);
        };
        let shift = scale.bias.as_ref().map(|shift| {
            let shift = shift.broadcast_as(input.narrow(0, 0, 1)?.shape())?.contiguous()?;
            self.output(&shift)
        });
        let bias = shift.transpose()?.or_else(|| self.bias.clone());
        Ok(Some(Self { map: self.map.clone(), weight, bias }))
    }

    /// The signal at the inputs `x`, for the signal `g` at the outputs `y`.
    pub fn pull_back(
        &self,
        rule: &Rule,
        (x, y): (&Tensor, &Tensor),
        g: &Tensor,
        book: &Account,
    ) -> Result<Tensor> {
        let back = Back { affine: self, x, book };
        let r = || {
            book.received(y, g)?;
            relevance(y, g)
        };
        let signal = match rule {
            Rule::Epsilon(epsilon, Bias::Absorbs) => back.epsilon(*epsilon, y, g)?,
            Rule::Epsilon(epsilon, Bias::Ignored) => {
                let z = self.product(x, &self.weight)?;
                self.transpose(&back.shares(&r()?, (&z, None), *epsilon, 1.0)?, &self.weight)?
            }
            Rule::Pass => signal(&r()?, x)?,
            Rule::Gamma(gamma) => back.gamma(*gamma, y, &r()?)?,
            Rule::AlphaBeta { alpha, beta } => back.alpha_beta((*alpha, *beta), &r()?)?,
            Rule::ZPlus => back.alpha_beta((1.0, 0.0), &r()?)?,
            Rule::ZBox(bounds) => signal(&back.z_box(bounds, &r()?)?, x)?,
            Rule::WSquare => {
                let bias = self.bias.as_ref().map(Tensor::sqr).transpose()?;
                signal(&back.by_weight(&self.weight.sqr()?, bias.as_ref(), &r()?)?, x)?
            }
            Rule::Flat => signal(&back.by_weight(&self.weight.ones_like()?, None, &r()?)?, x)?,
            Rule::Excitation => back.excitation(&r()?)?,
            Rule::RevealCancel => reveal_cancel::pull_back(self, x, g)?,
            _ => candle_core::bail!("rule `{rule}` has no form at layers with weights"),
        };
        book.passed(x, &signal)?;
        Ok(signal)
    }

    /// The positive and the negative part of the weight.
    pub(super) fn weights(&self) -> Result<[Tensor; 2]> {
        Parts::both(&self.weight)
    }

    pub(super) fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.map.product(x, weight)
    }

    pub(super) fn transpose(&self, g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.map.transpose(g, weight)
    }

    /// The positive and the negative part of the bias.
    fn bias_parts(&self) -> Result<[Option<Tensor>; 2]> {
        Ok(match &self.bias {
            Some(bias) => Parts::both(bias)?.map(Some),
            None => [None, None],
        })
    }
}

/// A layer on the way back: the rules themselves.
struct Back<'a> {
    affine: &'a Affine,
    x: &'a Tensor,
    book: &'a Account,
}

impl Back<'_> {
    fn epsilon(&self, epsilon: f64, y: &Tensor, g: &Tensor) -> Result<Tensor> {
        let s = self.book.share(y, g, epsilon)?;
        if let Some(bias) = &self.affine.bias {
            self.book.constant(bias, &s, 1.0)?;
        }
        self.affine.transpose(&s, &self.affine.weight)
    }

    /// α times the share in the positive contributions less β times that in the negative ones.
    fn alpha_beta(&self, (alpha, beta): (f64, f64), r: &Tensor) -> Result<Tensor> {
        let (x, [up, down]) = (Parts::of(self.x)?, self.affine.weights()?);
        let [positive, negative] = self.affine.bias_parts()?;
        let excited = self.contributions(&x, [&up, &down], positive.as_ref())?;
        let excited = self.flow(&x, [&up, &down], (&excited, positive.as_ref()), (r, alpha))?;
        if beta == 0.0 {
            return Ok(excited);
        }
        let inhibited = self.contributions(&x, [&down, &up], negative.as_ref())?;
        excited + self.flow(&x, [&down, &up], (&inhibited, negative.as_ref()), (r, -beta))?
    }

    /// Outputs above 0 look at w + γw⁺ for positive and w + γw⁻ for negative inputs, outputs below 0 the other way
    /// round; an output of 0 passes nothing.
    fn gamma(&self, gamma: f64, y: &Tensor, r: &Tensor) -> Result<Tensor> {
        let raised = |whole: &Tensor, part: &Tensor| whole + (part * gamma)?;
        let [up, down] = self.affine.weights()?;
        let [positive, negative] = self.affine.bias_parts()?;
        let x = Parts::of(self.x)?;
        // y is the sum of the positive and the negative contributions: one of them is known with the other.
        let excited = self.contributions(&x, [&up, &down], positive.as_ref())?;
        let denominators = [raised(y, &excited)?, raised(y, &(y - &excited)?)?];
        let bias = |part: &Option<Tensor>| -> Result<Option<Tensor>> {
            let pair = self.affine.bias.as_ref().zip(part.as_ref());
            pair.map(|(bias, part)| raised(bias, part)).transpose()
        };
        let bias = [bias(&positive)?, bias(&negative)?];
        let (up, down) = (raised(&self.affine.weight, &up)?, raised(&self.affine.weight, &down)?);
        let (above, below) = by_sign(y, r)?;
        self.flow(&x, [&up, &down], (&denominators[0], bias[0].as_ref()), (&above, 1.0))?
            + self.flow(&x, [&down, &up], (&denominators[1], bias[1].as_ref()), (&below, 1.0))?
    }

    /// u·x⁺ + v·x⁻ + b.
    fn contributions(&self, x: &Parts, [u, v]: [&Tensor; 2], bias: Option<&Tensor>) -> Result<Tensor> {
        let z = self.affine.map.output(&x.positive, u, bias)?;
        match &x.negative {
            Some((negative, _)) => z + self.affine.product(negative, v)?,
            None => Ok(z),
        }
    }

    /// `times` the signal of z = u·x⁺ + v·x⁻ + b, whose relevance is `r`.
    fn flow(
        &self,
        x: &Parts,
        [u, v]: [&Tensor; 2],
        (z, bias): (&Tensor, Option<&Tensor>),
        (r, times): (&Tensor, f64),
    ) -> Result<Tensor> {
        let s = self.shares(r, (z, bias), STABILISER, times)?;
        let s = if times == 1.0 { s } else { (s * times)? };
        let g = self.affine.transpose(&s, u)?;
        match &x.negative {
            Some((_, below)) => below.where_cond(&self.affine.transpose(&s, v)?, &g),
            None => Ok(g),
        }
    }

    /// The relevance of inputs between bounds.
    fn z_box(&self, bounds: &Bounds, r: &Tensor) -> Result<Tensor> {
        let (low, high) = bounds.of_rows(self.x)?;
        let [up, down] = self.affine.weights()?;
        let terms = [(self.x, &self.affine.weight, 1.0), (&low, &up, -1.0), (&high, &down, -1.0)];
        let z = sum(terms.iter().map(|(x, weight, sign)| self.affine.product(x, weight)? * *sign))?;
        let s = self.shares(r, (&z, None), STABILISER, 1.0)?;
        sum(terms.iter().map(|(x, weight, sign)| (self.affine.transpose(&s, weight)? * *x)? * *sign))
    }

    /// The relevance of inputs that count by `weight` alone.
    fn by_weight(&self, weight: &Tensor, bias: Option<&Tensor>, r: &Tensor) -> Result<Tensor> {
        let ones = self.x.narrow(0, 0, 1)?.ones_like()?;
        let z = self.affine.map.output(&ones, weight, bias)?;
        let s = self.shares(r, (&z, bias), STABILISER, 1.0)?;
        self.affine.transpose(&s, weight)
    }

    /// The signal of inputs that excite; an output that none excites passes nothing.
    fn excitation(&self, r: &Tensor) -> Result<Tensor> {
        let (excites, weight) = (self.x.gt(0.0)?, self.affine.weight.relu()?);
        let z = self.affine.product(&self.x.relu()?, &weight)?;
        let s = z.gt(0.0)?.where_cond(&over(r, &z, 0.0)?, &r.zeros_like()?)?;
        let g = self.affine.transpose(&s, &weight)?;
        excites.where_cond(&g, &g.zeros_like()?)
    }

    /// The relevance `r` per unit of the denominators `z`, stabilised, of which `bias` is a part.
    fn shares(
        &self,
        r: &Tensor,
        (z, bias): (&Tensor, Option<&Tensor>),
        epsilon: f64,
        times: f64,
    ) -> Result<Tensor> {
        let s = self.book.over(r, z, epsilon, times)?;
        if let Some(bias) = bias {
            self.book.constant(bias, &s, times)?;
        }
        Ok(s)
    }
}

/// An input by the sign of its elements.
struct Parts {
    positive: Tensor,
    /// The negative part and where it is, if it is anywhere.
    negative: Option<(Tensor, Tensor)>,
}

impl Parts {
    fn of(x: &Tensor) -> Result<Self> {
        if !any_negative(x)? {
            return Ok(Self { positive: x.clone(), negative: None });
        }
        let below = x.lt(0.0)?;
        let [positive, negative] = Self::both(x)?;
        Ok(Self { positive, negative: Some((negative, below)) })
    }

    /// max(x, 0) and min(x, 0).
    fn both(x: &Tensor) -> Result<[Tensor; 2]> {
        let positive = x.relu()?;
        let negative = (x - &positive)?;
        Ok([positive, negative])
    }
}

/// y + b.
pub(crate) fn plus(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

fn sum(mut terms: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let Some(first) = terms.next() else { candle_core::bail!("a sum of nothing") };
    terms.try_fold(first?, |sum, term| sum + term?)
}
