//! A frozen convolution over maps whose channels lie side by side.

use super::slide::Slide;
use super::winograd::Winograd;
use super::workers::{Beside, Workers, blocks, split_off};
use super::{Maps, Multiply};
use crate::even::even_blocks;
use crate::gemm::{Onto, gemm_onto};
use crate::room::grown;
use crate::{Element, Matrix, Window};

/// A convolution with its weights laid out for both passes.
#[derive(Clone, Debug)]
pub(super) struct Conv<T> {
    window: Window,
    inputs: usize,
    outputs: usize,
    passes: Passes<T>,
}

#[derive(Clone, Debug)]
enum Passes<T> {
    /// The window slides by one, so that the gradient is a convolution, too.
    Slides { forward: Sliding<T>, back: Sliding<T> },
    /// The gradient goes back by the rows under the window.
    Scatters(Rows<T>),
}

/// A convolution in one direction.
#[derive(Clone, Debug)]
enum Sliding<T> {
    Rows(Rows<T>),
    Winograd(Winograd<T>),
}

/// A product with the rows under the window.
#[derive(Clone, Debug)]
struct Rows<T> {
    window: Window,
    outputs: usize,
    /// `[kh · kw · in, out]`.
    weight: Vec<T>,
}

impl<T: Element> Conv<T> {
    /// `weight` is `[out, in, kh, kw]`.
    pub fn new(window: Window, inputs: usize, outputs: usize, weight: &[T], multiply: Multiply) -> Self {
        let taps = window.kernel.0 * window.kernel.1;
        assert_eq!(weight.len(), outputs * inputs * taps, "length of the weight");
        let at = |o: usize, i: usize, tap: usize| weight[(o * inputs + i) * taps + tap];
        let passes = match turned(window) {
            Some(back) => Passes::Slides {
                forward: Sliding::new(window, (inputs, outputs), multiply, |tap, i, o| at(o, i, tap)),
                back: Sliding::new(back, (outputs, inputs), multiply, |tap, o, i| at(o, i, taps - 1 - tap)),
            },
            None => Passes::Scatters(Rows::new(window, (inputs, outputs), |tap, i, o| at(o, i, tap))),
        };
        Self { window, inputs, outputs, passes }
    }

    /// The same convolution with other weights, multiplied out like this.
    pub fn with(&self, weight: &[T], multiply: Multiply) -> Self {
        Self::new(self.window, self.inputs, self.outputs, weight, multiply)
    }

    pub fn window(&self) -> Window {
        self.window
    }

    /// The shape that comes out; `None` if the window does not fit or the channels differ.
    pub fn output(&self, from: Maps) -> Option<Maps> {
        let slide = Slide::new(self.window, from)?;
        (from.channels == self.inputs).then(|| slide.output(self.outputs))
    }

    /// Blocks of the output, one after the other: `end` finishes them while they are in the cache. It gets the block and
    /// the index of its first element.
    pub fn forward(
        &self,
        (from, x): (Maps, &[T]),
        (out, beside): (&mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        self.run(self.window.padding, (from, x), (out, beside), workers, end);
    }

    /// [`forward`](Self::forward) over maps that have their padding with them.
    pub fn forward_inside(
        &self,
        (from, x): (Maps, &[T]),
        (out, beside): (&mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        self.run((0, 0), (from, x), (out, beside), workers, end);
    }

    fn run(
        &self,
        padding: (usize, usize),
        (from, x): (Maps, &[T]),
        (out, beside): (&mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        let Some(slide) = Slide::new(Window { padding, ..self.window }, from) else { return };
        match &self.passes {
            Passes::Slides { forward: Sliding::Winograd(winograd), .. } => {
                let maps = (from, slide.output(self.outputs));
                winograd.run(padding, maps, x, (Onto::Nothing, out, beside), workers, end);
            }
            Passes::Slides { forward: Sliding::Rows(rows), .. } | Passes::Scatters(rows) => {
                rows.forward(slide, x, (Onto::Nothing, out, beside), workers, end);
            }
        }
    }

    /// Products of one place of the output.
    pub fn products(&self) -> usize {
        self.window.kernel.0 * self.window.kernel.1 * self.inputs * self.outputs
    }

    /// The gradient at an input of shape `from`, added to `dx` or written over it.
    pub fn input_gradient(&self, from: Maps, g: &[T], (dx, onto): (&mut [T], Onto), workers: Workers<T>) {
        let Some(slide) = Slide::new(self.window, from) else { return };
        match &self.passes {
            Passes::Slides { back, .. } => {
                let maps = (slide.output(self.outputs), from);
                back.run(maps, g, (onto, dx, Beside::default()), workers, |_, _, _| {});
            }
            Passes::Scatters(rows) => rows.scatter(slide, g, (dx, onto), workers),
        }
    }
}

impl<T: Element> Sliding<T> {
    /// `at(tap, in, out)` is the weight.
    fn new(
        window: Window,
        (inputs, outputs): (usize, usize),
        multiply: Multiply,
        at: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        match multiply {
            Multiply::Fast if Winograd::<T>::fits(window) => {
                Self::Winograd(Winograd::new(window.padding, (inputs, outputs), at))
            }
            _ => Self::Rows(Rows::new(window, (inputs, outputs), at)),
        }
    }

    fn run(
        &self,
        (from, to): (Maps, Maps),
        x: &[T],
        out: (Onto, &mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        match self {
            Self::Winograd(winograd) => winograd.run(winograd.padding(), (from, to), x, out, workers, end),
            Self::Rows(rows) => {
                let Some(slide) = Slide::new(rows.window, from) else { return };
                rows.forward(slide, x, out, workers, end);
            }
        }
    }
}

impl<T: Element> Rows<T> {
    /// `at(tap, in, out)` is the weight.
    fn new(window: Window, (inputs, outputs): (usize, usize), at: impl Fn(usize, usize, usize) -> T) -> Self {
        let taps = window.kernel.0 * window.kernel.1;
        let rows = (0..taps).flat_map(|tap| (0..inputs).map(move |i| (tap, i)));
        let weight = rows.flat_map(|(tap, i)| (0..outputs).map(move |o| (tap, i, o)));
        Self { window, outputs, weight: weight.map(|(tap, i, o)| at(tap, i, o)).collect() }
    }

    fn forward(
        &self,
        slide: Slide,
        x: &[T],
        (onto, mut out, mut beside): (Onto, &mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        let weight = Matrix::new(&self.weight, slide.depth(), self.outputs);
        let (blocks, inside) = blocks(workers.threads, slide.rows(), slide.block::<T>());
        let blocks = blocks.map(|block| {
            let len = block.len() * self.outputs;
            (block, split_off(&mut out, len), beside.split_off(len))
        });
        workers.for_each(blocks, |scratch, (block, part, beside)| {
            gemm_onto(onto, part, slide.unfold(&block, x, scratch), weight, inside);
            end(part, beside, block.start * self.outputs);
        });
    }

    /// The gradient by way of the rows under the window.
    fn scatter(&self, slide: Slide, g: &[T], (dx, onto): (&mut [T], Onto), workers: Workers<T>) {
        let (depth, outputs) = (slide.depth(), self.outputs);
        let weight = Matrix::new(&self.weight, depth, outputs).transposed();
        onto.begin(dx);
        for block in even_blocks(slide.rows(), slide.block::<T>()) {
            let part = Matrix::new(&g[block.start * outputs..block.end * outputs], block.len(), outputs);
            let rows = grown(workers.room, block.len() * depth);
            gemm_onto(Onto::Nothing, rows, part, weight, workers.threads);
            slide.fold(&block, rows, dx);
        }
    }
}

/// The window of the gradient, which slides over the output; `None` where the gradient is no plain convolution.
fn turned(window: Window) -> Option<Window> {
    let padding = |kernel: usize, padding: usize| (kernel - 1).checked_sub(padding);
    let plain = window.stride == (1, 1) && window.dilation == (1, 1);
    let padding = (padding(window.kernel.0, window.padding.0)?, padding(window.kernel.1, window.padding.1)?);
    plain.then_some(Window { padding, ..window })
}
