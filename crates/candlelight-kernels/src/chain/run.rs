//! Forward and backward through chains, a few images at a time.

use super::blocks::{add, keep_marked};
use super::encoder::Kept;
use super::maps::{channels_first, channels_last};
use super::workspace::{Buffer, Spaces, Workspace};
use super::{Asked, Chain, End, Maps, Step};
use crate::even::even_share;
use crate::gemm::{Onto, workers};
use crate::{Element, Threads};
use rayon::prelude::*;

/// Images that go through a chain together: more fall out of the cache, fewer pack the weights too often.
const IMAGES_TOGETHER: usize = 5;

/// What a pass forward leaves for the pass back.
#[derive(Debug)]
pub struct Passed<T> {
    /// Of every part of the batch, what every chain left.
    parts: Vec<Vec<Trace<T>>>,
    /// Images of a part.
    together: usize,
    order: Order,
    from: Maps,
    to: Maps,
}

/// How the numbers that go into a chain and come out lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `[image, channel, row, column]`, as candle has images.
    ChannelsFirst,
    /// `[image, row, column, channel]`; tokens lie so, one to a row.
    ChannelsLast,
}

/// What a pass forward leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All that the pass back needs.
    ForBack,
    /// All that [`input_signal`](super::input_signal) needs.
    ForRules,
    /// Nothing: nobody differentiates.
    Nothing,
}

/// What one chain leaves of a few images.
#[derive(Debug)]
pub(super) struct Trace<T> {
    /// Of every value.
    pub shapes: Vec<Maps>,
    /// Of every step.
    pub left: Vec<Left<T>>,
    /// The value that went in, where rules ask for it.
    pub input: Vec<T>,
}

/// What a step leaves.
#[derive(Debug)]
pub(super) enum Left<T> {
    Nothing,
    /// The signs of what it rectified, or the elements that a pool took.
    Marks(Vec<u8>),
    Encoder(Box<Kept<T>>),
    /// What the head of a transformer normalised.
    Tokens(Vec<T>),
    /// For rules: what a convolution gave, if something was added to it, and what came of it before it was rectified.
    Sums {
        own: Vec<T>,
        sum: Vec<T>,
    },
    /// For rules: the elements that a pool took, none where values were copied as they are.
    Pooled {
        taken: Vec<u8>,
        out: Vec<T>,
    },
}

impl<T> Left<T> {
    fn marks(&self) -> &[u8] {
        match self {
            Self::Marks(marks) => marks,
            _ => &[],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Marks(marks) => marks.len(),
            Self::Encoder(kept) => kept.bytes(),
            Self::Tokens(tokens) => size_of_val(&tokens[..]),
            Self::Sums { own, sum } => size_of_val(&own[..]) + size_of_val(&sum[..]),
            Self::Pooled { taken, out } => taken.len() + size_of_val(&out[..]),
        }
    }
}

impl Keep {
    fn or_drop<T>(self, left: Left<T>) -> Left<T> {
        match self {
            Self::ForBack | Self::ForRules => left,
            Self::Nothing => Left::Nothing,
        }
    }

    /// What a pool leaves that gave `out`.
    fn of_pool<T: Copy>(self, taken: Vec<u8>, out: &[T]) -> Left<T> {
        match self {
            Self::ForRules => Left::Pooled { taken, out: out.to_vec() },
            Self::ForBack => Left::Marks(taken),
            Self::Nothing => Left::Nothing,
        }
    }

    /// What a step leaves that copied values to `out`.
    fn of_copy<T: Copy>(self, out: &[T]) -> Left<T> {
        match self {
            Self::ForRules => Left::Pooled { taken: Vec::new(), out: out.to_vec() },
            Self::ForBack | Self::Nothing => Left::Nothing,
        }
    }

    /// What is kept of the input `x` of a chain.
    fn of_input<T: Copy>(self, x: &[T]) -> Vec<T> {
        match self {
            Self::ForRules => x.to_vec(),
            Self::ForBack | Self::Nothing => Vec::new(),
        }
    }
}

impl<T> Trace<T> {
    /// How many images there are.
    pub fn images(&self) -> usize {
        self.shapes.first().map_or(0, |shape| shape.images)
    }

    fn bytes(&self) -> usize {
        self.left.iter().map(Left::bytes).sum::<usize>() + size_of_val(&self.input[..])
    }
}

impl<T> Passed<T> {
    /// Bytes that are held for the pass back.
    pub fn bytes(&self) -> usize {
        self.parts.iter().flatten().map(Trace::bytes).sum()
    }

    /// The shape that came out.
    pub fn output(&self) -> Maps {
        self.to
    }
}

/// Runs `chains` one after the other on `x`; gives the output in the same order and, if it is to be kept, what
/// [`input_gradient`] needs. `None` if the maps do not fit, or there is no chain.
///
/// # Panics
/// If `x` does not have the length of `from`.
pub fn run<T: Element>(
    chains: &[&Chain<T>],
    (order, from): (Order, Maps),
    x: &[T],
    keep: Keep,
) -> Option<(Vec<T>, Passed<T>)> {
    assert_eq!(x.len(), from.elements(), "length of the input");
    let to = chains.iter().try_fold(from, |shape, chain| chain.maps(shape))?;
    let mut out = vec![T::ZERO; to.elements()];
    let together = even_share(from.images, workers(), IMAGES_TOGETHER);
    let threads = threads_inside(from.images.div_ceil(together));
    let (x, out_parts) = (x.chunks(from.elements_of(together)), out.chunks_mut(to.elements_of(together)));
    let (x, out_parts): (Vec<_>, Vec<_>) = (x.collect(), out_parts.collect());
    let parts = x.into_par_iter().zip(out_parts).map(|(x, out)| {
        let mut space = chains.first()?.spaces.take(threads);
        let traces = forward(chains, (order, from.with_elements(x.len())), x, out, (keep, &mut space));
        chains.first()?.spaces.put(space);
        traces
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    Some((out, Passed { parts, together, order, from, to }))
}

/// The gradient at the input of [`run`] with the same `chains`, given the one at its output.
///
/// # Panics
/// If `g` does not have the length of the output, or `passed` belongs to other chains.
pub fn input_gradient<T: Element>(chains: &[&Chain<T>], passed: &Passed<T>, g: &[T]) -> Vec<T> {
    let back = |traces: &[Trace<T>], g: Buffer<T>, space: &mut Workspace<T>| {
        let steps = chains.iter().zip(traces).rev();
        (steps.fold(g, |g, (chain, trace)| chain.backward(trace, g, space)), ())
    };
    passed.back(&chains[0].spaces, g, back).0
}

impl<T: Element> Passed<T> {
    /// What comes back to the input from `g` at the output, if `back` brings it through the chains a few images at a time;
    /// and what else `back` gives for each of them.
    pub(super) fn back<R: Send>(
        &self,
        spaces: &Spaces<T>,
        g: &[T],
        back: impl Fn(&[Trace<T>], Buffer<T>, &mut Workspace<T>) -> (Buffer<T>, R) + Sync,
    ) -> (Vec<T>, Vec<R>) {
        assert_eq!(g.len(), self.to.elements(), "length of the gradient");
        let mut dx = vec![T::ZERO; self.from.elements()];
        let g: Vec<_> = g.chunks(self.to.elements_of(self.together)).collect();
        let threads = threads_inside(self.parts.len());
        let dx_parts: Vec<_> = dx.chunks_mut(self.from.elements_of(self.together)).collect();
        let parts = g.into_par_iter().zip(dx_parts).zip(&self.parts).map(|((g, dx), traces)| {
            let mut space = spaces.take(threads);
            let mut inside = space.take(g.len());
            self.order.enter(self.to.with_elements(g.len()), g, &mut inside);
            let (inside, more) = back(traces, inside, &mut space);
            self.order.leave(self.from.with_elements(dx.len()), &inside, dx);
            space.put(inside);
            spaces.put(space);
            more
        });
        let parts = parts.collect();
        (dx, parts)
    }
}

/// Who works on a part, if there are so many: all threads where there are fewer parts than threads.
fn threads_inside(parts: usize) -> Threads {
    if parts < workers() { Threads::All } else { Threads::One }
}

fn forward<T: Element>(
    chains: &[&Chain<T>],
    (order, from): (Order, Maps),
    x: &[T],
    out: &mut [T],
    (keep, space): (Keep, &mut Workspace<T>),
) -> Option<Vec<Trace<T>>> {
    let (mut shape, mut value) = (from, space.take(x.len()));
    order.enter(shape, x, &mut value);
    let mut traces = Vec::with_capacity(chains.len());
    for (index, chain) in chains.iter().enumerate() {
        let asked = chains.get(index + 1).map_or(Asked::All, |next| next.asked(0, Asked::All));
        let (shapes, left) = (chain.shapes(shape, asked)?, Vec::with_capacity(chain.steps.len()));
        let trace = Trace { shapes, left, input: keep.of_input(&value) };
        let (next, trace) = chain.forward(trace, value, (keep, space));
        (value, shape) = (next, *trace.shapes.last()?);
        traces.push(trace);
    }
    order.leave(shape, &value, out);
    space.put(value);
    Some(traces)
}

impl Order {
    /// To the order inside.
    pub(super) fn enter<T: Copy>(self, shape: Maps, x: &[T], inside: &mut [T]) {
        match self {
            Self::ChannelsFirst => channels_last(shape, x, inside),
            Self::ChannelsLast => inside.copy_from_slice(x),
        }
    }

    /// Where an element of an image lies outside.
    pub(super) fn index(self, image: Maps, (row, column): (usize, usize), channel: usize) -> usize {
        match self {
            Self::ChannelsFirst => (channel * image.height + row) * image.width + column,
            Self::ChannelsLast => (row * image.width + column) * image.channels + channel,
        }
    }

    /// Back from the order inside.
    pub(super) fn leave<T: Copy>(self, shape: Maps, inside: &[T], out: &mut [T]) {
        match self {
            Self::ChannelsFirst => channels_first(shape, inside, out),
            Self::ChannelsLast => out.copy_from_slice(inside),
        }
    }
}

impl<T: Element> Chain<T> {
    fn forward(
        &self,
        mut trace: Trace<T>,
        input: Buffer<T>,
        (keep, space): (Keep, &mut Workspace<T>),
    ) -> (Buffer<T>, Trace<T>) {
        let mut values = vec![Some(input)];
        for (index, step) in self.steps.iter().enumerate() {
            let mut out = space.take(trace.shapes[index + 1].elements());
            let value = |index: usize| values[index].as_deref().unwrap_or_default();
            let (shape, x) = (trace.shapes[step.from()], value(step.from()));
            let left = match step {
                Step::MaxPool { pool, .. } => {
                    let mut marks = vec![0; out.len()];
                    pool.forward(shape, x, &mut out, &mut marks);
                    keep.of_pool(marks, &out)
                }
                Step::Subsample { subsample, .. } => {
                    subsample.forward(shape, x, &mut out);
                    keep.of_copy(&out)
                }
                Step::Encoder { encoder, .. } => {
                    let shapes = (shape, trace.shapes[index + 1]);
                    let kept = encoder.forward(shapes, x, &mut out, (keep, space));
                    kept.map_or(Left::Nothing, |kept| Left::Encoder(Box::new(kept)))
                }
                Step::FirstToken { head, .. } => keep.or_drop(Left::Tokens(head.forward(shape, x, &mut out))),
                Step::Conv(step) => {
                    let plus = step.plus.map(value);
                    step.forward((shape, x), plus, &mut out, (keep, space.workers()))
                }
            };
            values.push(Some(out));
            trace.left.push(left);
            for value in self.last_used_at(index) {
                values[value].take().into_iter().for_each(|buffer| space.put(buffer));
            }
        }
        (values.pop().flatten().unwrap_or_default(), trace)
    }

    fn backward(&self, trace: &Trace<T>, gradient: Buffer<T>, space: &mut Workspace<T>) -> Buffer<T> {
        let mut gradients: Vec<Option<Buffer<T>>> = self.steps.iter().map(|_| None).collect();
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
                    onto.begin(&mut dx);
                    pool.input_gradient(trace.shapes[from], &g, trace.left[index].marks(), &mut dx);
                }
                Step::Subsample { subsample, .. } => {
                    onto.begin(&mut dx);
                    subsample.input_gradient(trace.shapes[from], &g, &mut dx);
                }
                Step::Encoder { encoder, .. } => {
                    let Left::Encoder(kept) = &trace.left[index] else { continue };
                    let shapes = (trace.shapes[from], trace.shapes[index + 1]);
                    encoder.input_gradient(shapes, kept, &g, (&mut dx, onto), space);
                }
                Step::FirstToken { head, .. } => {
                    let Left::Tokens(first) = &trace.left[index] else { continue };
                    onto.begin(&mut dx);
                    head.input_gradient(trace.shapes[from], first, &g, &mut dx);
                }
                Step::Conv(step) => {
                    if step.end == End::Rectified {
                        keep_marked(&mut g, trace.left[index].marks());
                    }
                    step.conv.input_gradient(trace.shapes[from], &g, (&mut dx, onto), space.workers());
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
