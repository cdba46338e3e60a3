//! Images with some of their pixels replaced, on their way through the model.

use crate::{Result, Subject};
use candle_core::Tensor;
use candlelight_core::{Baseline, Cost, Evaluation, Output};

/// What the model says of the rows, and of versions of them.
pub(crate) struct Replaced {
    /// The score of each row.
    pub(crate) whole: Vec<f64>,
    /// For each row the scores of its versions.
    pub(crate) answers: Vec<Vec<f64>>,
    pub(crate) cost: Cost,
}

/// The scores of `versions` versions of every row, in units of `output`: `kept(row, version)` says of every pixel, 1 or
/// 0, whether it is the row's or that of `baseline`, in all channels.
pub(crate) fn replace(
    subject: &Subject,
    (output, baseline): (Output, &Baseline),
    versions: usize,
    kept: impl Fn(usize, usize) -> Vec<u8>,
) -> Result<Replaced> {
    let query = subject.query.clone().output(output);
    let input = query.input();
    let (rows, channels, height, width) = input.dims4()?;
    let mut evaluation = Evaluation::new(subject.model, &query, rows * versions)?;
    let other = evaluation.baseline(baseline)?;
    let jobs: Vec<usize> = (0..rows).flat_map(|row| std::iter::repeat_n(row, versions)).collect();
    let version = |job: usize| {
        let row = job / versions;
        let kept = Tensor::from_vec(kept(row, job % versions), (1, height, width), input.device())?;
        kept.broadcast_as((channels, height, width))?.where_cond(&input.get(row)?, &other.get(row)?)
    };
    let answers = evaluation.answers(&jobs, |range| {
        Ok(Tensor::stack(&range.map(version).collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    })?;
    let scores: Vec<f64> = answers.iter().map(|answer| answer.score).collect();
    Ok(Replaced {
        whole: evaluation.whole().iter().map(|answer| answer.score).collect(),
        answers: scores.chunks(versions.max(1)).map(<[f64]>::to_vec).collect(),
        cost: evaluation.cost(),
    })
}
