//! Forward and backward through chains, a few images at a time.

use super::blocks::{add, add_to_rows, keep_marked, mark, rectify};
use super::encoder::Kept;
use super::maps::{channels_first, channels_last};
use super::workspace::{Buffer, Workspace};
use super::{Chain, Convolve, End, Maps, Step};
use crate::gemm::Onto;
use crate::{Element, Window};
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
    /// Nothing: nobody differentiates.
    Nothing,
}

/// What one chain leaves of a few images.
#[derive(Debug)]
struct Trace<T> {
    /// Of every value.
    shapes: Vec<Maps>,
    /// Of every step.
    left: Vec<Left<T>>,
}

/// What a step leaves.
#[derive(Debug)]
enum Left<T> {
    Nothing,
    /// The signs of what it rectified, or the elements that a pool took.
    Marks(Vec<u8>),
    Encoder(Box<Kept<T>>),
}

impl<T> Left<T> {
    fn marks(&self) -> &[u8] {
        match self {
            Self::Marks(marks) => marks,
            Self::Nothing | Self::Encoder(_) => &[],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Marks(marks) => marks.len(),
            Self::Encoder(kept) => kept.bytes(),
        }
    }
}

impl Keep {
    fn or_drop<T>(self, left: Left<T>) -> Left<T> {
        match self {
            Self::ForBack => left,
            Self::Nothing => Left::Nothing,
        }
    }
}

impl<T> Passed<T> {
    /// Bytes that are held for the pass back.
    pub fn bytes(&self) -> usize {
        self.parts.iter().flatten().flat_map(|trace| &trace.left).map(Left::bytes).sum()
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
    let together = images_together(from.images);
    let (x, out_parts) = (x.chunks(from.elements_of(together)), out.chunks_mut(to.elements_of(together)));
    let (x, out_parts): (Vec<_>, Vec<_>) = (x.collect(), out_parts.collect());
    let parts = x.into_par_iter().zip(out_parts).map(|(x, out)| {
        let mut space = chains.first()?.spaces.take();
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
    assert_eq!(g.len(), passed.to.elements(), "length of the gradient");
    let mut dx = vec![T::ZERO; passed.from.elements()];
    let g: Vec<_> = g.chunks(passed.to.elements_of(passed.together)).collect();
    let dx_parts: Vec<_> = dx.chunks_mut(passed.from.elements_of(passed.together)).collect();
    g.into_par_iter().zip(dx_parts).zip(&passed.parts).for_each(|((g, dx), traces)| {
        let mut space = chains[0].spaces.take();
        backward(chains, passed, traces, g, dx, &mut space);
        chains[0].spaces.put(space);
    });
    dx
}

/// How many images go together: a few, but no fewer parts than threads where there are images for them. A caller that
/// is a worker has its own share of the threads' work.
fn images_together(images: usize) -> usize {
    let threads = if rayon::current_thread_index().is_some() { 1 } else { rayon::current_num_threads() };
    images.div_ceil(threads).clamp(1, IMAGES_TOGETHER)
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
    for chain in chains {
        let trace = Trace { shapes: chain.shapes(shape)?, left: Vec::with_capacity(chain.steps.len()) };
        let (next, trace) = chain.forward(trace, value, (keep, space));
        (value, shape) = (next, *trace.shapes.last()?);
        traces.push(trace);
    }
    order.leave(shape, &value, out);
    space.put(value);
    Some(traces)
}

fn backward<T: Element>(
    chains: &[&Chain<T>],
    passed: &Passed<T>,
    traces: &[Trace<T>],
    g: &[T],
    dx: &mut [T],
    space: &mut Workspace<T>,
) {
    let mut gradient = space.take(g.len());
    passed.order.enter(passed.to.with_elements(g.len()), g, &mut gradient);
    for (chain, trace) in chains.iter().zip(traces).rev() {
        gradient = chain.backward(trace, gradient, space);
    }
    passed.order.leave(passed.from.with_elements(dx.len()), &gradient, dx);
    space.put(gradient);
}

impl Order {
    /// To the order inside.
    pub(super) fn enter<T: Copy>(self, shape: Maps, x: &[T], inside: &mut [T]) {
        match self {
            Self::ChannelsFirst => channels_last(shape, x, inside),
            Self::ChannelsLast => inside.copy_from_slice(x),
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
                    keep.or_drop(Left::Marks(marks))
                }
                Step::Encoder { encoder, .. } => {
                    keep.or_drop(Left::Encoder(Box::new(encoder.forward(shape, x, &mut out, space))))
                }
                Step::Conv(step) => {
                    let plus = step.plus.map(value);
                    step.forward((shape, x), plus, &mut out, &mut space.rows, keep)
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
                    if onto == Onto::Nothing {
                        dx.fill(T::ZERO);
                    }
                    pool.input_gradient(trace.shapes[from], &g, trace.left[index].marks(), &mut dx);
                }
                Step::Encoder { encoder, .. } => {
                    let Left::Encoder(kept) = &trace.left[index] else { continue };
                    encoder.input_gradient(trace.shapes[from], kept, &g, &mut dx, onto, space);
                }
                Step::Conv(step) => {
                    if step.end == End::Rectified {
                        keep_marked(&mut g, trace.left[index].marks());
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
    pub(super) fn from(&self) -> usize {
        match self {
            Self::Conv(step) => step.from,
            Self::MaxPool { from, .. } | Self::Encoder { from, .. } => *from,
        }
    }

    pub(super) fn window(&self) -> Option<Window> {
        match self {
            Self::Conv(step) => Some(step.conv.window()),
            Self::MaxPool { pool, .. } => Some(pool.window()),
            Self::Encoder { .. } => None,
        }
    }

    /// How often its value was changed in place.
    pub(super) fn changes(&self) -> usize {
        match self {
            Self::Conv(step) => usize::from(step.plus.is_some()) + usize::from(step.end == End::Rectified),
            Self::MaxPool { .. } | Self::Encoder { .. } => 0,
        }
    }

    pub(super) fn plus(&self) -> Option<usize> {
        match self {
            Self::Conv(step) => step.plus,
            Self::MaxPool { .. } | Self::Encoder { .. } => None,
        }
    }

    fn uses(&self, value: usize) -> bool {
        self.from() == value || self.plus() == Some(value)
    }
}

impl<T: Element> Convolve<T> {
    fn forward(
        &self,
        (from, x): (Maps, &[T]),
        plus: Option<&[T]>,
        out: &mut [T],
        rows: &mut Vec<T>,
        keep: Keep,
    ) -> Left<T> {
        let sum = |block: &mut [T], first: usize| {
            add_to_rows(block, &self.bias);
            if let Some(plus) = plus {
                add(block, &plus[first..first + block.len()]);
            }
        };
        match (self.end, keep) {
            (End::Linear, _) => {
                self.conv.forward(from, x, out, rows, sum);
                Left::Nothing
            }
            (End::Rectified, Keep::Nothing) => {
                self.conv.forward(from, x, out, rows, |block, first| {
                    sum(block, first);
                    rectify(block);
                });
                Left::Nothing
            }
            (End::Rectified, Keep::ForBack) => {
                let mut marks = Vec::with_capacity(out.len());
                self.conv.forward(from, x, out, rows, |block, first| {
                    sum(block, first);
                    mark(block, &mut marks);
                    rectify(block);
                });
                Left::Marks(marks)
            }
        }
    }
}
