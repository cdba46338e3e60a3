//! Frozen layers that run as one: convolutions with their biases, residual adds and rectifiers, and max pools.
//!
//! Inside a chain maps lie with their channels side by side, elementwise work is done while a block of a product is in
//! the cache, only the signs of rectified values are kept for the gradient, and buffers go round. Images are spread
//! over the threads, a few to each; where there are fewer parts than threads, the threads share what is inside.

mod arrange;
mod blocks;
mod conv;
mod dense;
mod encoder;
mod first_token;
mod groups;
mod links;
mod maps;
mod multiply;
mod patches;
mod pool;
mod region;
mod relevance;
mod rules;
mod run;
mod shares;
mod slide;
mod steps;
mod subsample;
#[cfg(test)]
mod tests;
mod tokens;
mod winograd;
mod workers;
mod workspace;

pub use dense::Dense;
pub use encoder::Encoder;
pub use first_token::FirstToken;
pub use groups::Together;
pub use maps::Maps;
pub use multiply::Multiply;
pub use patches::{Known, Work, know, run_changed};
pub use region::Region;
pub use relevance::input_signal;
pub use rules::{AtAdd, AtConv, AtRectifier, Booked, Entry, StepRule};
pub use run::{Keep, Order, Passed, input_gradient, run};
pub use subsample::Subsample;

use crate::{Element, Window};
use conv::Conv;
use pool::MaxPool;
use relevance::BySign;
use std::sync::Arc;
use workspace::Spaces;

/// A value inside a chain: its input, or what a step made. An add or a rectifier changes the last one in place, and what
/// it was before is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    index: usize,
    changes: usize,
}

/// Steps in the order in which they run. Value 0 is the input, and step k makes value k + 1.
#[derive(Clone, Debug)]
pub struct Chain<T> {
    steps: Vec<Step<T>>,
    spaces: Spaces<T>,
    multiply: Multiply,
}

#[derive(Clone, Debug)]
enum Step<T> {
    Conv(Arc<Convolve<T>>),
    MaxPool { pool: MaxPool, from: usize },
    Subsample { subsample: Subsample, from: usize },
    Encoder { encoder: Arc<Encoder<T>>, from: usize },
    FirstToken { head: Arc<FirstToken<T>>, from: usize },
}

/// Which tokens of a value anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    All,
    /// The first of every image.
    First,
}

/// out = rectified(convolution of `from` + `bias` + `plus`).
#[derive(Clone, Debug)]
struct Convolve<T> {
    conv: Conv<T>,
    bias: Vec<T>,
    from: usize,
    plus: Option<usize>,
    end: End,
    by_sign: BySign<T>,
}

/// What happens to a sum before it is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Linear,
    Rectified,
}

impl<T: Element> Default for Chain<T> {
    fn default() -> Self {
        Self::new(Multiply::default())
    }
}

impl<T: Element> Chain<T> {
    /// A chain without steps, whose convolutions are multiplied like this.
    pub fn new(multiply: Multiply) -> Self {
        Self { steps: Vec::new(), spaces: Spaces::default(), multiply }
    }

    /// The chain's input.
    pub fn input(&self) -> Value {
        Value { index: 0, changes: 0 }
    }

    /// What the last step made, which is what the chain gives.
    pub fn output(&self) -> Value {
        Value { index: self.steps.len(), changes: self.steps.last().map_or(0, Step::changes) }
    }

    /// Whether both have the same steps: not equal ones, the same.
    fn is(&self, other: &Self) -> bool {
        let same = |(a, b): (&Step<T>, &Step<T>)| match (a, b) {
            (Step::Conv(a), Step::Conv(b)) => Arc::ptr_eq(a, b),
            (Step::Encoder { encoder: a, from: x }, Step::Encoder { encoder: b, from: y }) => {
                Arc::ptr_eq(a, b) && x == y
            }
            (Step::FirstToken { head: a, from: x }, Step::FirstToken { head: b, from: y }) => {
                Arc::ptr_eq(a, b) && x == y
            }
            (Step::MaxPool { pool: a, from: x }, Step::MaxPool { pool: b, from: y }) => {
                a.window() == b.window() && x == y
            }
            (Step::Subsample { subsample: a, from: x }, Step::Subsample { subsample: b, from: y }) => {
                a == b && x == y
            }
            _ => false,
        };
        self.steps.len() == other.steps.len() && self.steps.iter().zip(&other.steps).all(same)
    }

    /// The same steps for numbers of another type, which are multiplied out directly; nothing if some have weights.
    pub fn of_type<U: Element>(&self) -> Option<Chain<U>> {
        let step = |step: &Step<T>| match *step {
            Step::MaxPool { pool, from } => Some(Step::MaxPool { pool, from }),
            Step::Subsample { subsample, from } => Some(Step::Subsample { subsample, from }),
            Step::Conv(_) | Step::Encoder { .. } | Step::FirstToken { .. } => None,
        };
        let steps = self.steps.iter().map(step).collect::<Option<_>>()?;
        Some(Chain { steps, ..Chain::default() })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A convolution with `weight` `[out, in, kh, kw]` and `bias` `[out]`; nothing if `from` is gone.
    ///
    /// # Panics
    /// If the length of the weight does not fit.
    pub fn conv(
        &mut self,
        from: Value,
        window: Window,
        inputs: usize,
        weight: &[T],
        bias: Vec<T>,
    ) -> Option<Value> {
        let from = self.known(from)?;
        let conv = Conv::new(window, inputs, bias.len(), weight, self.multiply);
        let (end, by_sign) = (End::Linear, BySign::default());
        Some(self.push(Step::Conv(Arc::new(Convolve { conv, bias, from, plus: None, end, by_sign }))))
    }

    /// A max pool; nothing if `from` is gone.
    ///
    /// # Panics
    /// If the window has more than 255 elements.
    pub fn max_pool(&mut self, from: Value, window: Window) -> Option<Value> {
        let from = self.known(from)?;
        Some(self.push(Step::MaxPool { pool: MaxPool::new(window), from }))
    }

    /// Every so many places with channels of zeros around them; nothing if `from` is gone.
    ///
    /// # Panics
    /// If the stride is 0.
    pub fn subsample(&mut self, from: Value, subsample: Subsample) -> Option<Value> {
        assert!(subsample.stride > 0, "a stride is at least 1");
        let from = self.known(from)?;
        Some(self.push(Step::Subsample { subsample, from }))
    }

    /// A transformer block on tokens: maps of one column. Nothing if its parts do not fit, or `from` is gone.
    pub fn encoder(&mut self, from: Value, encoder: Encoder<T>) -> Option<Value> {
        let from = self.known(from).filter(|_| encoder.is_sound())?;
        Some(self.push(Step::Encoder { encoder: Arc::new(encoder), from }))
    }

    /// The first token of every image, normalised; nothing if its parts do not fit, or `from` is gone. A block whose tokens
    /// nobody else needs computes no others.
    pub fn first_token(&mut self, from: Value, head: FirstToken<T>) -> Option<Value> {
        let from = self.known(from).filter(|_| head.weight.len() == head.bias.len())?;
        Some(self.push(Step::FirstToken { head: Arc::new(head), from }))
    }

    /// max(x, 0), if `x` is the convolution (or its sum) that was added last; else nothing.
    pub fn relu(&mut self, x: Value) -> Option<Value> {
        self.last_sum(x)?.end = End::Rectified;
        Some(self.output())
    }

    /// a + b, if one of them is the convolution that was added last; else nothing.
    pub fn add(&mut self, a: Value, b: Value) -> Option<Value> {
        let (sum, other) = if a == self.output() { (a, b) } else { (b, a) };
        let other = self.known(other).filter(|&other| other != sum.index)?;
        let step = self.last_sum(sum).filter(|step| step.plus.is_none())?;
        step.plus = Some(other);
        Some(self.output())
    }

    /// The shape that comes out for maps of shape `from`; `None` if they do not fit.
    pub fn maps(&self, from: Maps) -> Option<Maps> {
        self.shapes(from, Asked::All)?.last().copied()
    }

    /// The windows that slide over maps, with the height and width before and after; `None` if they do not fit.
    #[allow(clippy::type_complexity, reason = "said in the line above")]
    pub fn windows(&self, from: Maps) -> Option<Vec<(Window, (usize, usize), (usize, usize))>> {
        let shapes = self.shapes(from, Asked::All)?;
        let size = |maps: Maps| (maps.height, maps.width);
        let steps = self.steps.iter().zip(&shapes[1..]).filter(|(step, _)| step.is_layer());
        let window =
            |(step, &to): (&Step<T>, &Maps)| Some((step.window()?, size(shapes[step.from()]), size(to)));
        Some(steps.filter_map(window).collect())
    }

    /// The steps that stand for no layer, in their order.
    pub fn without_layer(&self) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(|&index| !self.steps[index].is_layer())
    }

    /// Which tokens of a value anybody needs, if so many are needed of what the chain gives.
    fn asked(&self, value: usize, behind: Asked) -> Asked {
        let only_first = |step: &Step<T>| matches!(step, Step::FirstToken { .. });
        let mut users = self.steps.iter().filter(|step| step.uses(value));
        match value == self.steps.len() {
            true => behind,
            false if users.all(only_first) => Asked::First,
            false => Asked::All,
        }
    }

    /// The shapes of all values, if so much is asked of the last.
    fn shapes(&self, from: Maps, behind: Asked) -> Option<Vec<Maps>> {
        let mut shapes = vec![from];
        for (index, step) in self.steps.iter().enumerate() {
            let shape = match step {
                Step::Conv(step) => step
                    .conv
                    .output(shapes[step.from])
                    .filter(|&out| step.plus.is_none_or(|plus| shapes[plus] == out)),
                Step::MaxPool { pool, from } => pool.output(shapes[*from]),
                Step::Subsample { subsample, from } => subsample.output(shapes[*from]),
                Step::Encoder { encoder, from } => {
                    encoder.output(shapes[*from], self.asked(index + 1, behind))
                }
                Step::FirstToken { head, from } => head.output(shapes[*from]),
            };
            shapes.push(shape?);
        }
        Some(shapes)
    }

    /// The step that made `x`, if it is the last one and can still be changed.
    fn last_sum(&mut self, x: Value) -> Option<&mut Convolve<T>> {
        let last = self.output();
        match self.steps.last_mut() {
            Some(Step::Conv(step)) if x == last && step.end == End::Linear => Arc::get_mut(step),
            _ => None,
        }
    }

    /// Where a value is kept, if it is as it was.
    fn known(&self, value: Value) -> Option<usize> {
        let changes = match value.index.checked_sub(1).map(|step| self.steps.get(step)) {
            Some(Some(step)) => step.changes(),
            Some(None) => return None,
            None => 0,
        };
        (value.changes == changes).then_some(value.index)
    }

    fn push(&mut self, step: Step<T>) -> Value {
        self.steps.push(step);
        self.output()
    }
}
