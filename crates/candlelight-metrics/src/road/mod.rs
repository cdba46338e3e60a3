//! Remove and Debias.

mod impute;

use crate::ablation::check_shares;
use crate::saliency::{image, order, pixels, signed};
use crate::{Curve, Error, Measured, Metric, Result, Subject};
use candle_core::{DType, Tensor};
use candlelight_core::{Cost, Evaluation, Output, Query};
use impute::impute;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// ROAD, Remove and Debias: the most salient pixels are replaced by what their neighbours suggest, with a little noise,
/// so that where they were cannot be seen; the curve is the softmax probability of the target's class over the share
/// replaced, the number the share of steps at which that class is still the likeliest
/// ([Rong et al. 2022](https://arxiv.org/abs/2202.00449)). Lower is better with the most relevant first, higher with the
/// least relevant first.
///
/// A replaced pixel is the mean of its neighbours, of weight 1/6 beside it and 1/12 across, those outside the image left
/// out; all are solved for together, each channel by itself, by conjugate gradients in double precision on the host.
///
/// Only the order of the pixels counts: multiplying a map by a positive number changes nothing, and ties go to the first
/// pixel.
///
/// **When not to use it:** beyond half of the image: what is left to impute from says little, and every map looks alike.
/// Where every pixel is removed nothing is left at all, and zeros stand in their place.
///
/// # Shapes
/// Input `[N, C, H, W]`; maps of another size are brought to it.
#[derive(Clone, Debug)]
pub struct Road {
    shares: Vec<f64>,
    first: First,
    ranking: Ranking,
    removing: Removing,
    noise: f64,
    drawn: Option<Tensor>,
}

/// Which pixels are removed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum First {
    /// The most relevant ones (MoRF).
    #[default]
    Most,
    /// The least relevant ones (LeRF).
    Least,
}

/// What makes a pixel relevant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// The magnitudes of the map, summed over channels.
    #[default]
    Magnitude,
    /// The map itself, summed over channels.
    Signed,
}

/// How a share becomes pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removing {
    /// So many of them, rounded down; of equal ones the first (the paper and Quantus).
    #[default]
    Count,
    /// All that are at least as relevant as the quantile, linear between ranks (pytorch-grad-cam).
    Quantile,
}

/// What became of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Removed {
    /// The target's class; none for a score of one's own.
    pub class: Option<usize>,
    /// The probability of the target's class in the whole image.
    pub whole: f64,
    /// At each share the probability of the target's class.
    pub probabilities: Vec<f64>,
    /// At each share the likeliest class.
    pub top: Vec<usize>,
}

impl Removed {
    /// The share of steps at which the target's class is still the likeliest.
    fn kept(&self) -> Option<f64> {
        let class = self.class?;
        Some(self.top.iter().filter(|top| **top == class).count() as f64 / self.top.len() as f64)
    }
}

impl Default for Road {
    /// 10, 20, 30, 40, 50, 70 and 90 % of the pixels, the most relevant first, noise of 0.01.
    fn default() -> Self {
        Self {
            shares: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9],
            first: First::default(),
            ranking: Ranking::default(),
            removing: Removing::default(),
            noise: 0.01,
            drawn: None,
        }
    }
}

impl Road {
    /// Which shares of the pixels are removed, from 0 to 1.
    pub fn shares(self, shares: impl Into<Vec<f64>>) -> Self {
        Self { shares: shares.into(), ..self }
    }

    /// Which pixels go first.
    pub fn first(self, first: First) -> Self {
        Self { first, ..self }
    }

    /// What makes a pixel relevant.
    pub fn ranking(self, ranking: Ranking) -> Self {
        Self { ranking, ..self }
    }

    /// How a share becomes pixels.
    pub fn removing(self, removing: Removing) -> Self {
        Self { removing, ..self }
    }

    /// The standard deviation of the noise on replaced values, in units of the input.
    pub fn noise(self, noise: f64) -> Self {
        Self { noise, ..self }
    }

    /// Standard normal numbers to use instead of drawing them, `[shares, N, C, pixels]`: the k-th is that of the k-th
    /// pixel removed.
    pub fn drawn(self, numbers: &Tensor) -> Self {
        Self { drawn: Some(numbers.clone()), ..self }
    }

    /// What became of every row, and what it cost.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Shape`], [`Error::NotFinite`]; those of the model.
    pub fn removed(&self, subject: &Subject) -> Result<(Vec<Removed>, Cost)> {
        check_shares("shares of the pixels", &self.shares)?;
        let query = subject.query.clone().output(Output::Probability);
        let (rows, steps) = (query.input().dims()[0], self.shares.len());
        let orders = self.orders(subject)?;
        let mut evaluation = Evaluation::new(subject.model, &query, rows * steps)?;
        let jobs: Vec<usize> = (0..rows).flat_map(|row| std::iter::repeat_n(row, steps)).collect();
        let answers = evaluation.answers(&jobs, |range| {
            let jobs: Vec<_> = range.map(|job| (job / steps, job % steps)).collect();
            Ok(self.versions(&query, &orders, &jobs)?)
        })?;
        let classes = evaluation.classes();
        let rows = evaluation.whole().iter().zip(answers.chunks(steps)).enumerate();
        let rows = rows.map(|(row, (whole, answers))| Removed {
            class: classes.get(row).copied(),
            whole: whole.score,
            probabilities: answers.iter().map(|answer| answer.score).collect(),
            top: answers.iter().map(|answer| answer.top).collect(),
        });
        Ok((rows.collect(), evaluation.cost()))
    }

    /// For every row and share the pixels that are removed, in their order.
    fn orders(&self, subject: &Subject) -> Result<Vec<Vec<Vec<usize>>>> {
        let size = image(subject.query.input())?;
        let relevance = match self.ranking {
            Ranking::Magnitude => pixels(subject.attribution, size)?,
            Ranking::Signed => signed(subject.attribution, size)?,
        };
        let turned = |mut values: Vec<f64>| {
            if self.first == First::Least {
                values.iter_mut().for_each(|value| *value = -*value);
            }
            values
        };
        let of_row = |values: Vec<f64>| {
            let order = order(&values);
            self.shares.iter().map(|&share| self.taken(&values, &order, share)).collect()
        };
        Ok(relevance.into_iter().map(|values| of_row(turned(values))).collect())
    }

    /// The first pixels of `order` that make up a share.
    fn taken(&self, values: &[f64], order: &[usize], share: f64) -> Vec<usize> {
        let pixels = values.len();
        let count = match self.removing {
            Removing::Count => (share * pixels as f64).floor() as usize,
            Removing::Quantile => {
                let rank = share * (pixels - 1) as f64;
                let (low, high) = (values[order[rank.floor() as usize]], values[order[rank.ceil() as usize]]);
                let limit = low + (high - low) * rank.fract();
                order.iter().take_while(|&&pixel| values[pixel] >= limit).count()
            }
        };
        order[..count].to_vec()
    }

    /// Rows with some of their pixels replaced, `[jobs, C, H, W]`: a job is a row and a step.
    fn versions(
        &self,
        query: &Query,
        orders: &[Vec<Vec<usize>>],
        jobs: &[(usize, usize)],
    ) -> candle_core::Result<Tensor> {
        let (_, channels, height, width) = query.input().dims4()?;
        let rows = jobs.iter().map(|&(row, _)| query.input().narrow(0, row, 1));
        let x = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let mut removed = vec![false; jobs.len() * height * width];
        for (&(row, step), removed) in jobs.iter().zip(removed.chunks_exact_mut(height * width)) {
            orders[row][step].iter().for_each(|&pixel| removed[pixel] = true);
        }
        let imputed = impute(&x, &removed)?;
        if self.noise == 0.0 {
            return Ok(imputed);
        }
        let mut noise = vec![0.0; channels * removed.len()];
        for (&(row, step), noise) in jobs.iter().zip(noise.chunks_exact_mut(channels * height * width)) {
            let order = &orders[row][step];
            for (numbers, plane) in
                self.noise_of(query, (row, step), order)?.iter().zip(noise.chunks_exact_mut(height * width))
            {
                order.iter().zip(numbers).for_each(|(&pixel, number)| plane[pixel] = self.noise * number);
            }
        }
        imputed + Tensor::from_vec(noise, x.shape(), x.device())?.to_dtype(x.dtype())?
    }

    /// For every channel a standard normal number for each pixel of `order`.
    fn noise_of(
        &self,
        query: &Query,
        (row, step): (usize, usize),
        order: &[usize],
    ) -> candle_core::Result<Vec<Vec<f64>>> {
        match &self.drawn {
            Some(drawn) => drawn.get(step)?.get(row)?.to_dtype(DType::F64)?.to_vec2(),
            None => Ok(normal(query.key(row, step as u64), (query.input().dim(1)?, order.len()))),
        }
    }
}

/// Standard normal numbers, `[channels][pixels]`.
fn normal(key: [u8; 32], (channels, pixels): (usize, usize)) -> Vec<Vec<f64>> {
    let mut stream = ChaCha8Rng::from_seed(key);
    (0..channels).map(|_| (0..pixels).map(|_| StandardNormal.sample(&mut stream)).collect()).collect()
}

impl Metric for Road {
    fn name(&self) -> &'static str {
        "road"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        let (rows, cost) = self.removed(subject)?;
        let values = rows.iter().map(Removed::kept).collect::<Option<Vec<_>>>();
        let values = values.ok_or(Error::Missing { metric: "road", what: "a target that is a class" })?;
        let curve = |row: Removed| Curve { at: self.shares.clone(), values: row.probabilities };
        Ok(Measured { values, curves: rows.into_iter().map(curve).collect(), cost })
    }
}
