use crate::even::even_blocks;
use crate::gemm::{Onto, gemm_columns, gemm_onto, product};
use crate::room::{Scratch, filled, grown, written};
use crate::simd::vectorized;
use crate::{Element, Matrix, Threads, Window, gemm};
use rayon::prelude::*;
use std::ops::Range;

/// The geometry of a two-dimensional convolution (cross-correlation, as in PyTorch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Images in the batch.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Groups of channels that do not see each other; divides both channel counts.
    pub groups: usize,
    /// Height and width of the input.
    pub input: (usize, usize),
    /// How the kernel slides.
    pub window: Window,
}

/// Sizes derived from a [`Conv2d`], per image and group.
struct Sizes {
    /// Output positions.
    places: (usize, usize),
    /// Rows of the unfolded input: channels of the group times window elements.
    taps: usize,
    /// Output channels of the group.
    outputs: usize,
    /// Elements of one image and group in the input, in the output, and weights of one group.
    input: usize,
    output: usize,
    weights: usize,
}

/// Unfolded elements that stay in the second-level cache while they are multiplied.
const TOGETHER: usize = 1 << 19;

impl Sizes {
    fn area(&self) -> usize {
        self.places.0 * self.places.1
    }

    /// The rows of the output, cut so that each part's unfolded input stays in the cache.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let row = (self.taps * self.places.1).max(1);
        even_blocks(self.places.0, (TOGETHER / row).max(1))
    }

    /// The places in some rows of the output.
    fn columns(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start * self.places.1..rows.end * self.places.1
    }
}

impl Conv2d {
    /// Height and width of the output.
    ///
    /// # Panics
    /// If the window does not fit; callers check [`Window::places`] first.
    pub fn output(&self) -> (usize, usize) {
        self.window.places(self.input).expect("the window fits the padded input")
    }

    fn sizes(&self) -> Sizes {
        let places = self.output();
        let channels = self.in_channels / self.groups;
        let taps = channels * self.window.kernel.0 * self.window.kernel.1;
        let outputs = self.out_channels / self.groups;
        Sizes {
            places,
            taps,
            outputs,
            input: channels * self.input.0 * self.input.1,
            output: outputs * places.0 * places.1,
            weights: outputs * taps,
        }
    }

    /// Whether unfolding would copy the input unchanged.
    fn is_pointwise(&self) -> bool {
        self.window == Window::square(1, 1, 0)
    }

    fn threads(&self) -> Threads {
        let tasks = self.batch * self.groups;
        if tasks < rayon::current_num_threads() { Threads::All } else { Threads::One }
    }
}

/// The convolution of `x` `[batch, in, h, w]` with `weight` `[out, in / groups, kh, kw]` plus `bias` `[out]`;
/// gives `[batch, out, oh, ow]`.
///
/// # Panics
/// If a slice's length does not fit the geometry.
pub fn conv2d<T: Element>(conv: &Conv2d, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let sizes = conv.sizes();
    check(conv, &sizes, x.len(), weight.len(), None);
    let (threads, places) = (conv.threads(), sizes.area());
    written(conv.batch * conv.groups * sizes.output, sizes.output, Scratch::take, |columns, task, room| {
        let (x, group) = (&x[task * sizes.input..][..sizes.input], task % conv.groups);
        let weight = &weight[group * sizes.weights..][..sizes.weights];
        let weight = Matrix::new(weight, sizes.outputs, sizes.taps);
        let bias = bias.map(|bias| &bias[group * sizes.outputs..][..sizes.outputs]);
        if conv.is_pointwise() {
            let out = product(room, weight, Matrix::new(x, sizes.taps, places), threads);
            add_bias(bias, out);
            return out;
        }
        let out = filled(room, T::ZERO);
        add_bias(bias, out);
        for rows in sizes.blocks() {
            let block = sizes.columns(&rows);
            let columns = unfold(conv, &sizes, x, rows, columns);
            let columns = Matrix::new(columns, sizes.taps, block.len());
            gemm_columns(out, (places, block), weight, columns, threads);
        }
        out
    })
}

/// The gradient with respect to the input, given `gradient` `[batch, out, oh, ow]`.
///
/// # Panics
/// If a slice's length does not fit the geometry.
pub fn conv2d_input_gradient<T: Element>(conv: &Conv2d, gradient: &[T], weight: &[T]) -> Vec<T> {
    let sizes = conv.sizes();
    let inputs = conv.batch * conv.groups * sizes.input;
    check(conv, &sizes, inputs, weight.len(), Some(gradient.len()));
    let (threads, places) = (conv.threads(), sizes.area());
    written(inputs, sizes.input, Scratch::take, |columns, task, room| {
        let weight = &weight[task % conv.groups * sizes.weights..][..sizes.weights];
        let weight = Matrix::new(weight, sizes.outputs, sizes.taps).transposed();
        let gradient = Matrix::new(&gradient[task * sizes.output..][..sizes.output], sizes.outputs, places);
        if conv.is_pointwise() {
            return product(room, weight, gradient, threads);
        }
        let out = filled(room, T::ZERO);
        for rows in sizes.blocks() {
            let block = sizes.columns(&rows);
            let columns = grown(columns, sizes.taps * block.len());
            gemm_onto(Onto::Nothing, columns, weight, gradient.columns(block), threads);
            fold(conv, &sizes, columns, rows, out);
        }
        out
    })
}

/// The gradient with respect to the weight, given `gradient` `[batch, out, oh, ow]` and the input `x`.
///
/// # Panics
/// If a slice's length does not fit the geometry.
pub fn conv2d_weight_gradient<T: Element>(conv: &Conv2d, gradient: &[T], x: &[T]) -> Vec<T> {
    let sizes = conv.sizes();
    let weights = conv.groups * sizes.weights;
    check(conv, &sizes, x.len(), weights, Some(gradient.len()));
    let places = sizes.area();
    let images_per_part = conv.batch.div_ceil(rayon::current_num_threads()).max(1);
    let parts: Vec<Vec<T>> = (0..conv.batch.div_ceil(images_per_part))
        .into_par_iter()
        .map(|part| {
            let (mut sum, mut columns) = (vec![T::ZERO; weights], Vec::new());
            let images = part * images_per_part..conv.batch.min((part + 1) * images_per_part);
            for task in images.start * conv.groups..images.end * conv.groups {
                let x = &x[task * sizes.input..][..sizes.input];
                let columns = unfold(conv, &sizes, x, 0..sizes.places.0, &mut columns);
                let columns = Matrix::new(columns, sizes.taps, places).transposed();
                let gradient = &gradient[task * sizes.output..][..sizes.output];
                let sum = &mut sum[task % conv.groups * sizes.weights..][..sizes.weights];
                gemm(sum, Matrix::new(gradient, sizes.outputs, places), columns, Threads::One);
            }
            sum
        })
        .collect();
    sum_in_order(parts, weights)
}

fn sum_in_order<T: Element>(parts: Vec<Vec<T>>, len: usize) -> Vec<T> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![T::ZERO; len]);
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
    }
    sum
}

fn check(conv: &Conv2d, sizes: &Sizes, x: usize, weight: usize, gradient: Option<usize>) {
    let divided = |channels: usize| conv.groups > 0 && channels.is_multiple_of(conv.groups);
    assert!(
        divided(conv.in_channels) && divided(conv.out_channels),
        "groups must divide both channel counts"
    );
    assert_eq!(x, conv.batch * conv.groups * sizes.input, "length of the input");
    assert_eq!(weight, conv.groups * sizes.weights, "length of the weight");
    if let Some(gradient) = gradient {
        assert_eq!(gradient, conv.batch * conv.groups * sizes.output, "length of the gradient");
    }
}

/// Adds its bias to every channel.
fn add_bias<T: Element>(bias: Option<&[T]>, out: &mut [T]) {
    let Some(bias) = bias.filter(|bias| !bias.is_empty() && !out.is_empty()) else { return };
    let area = out.len() / bias.len();
    vectorized(
        #[inline(always)]
        || {
            for (plane, &bias) in out.chunks_exact_mut(area).zip(bias) {
                plane.iter_mut().for_each(|v| *v += bias);
            }
        },
    );
}

/// Unfolds what some rows of the output see of one image and group into `[taps, places]` ("im2col"); a pointwise
/// convolution needs no copy.
fn unfold<'a, T: Element>(
    conv: &Conv2d,
    sizes: &Sizes,
    x: &'a [T],
    rows: Range<usize>,
    columns: &'a mut Vec<T>,
) -> &'a [T] {
    if conv.is_pointwise() {
        return x;
    }
    let places = sizes.columns(&rows).len();
    let columns = grown(columns, sizes.taps * places);
    for (tap, part) in columns.chunks_exact_mut(places).enumerate() {
        let (plane, ky, kx) = split_tap(conv, tap);
        let plane = &x[plane * conv.input.0 * conv.input.1..][..conv.input.0 * conv.input.1];
        let Some((inside, first)) = reach(conv, sizes, kx) else {
            part.fill(T::ZERO);
            continue;
        };
        for (oy, line) in rows.clone().zip(part.chunks_exact_mut(sizes.places.1)) {
            let Some(y) = conv.window.row(oy, ky, conv.input.0) else {
                line.fill(T::ZERO);
                continue;
            };
            let input = &plane[y * conv.input.1..][first..conv.input.1];
            line[..inside.start].fill(T::ZERO);
            line[inside.end..].fill(T::ZERO);
            copy_line(conv.window.stride.1, input, &mut line[inside.clone()]);
        }
    }
    columns
}

/// Adds `[taps, places]` of some rows of the output back into one image and group: the transpose of [`unfold`]
/// ("col2im").
fn fold<T: Element>(conv: &Conv2d, sizes: &Sizes, columns: &[T], rows: Range<usize>, out: &mut [T]) {
    let places = sizes.columns(&rows).len();
    vectorized(
        #[inline(always)]
        || {
            for (tap, part) in columns.chunks_exact(places).enumerate() {
                let (plane, ky, kx) = split_tap(conv, tap);
                let plane = &mut out[plane * conv.input.0 * conv.input.1..][..conv.input.0 * conv.input.1];
                let Some((inside, first)) = reach(conv, sizes, kx) else { continue };
                for (oy, line) in rows.clone().zip(part.chunks_exact(sizes.places.1)) {
                    if let Some(y) = conv.window.row(oy, ky, conv.input.0) {
                        let output = &mut plane[y * conv.input.1..][first..conv.input.1];
                        add_line(conv.window.stride.1, &line[inside.clone()], output);
                    }
                }
            }
        },
    );
}

fn split_tap(conv: &Conv2d, tap: usize) -> (usize, usize, usize) {
    let (kh, kw) = conv.window.kernel;
    (tap / (kh * kw), tap / kw % kh, tap % kw)
}

/// The places at which window column `kx` lies inside the input, and the input column under the first of them.
fn reach(conv: &Conv2d, sizes: &Sizes, kx: usize) -> Option<(Range<usize>, usize)> {
    let inside = conv.window.columns_inside(kx, conv.input.1, sizes.places.1);
    let first = conv.window.column(inside.start, kx, conv.input.1)?;
    Some((inside, first))
}

fn copy_line<T: Copy>(stride: usize, input: &[T], line: &mut [T]) {
    match stride {
        1 => line.copy_from_slice(&input[..line.len()]),
        _ => line.iter_mut().zip(input.iter().step_by(stride)).for_each(|(l, &v)| *l = v),
    }
}

#[inline(always)]
fn add_line<T: Element>(stride: usize, line: &[T], output: &mut [T]) {
    match stride {
        1 => output.iter_mut().zip(line).for_each(|(o, &v)| *o += v),
        _ => output.iter_mut().step_by(stride).zip(line).for_each(|(o, &v)| *o += v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Relative error that reordering sums of a few hundred terms may bring in double precision.
    const TOLERANCE: f64 = 1e-12;

    fn wave(len: usize, step: f64) -> Vec<f64> {
        (0..len).map(|i| (i as f64 * step).sin()).collect()
    }

    fn geometry() -> impl Strategy<Value = Conv2d> {
        let window =
            ((1usize..4, 1usize..4), (1usize..4, 1usize..4), (0usize..4, 0usize..4), (1usize..3, 1usize..3));
        (0usize..4, 1usize..3, 1usize..3, 1usize..4, (5usize..9, 5usize..9), window).prop_map(
            |(batch, inputs, outputs, groups, input, (kernel, stride, padding, dilation))| Conv2d {
                batch,
                in_channels: inputs * groups,
                out_channels: outputs * groups,
                groups,
                input,
                window: Window { kernel, stride, padding, dilation },
            },
        )
    }

    /// Calls `visit(output index, input index, weight index)` for every product in the definition.
    fn products(conv: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
        let ((oh, ow), (h, w), (kh, kw)) = (conv.output(), conv.input, conv.window.kernel);
        let (ci, co) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
        for n in 0..conv.batch {
            for o in 0..conv.out_channels {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    for (c, ky, kx) in
                        (0..ci).flat_map(|c| (0..kh).flat_map(move |ky| (0..kw).map(move |kx| (c, ky, kx))))
                    {
                        let (Some(iy), Some(ix)) = (conv.window.row(y, ky, h), conv.window.column(x, kx, w))
                        else {
                            continue;
                        };
                        visit(
                            ((n * conv.out_channels + o) * oh + y) * ow + x,
                            ((n * conv.in_channels + o / co * ci + c) * h + iy) * w + ix,
                            ((o * ci + c) * kh + ky) * kw + kx,
                        );
                    }
                }
            }
        }
    }

    fn assert_close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        let scale = b.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * scale));
    }

    proptest! {
        #[test]
        fn forward_and_both_gradients_equal_their_definition(conv in geometry()) {
            let (oh, ow) = conv.output();
            let x = wave(conv.batch * conv.in_channels * conv.input.0 * conv.input.1, 0.37);
            let weight = wave(conv.out_channels * conv.in_channels / conv.groups * conv.window.kernel.0 * conv.window.kernel.1, 0.71);
            let bias = wave(conv.out_channels, 1.3);
            let gradient = wave(conv.batch * conv.out_channels * oh * ow, 0.53);
            let mut out: Vec<f64> = (0..gradient.len()).map(|i| bias[i / (oh * ow) % conv.out_channels]).collect();
            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
            products(&conv, |o, i, w| {
                out[o] += x[i] * weight[w];
                dx[i] += gradient[o] * weight[w];
                dw[w] += gradient[o] * x[i];
            });
            assert_close(&conv2d(&conv, &x, &weight, Some(&bias)), &out);
            assert_close(&conv2d_input_gradient(&conv, &gradient, &weight), &dx);
            assert_close(&conv2d_weight_gradient(&conv, &gradient, &x), &dw);
        }
    }
}
