//! Occlusion: what the score loses where a window of the input is covered.

mod windows;

pub(crate) use windows::Windows;

use crate::features::Players;
use crate::perturb::Calls;
use crate::{Attribution, Baseline, Convergence, Explain, Model, Query, Result, Reuse};
use candlelight_kernels::chain::Together;

/// A = mean over the windows w that cover an element of f(x) − f(x with w covered)
/// ([Zeiler and Fergus 2013](https://arxiv.org/abs/1311.2901)): a window slides over the input, any number of axes wide,
/// and the baseline's values stand in its place. The last window of an axis is cut off where the input ends. A window of
/// 1 covers single values (occlusion-1), a stride as wide as the window covers patches.
///
/// **When not to use it:** where the evidence is larger than the window, or comes twice: what is left tells the model
/// enough, and the map says nothing. The size of the window decides what can be found. And a covered window is an image
/// that the model never saw: its edges are edges, its colour is a colour.
///
/// Of convolutional models built of [`Chain`](crate::nn::Chain)s on the CPU, a window's evaluation computes only what the
/// window can reach: the rest is known from x itself. The map is the same to rounding, [`Attribution::reuse`] says what
/// it saved, and is `None` where the model had to run whole (`docs/occlusion.md`).
///
/// # Shapes
/// Input `[N, …]`; map of the same shape, or with one channel if the windows cover all channels together.
///
/// # Example
/// ```
/// use candlelight_core::{Baseline, Occlusion};
///
/// let grey = Occlusion::default().window([16, 16]).stride([8, 8]).baseline(Baseline::Zero); // of images, all channels
/// let single = Occlusion::default().window([1]).stride([1]); // every place, its channels together
/// let channels = Occlusion::default().window([1, 4, 4]); // every channel by itself
/// # drop((grey, single, channels));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Occlusion {
    window: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
    baseline: Baseline,
    evaluation: Evaluation,
}

/// How the model is evaluated where a window is covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Evaluation {
    /// What the window cannot reach is taken from x, where the model allows it.
    #[default]
    Reuse,
    Whole,
}

impl Occlusion {
    /// The window: one size for all axes beside the channels, one for each of these, or one for every axis of a row.
    /// An eighth of every axis beside the channels unless set; single values of rows that have but one axis.
    pub fn window(self, window: impl Into<Vec<usize>>) -> Self {
        Self { window: Some(window.into()), ..self }
    }

    /// How far the window moves, in the same form; half the window, rounded up, unless set.
    pub fn stride(self, stride: impl Into<Vec<usize>>) -> Self {
        Self { stride: Some(stride.into()), ..self }
    }

    /// What a covered window shows; zero unless set.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Evaluates the whole model for every window, to compare with.
    pub fn without_reuse(self) -> Self {
        Self { evaluation: Evaluation::Whole, ..self }
    }

    /// f(x) − f(x with the window covered) for every window of a row, and what was saved.
    fn losses(&self, calls: &mut Calls, row: usize, windows: &Windows) -> Result<(Vec<f64>, Option<Reuse>)> {
        let original = calls.original(row, Together::Neighbours)?;
        let inside = self.evaluation == Evaluation::Reuse && windows.are_of_images();
        let absent: Vec<_> = (0..windows.count()).map(|window| windows.cells(window)).collect();
        let regions =
            inside.then(|| (0..windows.count()).map(|window| windows.region(window)).collect::<Vec<_>>());
        let losses = calls.losses(row, &original, &absent, regions.as_deref())?;
        Ok((losses, original.reuse()))
    }
}

impl Explain for Occlusion {
    fn name(&self) -> String {
        "occlusion".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let shape = &query.input().dims()[1..];
        let windows = Windows::over(shape, self.window.as_deref(), self.stride.as_deref())?;
        let cells = Players::product(&windows.parts(), query.input().device())?;
        let planned = |_: &Players| windows.count();
        let mut calls = Calls::over((model, query), |_| Ok(cells.clone()), &self.baseline, planned)?;
        let (mut values, mut reuse) = (Vec::with_capacity(calls.rows()), None::<Reuse>);
        for row in 0..calls.rows() {
            let (losses, saved) = self.losses(&mut calls, row, &windows)?;
            values.push(means(&windows, &losses, cells.count()));
            saved.into_iter().for_each(|saved| *reuse.get_or_insert_default() += saved);
        }
        let attribution = calls.attribution(self.name(), &values, Convergence::exact())?;
        Ok(Attribution { reuse, ..attribution })
    }
}

/// For every cell the mean of the windows that cover it.
fn means(windows: &Windows, losses: &[f64], cells: usize) -> Vec<f64> {
    let (mut sums, mut cover) = (vec![0.0; cells], vec![0.0; cells]);
    for (window, loss) in losses.iter().enumerate() {
        for cell in windows.cells(window) {
            sums[cell] += loss;
            cover[cell] += 1.0;
        }
    }
    sums.iter().zip(cover).map(|(sum, cover)| sum / cover).collect()
}
