//! A frozen convolution over maps whose channels lie side by side: a product with the rows under its window.

use super::Maps;
use super::slide::Slide;
use crate::gemm::{Onto, gemm_onto};
use crate::{Element, Matrix, Threads, Window};

/// A convolution with its weights laid out for both passes.
#[derive(Clone, Debug)]
pub(super) struct Conv<T> {
    window: Window,
    inputs: usize,
    outputs: usize,
    /// `[kh · kw · in, out]`.
    weight: Vec<T>,
    /// The window turned round and `[kh · kw · out, in]`: where the stride is 1 the gradient is a convolution, too.
    turned: Option<(Window, Vec<T>)>,
}

impl<T: Element> Conv<T> {
    /// `weight` is `[out, in, kh, kw]`.
    pub fn new(window: Window, inputs: usize, outputs: usize, weight: &[T]) -> Self {
        let taps = window.kernel.0 * window.kernel.1;
        assert_eq!(weight.len(), outputs * inputs * taps, "length of the weight");
        let at = |o: usize, i: usize, tap: usize| weight[(o * inputs + i) * taps + tap];
        let forward = layout(taps, inputs, outputs, |tap, i, o| at(o, i, tap));
        let turned = turned(window).filter(|_| taps > 1);
        let turned = turned
            .map(|turned| (turned, layout(taps, outputs, inputs, |tap, o, i| at(o, i, taps - 1 - tap))));
        Self { window, inputs, outputs, weight: forward, turned }
    }

    pub fn window(&self) -> Window {
        self.window
    }

    /// The shape that comes out; `None` if the window does not fit or the channels differ.
    pub fn output(&self, from: Maps) -> Option<Maps> {
        let slide = Slide::new(self.window, from)?;
        (from.channels == self.inputs).then(|| slide.output(self.outputs))
    }

    /// Blocks of the output, one after the other: `begin` sets them, the product is added, and `end` finishes them
    /// while they are in the cache. Both get the block and the index of its first element.
    pub fn forward(
        &self,
        from: Maps,
        x: &[T],
        out: &mut [T],
        rows: &mut Vec<T>,
        begin: impl Fn(&mut [T], usize),
        mut end: impl FnMut(&mut [T], usize),
    ) {
        let Some(slide) = Slide::new(self.window, from) else { return };
        let weight = Matrix::new(&self.weight, slide.depth(), self.outputs);
        for block in slide.blocks::<T>() {
            let first = block.start * self.outputs;
            let part = &mut out[first..block.end * self.outputs];
            begin(part, first);
            gemm_onto(Onto::Sum, part, slide.unfold(&block, x, rows), weight, Threads::One);
            end(part, first);
        }
    }

    /// The gradient at an input of shape `from`, added to `dx` or written over it.
    pub fn input_gradient(&self, from: Maps, g: &[T], dx: &mut [T], rows: &mut Vec<T>, onto: Onto) {
        let Some(slide) = Slide::new(self.window, from) else { return };
        let to = slide.output(self.outputs);
        match &self.turned {
            Some((window, weight)) => {
                let Some(back) = Slide::new(*window, to) else { return };
                let weight = Matrix::new(weight, back.depth(), self.inputs);
                for block in back.blocks::<T>() {
                    let part = &mut dx[block.start * self.inputs..block.end * self.inputs];
                    gemm_onto(onto, part, back.unfold(&block, g, rows), weight, Threads::One);
                }
            }
            None => self.scatter(slide, g, dx, rows, onto),
        }
    }

    /// The gradient by way of the rows under the window.
    fn scatter(&self, slide: Slide, g: &[T], dx: &mut [T], rows: &mut Vec<T>, onto: Onto) {
        let weight = Matrix::new(&self.weight, slide.depth(), self.outputs).transposed();
        if onto == Onto::Nothing && !slide.is_pointwise() {
            dx.fill(T::ZERO);
        }
        for block in slide.blocks::<T>() {
            let part = Matrix::new(
                &g[block.start * self.outputs..block.end * self.outputs],
                block.len(),
                self.outputs,
            );
            if slide.is_pointwise() {
                let dx = &mut dx[block.start * self.inputs..block.end * self.inputs];
                gemm_onto(onto, dx, part, weight, Threads::One);
                continue;
            }
            rows.resize(block.len() * slide.depth(), T::ZERO);
            gemm_onto(Onto::Nothing, rows, part, weight, Threads::One);
            slide.fold(&block, rows, dx);
        }
    }
}

/// `[taps, rows, columns]` in one run.
fn layout<T>(taps: usize, rows: usize, columns: usize, at: impl Fn(usize, usize, usize) -> T) -> Vec<T> {
    let places = (0..taps).flat_map(|tap| (0..rows).map(move |row| (tap, row)));
    places
        .flat_map(|(tap, row)| (0..columns).map(move |column| (tap, row, column)))
        .map(|(t, r, c)| at(t, r, c))
        .collect()
}

/// The window of the gradient, which slides over the output; `None` where the gradient is no plain convolution.
fn turned(window: Window) -> Option<Window> {
    let padding = |kernel: usize, padding: usize| (kernel - 1).checked_sub(padding);
    let plain = window.stride == (1, 1) && window.dilation == (1, 1);
    let padding = (padding(window.kernel.0, window.padding.0)?, padding(window.kernel.1, window.padding.1)?);
    plain.then_some(Window { padding, ..window })
}
