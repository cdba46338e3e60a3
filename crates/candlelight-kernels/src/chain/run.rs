//! Forward and backward through chains, a few images at a time.

use super::maps::{channels_first, channels_last};
use super::workspace::Workspace;
use super::{Chain, Convolve, End, Maps, Step};
use crate::Element;
use crate::gemm::Onto;
use crate::simd::vectorized;
use rayon::prelude::*;

/// Images that go through a chain together: more fall out of the cache, fewer pack the weights too often.
const IMAGES_TOGETHER: usize = 5;

/// What a pass forward leaves for the pass back.
#[derive(Debug)]
pub struct Passed {
    /// Of every part of the batch, what every chain left.
    parts: Vec<Vec<Trace>>,
    from: Maps,
    to: Maps,
}

/// What one chain leaves of a few images.
#[derive(Debug)]
struct Trace {
    /// Of every value.
    shapes: Vec<Maps>,
    /// Of every step: the signs of what it rectified, or the elements that a pool took.
    marks: Vec<Vec<u8>>,
}

impl Passed {
    /// The shape that came out.
    pub fn output(&self) -> Maps {
        self.to
    }
}

/// Runs `chains` one after the other on `x`, `[image, channel, row, column]`; gives the output in the same order and
/// what [`input_gradient`] needs. `None` if the maps do not fit, or there is no chain.
///
/// # Panics
/// If `x` does not have the length of `from`.
pub fn run<T: Element>(chains: &[&Chain<T>], from: Maps, x: &[T]) -> Option<(Vec<T>, Passed)> {
    assert_eq!(x.len(), from.elements(), "length of the input");
    let to = chains.iter().try_fold(from, |shape, chain| chain.maps(shape))?;
    let mut out = vec![T::ZERO; to.elements()];
    let (x, out_parts) = (parts_of(x, from), parts_of_mut(&mut out, to));
    let parts = x.into_par_iter().zip(out_parts).map(|(x, out)| {
        let mut space = chains.first()?.spaces.take();
        let traces = forward(chains, from.with_elements(x.len()), x, out, &mut space);
        chains.first()?.spaces.put(space);
        traces
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    Some((out, Passed { parts, from, to }))
}

/// The gradient at the input of [`run`] with the same `chains`, given the one at its output.
///
/// # Panics
/// If `g` does not have the length of the output, or `passed` belongs to other chains.
pub fn input_gradient<T: Element>(chains: &[&Chain<T>], passed: &Passed, g: &[T]) -> Vec<T> {
    assert_eq!(g.len(), passed.to.elements(), "length of the gradient");
    let mut dx = vec![T::ZERO; passed.from.elements()];
    let (g, dx_parts) = (parts_of(g, passed.to), parts_of_mut(&mut dx, passed.from));
    g.into_par_iter().zip(dx_parts).zip(&passed.parts).for_each(|((g, dx), traces)| {
        let mut space = chains[0].spaces.take();
        backward(chains, passed, traces, g, dx, &mut space);
        chains[0].spaces.put(space);
    });
    dx
}

fn parts_of<T>(x: &[T], shape: Maps) -> Vec<&[T]> {
    x.chunks(part(shape)).collect()
}

fn parts_of_mut<T>(x: &mut [T], shape: Maps) -> Vec<&mut [T]> {
    x.chunks_mut(part(shape)).collect()
}

/// Elements of the images that go together: a few, but no fewer parts than threads where there are images for them.
fn part(shape: Maps) -> usize {
    let together = shape.images.div_ceil(rayon::current_num_threads()).clamp(1, IMAGES_TOGETHER);
    (together * shape.elements() / shape.images.max(1)).max(1)
}

fn forward<T: Element>(
    chains: &[&Chain<T>],
    from: Maps,
    x: &[T],
    out: &mut [T],
    space: &mut Workspace<T>,
) -> Option<Vec<Trace>> {
    let (mut shape, mut value) = (from, space.take(x.len()));
    channels_last(shape, x, &mut value);
    let mut traces = Vec::with_capacity(chains.len());
    for chain in chains {
        let trace = Trace { shapes: chain.shapes(shape)?, marks: Vec::with_capacity(chain.steps.len()) };
        let (next, trace) = chain.forward(trace, value, space);
        (value, shape) = (next, *trace.shapes.last()?);
        traces.push(trace);
    }
    channels_first(shape, &value, out);
    space.put(value);
    Some(traces)
}

fn backward<T: Element>(
    chains: &[&Chain<T>],
    passed: &Passed,
    traces: &[Trace],
    g: &[T],
    dx: &mut [T],
    space: &mut Workspace<T>,
) {
    let mut gradient = space.take(g.len());
    channels_last(passed.to.with_elements(g.len()), g, &mut gradient);
    for (chain, trace) in chains.iter().zip(traces).rev() {
        gradient = chain.backward(trace, gradient, space);
    }
    channels_first(passed.from.with_elements(dx.len()), &gradient, dx);
    space.put(gradient);
}

impl<T: Element> Chain<T> {
    fn forward(&self, mut trace: Trace, input: Vec<T>, space: &mut Workspace<T>) -> (Vec<T>, Trace) {
        let mut values = vec![Some(input)];
        for (index, step) in self.steps.iter().enumerate() {
            let mut out = space.take(trace.shapes[index + 1].elements());
            let mut marks = vec![0; if step.leaves_marks() { out.len() } else { 0 }];
            let value = |index: usize| values[index].as_deref().unwrap_or_default();
            match step {
                Step::MaxPool { pool, from } => {
                    pool.forward(trace.shapes[*from], value(*from), &mut out, &mut marks)
                }
                Step::Conv(step) => {
                    let plus = step.plus.map(value);
                    step.forward(
                        trace.shapes[step.from],
                        value(step.from),
                        plus,
                        &mut out,
                        &mut marks,
                        &mut space.rows,
                    );
                }
            }
            values.push(Some(out));
            trace.marks.push(marks);
            for value in self.last_used_at(index) {
                values[value].take().into_iter().for_each(|buffer| space.put(buffer));
            }
        }
        (values.pop().flatten().unwrap_or_default(), trace)
    }

    fn backward(&self, trace: &Trace, gradient: Vec<T>, space: &mut Workspace<T>) -> Vec<T> {
        let mut gradients: Vec<Option<Vec<T>>> = vec![None; self.steps.len()];
        gradients.push(Some(gradient));
        for (index, step) in self.steps.iter().enumerate().rev() {
            let Some(mut g) = gradients[index + 1].take() else { continue };
            let from = step.from();
            let (mut dx, onto) = match gradients[from].take() {
                Some(dx) => (dx, Onto::Sum),
                None => (space.take(trace.shapes[from].elements()), Onto::Nothing),
            };
            match step {
                Step::MaxPool { pool, .. } => {
                    if onto == Onto::Nothing {
                        dx.fill(T::ZERO);
                    }
                    pool.input_gradient(trace.shapes[from], &g, &trace.marks[index], &mut dx);
                }
                Step::Conv(step) => {
                    if step.end == End::Rectified {
                        keep_marked(&mut g, &trace.marks[index]);
                    }
                    step.conv.input_gradient(trace.shapes[from], &g, &mut dx, &mut space.rows, onto);
                }
            }
            gradients[from] = Some(dx);
            match step.plus().map(|plus| &mut gradients[plus]) {
                Some(slot @ None) => *slot = Some(g),
                Some(Some(sum)) => {
                    add(sum, &g);
                    space.put(g);
                }
                None => space.put(g),
            }
        }
        gradients.swap_remove(0).unwrap_or_default()
    }

    /// The values that step `index` is the last to need.
    fn last_used_at(&self, index: usize) -> impl Iterator<Item = usize> {
        let [from, plus] = [Some(self.steps[index].from()), self.steps[index].plus()];
        let plus = plus.filter(|_| plus != from);
        let later = move |value: &usize| self.steps[index + 1..].iter().any(|step| step.uses(*value));
        from.into_iter().chain(plus).filter(move |value| !later(value))
    }
}

impl<T: Element> Step<T> {
    fn from(&self) -> usize {
        match self {
            Self::Conv(step) => step.from,
            Self::MaxPool { from, .. } => *from,
        }
    }

    fn plus(&self) -> Option<usize> {
        match self {
            Self::Conv(step) => step.plus,
            Self::MaxPool { .. } => None,
        }
    }

    fn uses(&self, value: usize) -> bool {
        self.from() == value || self.plus() == Some(value)
    }

    /// Whether the pass back needs to know something of every element.
    fn leaves_marks(&self) -> bool {
        match self {
            Self::Conv(step) => step.end == End::Rectified,
            Self::MaxPool { .. } => true,
        }
    }
}

impl<T: Element> Convolve<T> {
    fn forward(
        &self,
        from: Maps,
        x: &[T],
        plus: Option<&[T]>,
        out: &mut [T],
        marks: &mut [u8],
        rows: &mut Vec<T>,
    ) {
        let begin = |block: &mut [T], first: usize| match plus {
            Some(plus) => start_with(block, &self.bias, &plus[first..first + block.len()]),
            None => block.chunks_exact_mut(self.bias.len()).for_each(|row| row.copy_from_slice(&self.bias)),
        };
        let end = |block: &mut [T], first: usize| {
            if self.end == End::Rectified {
                let len = block.len();
                rectify(block, &mut marks[first..first + len]);
            }
        };
        self.conv.forward(from, x, out, rows, begin, end);
    }
}

/// Every row of `block` becomes `bias` plus the row of `plus`.
fn start_with<T: Element>(block: &mut [T], bias: &[T], plus: &[T]) {
    vectorized(|| {
        for (row, plus) in block.chunks_exact_mut(bias.len()).zip(plus.chunks_exact(bias.len())) {
            for ((out, &bias), &plus) in row.iter_mut().zip(bias).zip(plus) {
                *out = bias + plus;
            }
        }
    });
}

/// max(x, 0), and a mark where x is positive.
fn rectify<T: Element>(x: &mut [T], marks: &mut [u8]) {
    vectorized(|| {
        for (x, mark) in x.iter_mut().zip(marks) {
            *mark = u8::from(*x > T::ZERO);
            *x = if *x <= T::ZERO { T::ZERO } else { *x };
        }
    });
}

/// Zero where there is no mark.
fn keep_marked<T: Element>(g: &mut [T], marks: &[u8]) {
    vectorized(|| {
        for (g, &mark) in g.iter_mut().zip(marks) {
            *g = if mark == 0 { T::ZERO } else { *g };
        }
    });
}

fn add<T: Element>(sum: &mut [T], part: &[T]) {
    vectorized(|| sum.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part));
}
