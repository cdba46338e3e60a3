//! What is asked: input, target, seed, budget, progress.

use crate::Target;
use crate::nn::ops::softmax_last_dim;
use crate::random::key;
use candle_core::{DType, Tensor};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows that the model has evaluated.
    pub done: usize,
    /// Rows that the whole run evaluates.
    pub of: usize,
}

/// Called after every batch; `Break` stops the run with [`Error::Cancelled`](crate::Error::Cancelled). A sampler
/// hands back what it has, marked by [`Convergence::partial`](crate::Convergence::partial), as soon as that is
/// anything.
pub type OnProgress = dyn Fn(Progress) -> ControlFlow<()> + Send + Sync;

/// How much of the input may be in flight at once. It decides the batch, never the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// Two gibibytes of activations, at most 64 rows, and 8 before it is known what a row holds.
    #[default]
    Auto,
    /// So many rows at once.
    Rows(usize),
    /// About so many bytes of activations at once, at least one row.
    Bytes(usize),
}

/// In which units a model's outputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// As the model gives them: logits, usually.
    #[default]
    Raw,
    /// Their softmax.
    Probability,
    /// The natural logarithm of their softmax.
    LogProbability,
}

impl Output {
    /// The outputs `[n, classes]` in these units: probabilities in double precision where the device has it, because near
    /// 1 those of single precision are 6·10⁻⁸ apart.
    pub(crate) fn of(self, outputs: Tensor) -> candle_core::Result<Tensor> {
        let precise = || match outputs.device().is_metal() {
            true => Ok(outputs.clone()),
            false => outputs.to_dtype(DType::F64),
        };
        match self {
            Self::Raw => Ok(outputs),
            Self::Probability => softmax_last_dim(&precise()?),
            Self::LogProbability => {
                let outputs = precise()?;
                let above = outputs.broadcast_sub(&outputs.detach().max_keepdim(1)?)?;
                above.broadcast_sub(&above.exp()?.sum_keepdim(1)?.log()?)
            }
        }
    }
}

/// One question to a model. Everything that can be a bare tensor, or a tensor with a class, goes in by
/// `Into<Query>`.
///
/// # Shapes
/// The input is `[N, …]`: a batch of rows, each explained on its own.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candlelight_core::{Budget, Query};
///
/// let image = Tensor::zeros((1, 3, 8, 8), DType::F32, &Device::Cpu)?;
/// let query = Query::from((&image, 3)).seed(7).budget(Budget::Rows(4));
/// assert_eq!(query.input().dims(), [1, 3, 8, 8]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Query {
    input: Tensor,
    target: Target,
    seed: u64,
    first_sample: u64,
    budget: Budget,
    output: Output,
    progress: Option<Arc<OnProgress>>,
}

impl Query {
    /// Asks about the top class of every row of `input`.
    pub fn new(input: &Tensor) -> Self {
        Self {
            input: input.detach(),
            target: Target::Top,
            seed: 0,
            first_sample: 0,
            budget: Budget::Auto,
            output: Output::Raw,
            progress: None,
        }
    }

    /// What is explained.
    pub fn target(self, target: impl Into<Target>) -> Self {
        Self { target: target.into(), ..self }
    }

    /// The seed of every random number drawn; 0 unless set.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The number of the first row in the caller's data set; row n draws the random numbers of sample
    /// `first + n`, whatever the batch it lies in.
    pub fn first_sample(self, first: u64) -> Self {
        Self { first_sample: first, ..self }
    }

    /// How much may be in flight at once.
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// In which units the model's outputs are read; as the model gives them unless set. The target's score is then in
    /// these units.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Calls `f` after every batch; it may stop the run.
    pub fn on_progress(self, f: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self { progress: Some(Arc::new(f)), ..self }
    }

    /// The same question about other rows.
    pub fn on(self, input: &Tensor) -> Self {
        Self { input: input.detach(), ..self }
    }

    /// The seed of draw `draw` for row `row`, for generators that take 32 bytes: the same numbers on every device and in
    /// every batch.
    pub fn key(&self, row: usize, draw: u64) -> [u8; 32] {
        key(self.seed, self.sample(row), draw)
    }

    /// The input, `[N, …]`.
    pub fn input(&self) -> &Tensor {
        &self.input
    }

    pub(crate) fn asked(&self) -> &Target {
        &self.target
    }

    pub(crate) fn seed_asked(&self) -> u64 {
        self.seed
    }

    pub(crate) fn sample(&self, row: usize) -> u64 {
        self.first_sample + row as u64
    }

    pub(crate) fn budget_asked(&self) -> Budget {
        self.budget
    }

    pub(crate) fn output_asked(&self) -> Output {
        self.output
    }

    pub(crate) fn report(&self, progress: Progress) -> ControlFlow<()> {
        self.progress.as_ref().map_or(ControlFlow::Continue(()), |f| f(progress))
    }

    /// The same question without a word on how far it is.
    pub(crate) fn quiet(&self) -> Self {
        Self { progress: None, ..self.clone() }
    }

    /// The same question to be answered after `rows` evaluations: they count in its progress.
    pub(crate) fn after(self, rows: usize) -> Self {
        let Some(report) = self.progress.clone() else { return self };
        let shifted = move |Progress { done, of }| report(Progress { done: done + rows, of: of + rows });
        self.on_progress(shifted)
    }

    /// The same question about other inputs, `at_once` rows of whose versions may be in flight; progress is the
    /// caller's to report.
    pub(crate) fn about(&self, inputs: &Tensor, target: Target, at_once: usize) -> Self {
        let budget = Budget::Rows(at_once);
        Self { input: inputs.clone(), target, budget, ..self.quiet() }
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, target, seed, budget, .. } = self;
        let shape = input.dims();
        write!(f, "Query {{ input: {shape:?}, target: {target:?}, seed: {seed}, budget: {budget:?} }}")
    }
}

impl From<&Query> for Query {
    fn from(query: &Query) -> Self {
        query.clone()
    }
}

impl From<&Tensor> for Query {
    fn from(input: &Tensor) -> Self {
        Self::new(input)
    }
}

impl From<Tensor> for Query {
    fn from(input: Tensor) -> Self {
        Self::new(&input)
    }
}

impl<T: Into<Target>> From<(&Tensor, T)> for Query {
    fn from((input, target): (&Tensor, T)) -> Self {
        Self::new(input).target(target)
    }
}
