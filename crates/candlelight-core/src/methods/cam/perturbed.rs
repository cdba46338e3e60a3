//! Maps weighted by what the score does when they are shown alone, or taken away.

use super::{Asked, ClassActivation, Maps, Passes, Weighting};
use crate::methods::layer::Wanted;
use crate::{Result, Upsampling};
use candle_core::Tensor;
use std::ops::Range;

/// What pytorch-grad-cam adds to a map's range before it divides by it.
const RANGE: f64 = 1e-8;

/// A = Σₖ wₖ·Aₖ with w the softmax over the channels of f(x ∘ Mₖ), Mₖ the map Aₖ brought to the image and from 0 to 1
/// ([Wang et al. 2019](https://arxiv.org/abs/1910.01279); the score of the paper's baseline is the same for all channels
/// and leaves the softmax as it is). It needs no gradient, and a pass for every channel.
///
/// **When not to use it:** where a masked image is nothing that the model knows: zero is the mean colour for most, and
/// what the mask leaves may look like another class. A softmax over hundreds of scores is flat where they are small and
/// one channel where they are large: the map depends on the units of the score. And where 2048 passes are too many:
/// [`AblationCam`] asks only the part of the model above the layer.
///
/// # Example
/// ```
/// use candlelight_core::ScoreCam;
///
/// let method = ScoreCam::at("layer4");
/// ```
pub type ScoreCam = ClassActivation<Score>;

/// A = Σₖ wₖ·Aₖ with wₖ = f(x) − f(x without Aₖ), the channel set to zero
/// ([Ramaswamy and Desai 2020](https://doi.org/10.1109/WACV45572.2020.9093360)
/// divide by f(x), which turns the map round where that is negative). It needs no gradient: channels that are taken away
/// are so in a batch, and where nothing but rows of the same image meets them, what lies below the layer runs once for
/// each batch.
///
/// **When not to use it:** at layers for whose channels zero is not "absent", as in front of a rectifier or behind a
/// normalisation; and where channels stand in for each other, so that taking one away changes nothing.
pub type AblationCam = ClassActivation<Ablation>;

/// The weighting of [`ScoreCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    upsampling: Upsampling,
}

/// The weighting of [`AblationCam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Ablation;

impl ScoreCam {
    /// How the masks are brought to the image; where their cells look, unless said.
    pub fn upsampling(self, upsampling: Upsampling) -> Self {
        Self { weighting: Score { upsampling }, ..self }
    }
}

impl Weighting for Score {
    const NAME: &'static str = "score-cam";
    const WANTED: Wanted = Wanted::Activation;
    const PASSES: Passes = Passes::PerChannel;

    fn weigh(&self, maps: &Maps, asked: &mut Asked) -> Result<Tensor> {
        let input = asked.run.input();
        let (_, _, height, width) = input.dims4()?;
        let scores = asked.of_channels(maps, |asked, row, channels| {
            let maps_of_row =
                maps.activation().narrow(0, row, 1)?.narrow(1, channels.start, channels.len())?;
            let brought =
                self.upsampling.resize(&maps_of_row.contiguous()?, maps.placement(), height, width)?;
            let masks = from_zero_to_one(&brought.transpose(0, 1)?)?;
            let points = input.narrow(0, row, 1)?.broadcast_mul(&masks)?;
            asked.run.scores(&points, &vec![row; channels.len()], &asked.prediction.target)
        })?;
        weighted(maps.activation(), scores.into_iter().map(softmax).collect())
    }
}

impl Weighting for Ablation {
    const NAME: &'static str = "ablation-cam";
    const WANTED: Wanted = Wanted::Activation;
    const PASSES: Passes = Passes::PerChannel;

    fn weigh(&self, maps: &Maps, asked: &mut Asked) -> Result<Tensor> {
        let input = asked.run.input();
        let without = asked.of_channels(maps, |asked, row, channels| {
            let versions = without(&maps.output().narrow(0, row, 1)?, channels)?;
            let point = input.narrow(0, row, 1)?.contiguous()?;
            asked.run.scores_above(maps.name(), (&point, &versions), row, &asked.prediction.target)
        })?;
        let whole = &asked.prediction.scores;
        let drops = without.into_iter().zip(whole);
        let drops = drops.map(|(without, whole)| without.into_iter().map(|score| whole - score).collect());
        weighted(maps.activation(), drops.collect())
    }
}

impl Asked<'_, '_> {
    /// Scores of every row and channel; `score` gives them for some channels of one row.
    fn of_channels(
        &mut self,
        maps: &Maps,
        mut score: impl FnMut(&mut Self, usize, Range<usize>) -> Result<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>> {
        let (rows, channels, _, _) = maps.activation().dims4()?;
        let mut scores = vec![Vec::with_capacity(channels); rows];
        for (row, scores) in scores.iter_mut().enumerate() {
            for range in self.run.batches(channels) {
                scores.extend(score(self, row, range)?);
            }
        }
        Ok(scores)
    }
}

/// The maps, each times its weight: `weights` has a list for each row.
fn weighted(maps: &Tensor, weights: Vec<Vec<f64>>) -> Result<Tensor> {
    let weights = Tensor::new(weights, maps.device())?.to_dtype(maps.dtype())?;
    Ok(maps.broadcast_mul(&weights.unsqueeze(2)?.unsqueeze(3)?)?)
}

/// Every map less its smallest value, over its range.
fn from_zero_to_one(maps: &Tensor) -> Result<Tensor> {
    let flat = maps.flatten_from(1)?;
    let (least, most) = (flat.min_keepdim(1)?, flat.max_keepdim(1)?);
    let range = ((most - &least)? + RANGE)?;
    Ok(flat.broadcast_sub(&least)?.broadcast_div(&range)?.reshape(maps.shape())?)
}

/// A row's output of a layer once for each of `channels`, which is zero there: maps `[1, C, h, w]` or tokens `[1, T, C]`.
fn without(output: &Tensor, channels: Range<usize>) -> Result<Tensor> {
    let axis = if output.rank() == 3 { 2 } else { 1 };
    let all = output.dim(axis)?;
    let kept: Vec<f64> =
        channels.clone().flat_map(|out| (0..all).map(move |k| f64::from(u8::from(k != out)))).collect();
    let mut shape = vec![1; output.rank()];
    (shape[0], shape[axis]) = (channels.len(), all);
    let kept = Tensor::from_vec(kept, shape, output.device())?.to_dtype(output.dtype())?;
    Ok(output.broadcast_mul(&kept)?)
}

fn softmax(scores: Vec<f64>) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
