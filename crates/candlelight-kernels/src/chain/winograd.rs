//! Winograd's minimal filtering F(2x2, 3x3): a 3x3 convolution of stride 1 by 16 products for every 2x2 of its outputs,
//! where the definition takes 36 ([Lavin and Gray 2015](https://arxiv.org/abs/1509.09308)).
//!
//! Tiles of 4x4 elements, two apart, are transformed along both axes (Bᵀ·d·B), multiplied with the transformed weights
//! element by element (one matrix product over the channels for each of the 16), and transformed back (Aᵀ·m·A).

use super::Maps;
use super::workers::{Beside, Workers, blocks, split_off};
use crate::gemm::{Onto, gemm_onto};
use crate::room::grown;
use crate::simd::vectorized;
use crate::{Element, Matrix, Threads, Window};

/// Elements along a tile.
const TILE: usize = 4;
/// Products of a tile.
const PRODUCTS: usize = TILE * TILE;
/// Outputs along a tile, which is how far tiles are apart.
const STEP: usize = 2;
/// Bytes of transformed tiles that are worked on together.
const BLOCK_BYTES: usize = 1 << 20;
/// Tiles below which packing the weights costs more than it should.
const LEAST_TILES: usize = 256;

/// A convolution that slides by one.
#[derive(Clone, Debug)]
pub(super) struct Winograd<T> {
    padding: (usize, usize),
    inputs: usize,
    outputs: usize,
    /// G·g·Gᵀ, `[16, in, out]`.
    weight: Vec<T>,
}

/// The tiles of a batch.
struct Tiles {
    from: Maps,
    to: Maps,
    padding: (usize, usize),
    /// Rows of tiles in an image, and tiles in a row.
    count: (usize, usize),
}

impl<T: Element> Winograd<T> {
    /// Whether there is such a form of a convolution.
    pub fn fits(window: Window) -> bool {
        window == Window { padding: window.padding, ..Window::square(3, 1, 0) }
    }

    /// `at(tap, in, out)` is the weight.
    pub fn new(
        padding: (usize, usize),
        (inputs, outputs): (usize, usize),
        at: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let pairs = inputs * outputs;
        let mut weight = vec![T::ZERO; PRODUCTS * pairs];
        for pair in 0..pairs {
            let taps: [f64; 9] = std::array::from_fn(|tap| at(tap, pair / outputs, pair % outputs).to_f64());
            for (product, value) in transformed(taps).into_iter().enumerate() {
                weight[product * pairs + pair] = T::from_f64(value);
            }
        }
        Self { padding, inputs, outputs, weight }
    }

    /// The convolution's own.
    pub fn padding(&self) -> (usize, usize) {
        self.padding
    }

    /// Blocks of the output `to`, one after the other: `end` finishes them. It gets the block and the index of its first
    /// element.
    pub fn run(
        &self,
        padding: (usize, usize),
        (from, to): (Maps, Maps),
        x: &[T],
        (onto, mut out, mut beside): (Onto, &mut [T], Beside<T>),
        workers: Workers<T>,
        end: impl Fn(&mut [T], Beside<T>, usize) + Sync,
    ) {
        let tiles = Tiles::new(from, to, padding);
        let (blocks, inside) = blocks(workers.threads, tiles.rows(), tiles.block::<T>());
        let blocks = blocks.map(|rows| {
            let len = tiles.outputs(rows.end) - tiles.outputs(rows.start);
            (rows, split_off(&mut out, len), beside.split_off(len))
        });
        workers.for_each(blocks, |scratch, (rows, block, beside)| {
            let count = rows.len() * tiles.count.1;
            let sizes = [tiles.lines(), PRODUCTS * count * self.inputs, PRODUCTS * count * self.outputs];
            let (lines, rest) = grown(scratch, sizes.iter().sum()).split_at_mut(sizes[0]);
            let (transformed, products) = rest.split_at_mut(sizes[1]);
            vectorized(
                #[inline(always)]
                || tiles.enter(rows.clone(), x, lines, transformed),
            );
            self.multiply((count, inside), transformed, products);
            vectorized(
                #[inline(always)]
                || tiles.leave(rows.clone(), products, lines, (onto, &mut *block)),
            );
            end(block, beside, tiles.outputs(rows.start));
        });
    }

    /// The 16 products of `count` tiles.
    fn multiply(&self, (count, threads): (usize, Threads), transformed: &[T], products: &mut [T]) {
        let weights = self.weight.chunks_exact(self.inputs * self.outputs);
        let tiles = transformed.chunks_exact(count * self.inputs);
        for ((product, tiles), weight) in
            products.chunks_exact_mut(count * self.outputs).zip(tiles).zip(weights)
        {
            let tiles = Matrix::new(tiles, count, self.inputs);
            let weight = Matrix::new(weight, self.inputs, self.outputs);
            gemm_onto(Onto::Nothing, product, tiles, weight, threads);
        }
    }
}

impl Tiles {
    fn new(from: Maps, to: Maps, padding: (usize, usize)) -> Self {
        Self { from, to, padding, count: (to.height.div_ceil(STEP), to.width.div_ceil(STEP)) }
    }

    /// Rows of tiles, counted through all images.
    fn rows(&self) -> usize {
        self.from.images * self.count.0
    }

    /// How many of them are worked on together.
    fn block<T>(&self) -> usize {
        let row_bytes = PRODUCTS * self.count.1 * (self.from.channels + self.to.channels) * size_of::<T>();
        let least = LEAST_TILES.div_ceil(self.count.1.max(1));
        (BLOCK_BYTES / row_bytes.max(1)).max(least)
    }

    /// Elements of the output before this row of tiles.
    fn outputs(&self, row: usize) -> usize {
        let (image, row) = (row / self.count.0, row % self.count.0);
        (image * self.to.height + row * STEP) * self.to.width * self.to.channels
    }

    /// Elements of a row of tiles that is transformed along one axis, with a row of zeros behind it; enough for a tile on
    /// its way back.
    fn lines(&self) -> usize {
        let line = (self.count.1 + 1) * STEP * self.from.channels;
        (TILE * line + self.from.width * self.from.channels).max((TILE * STEP + 1) * self.to.channels)
    }

    /// Bᵀ·d·B of rows of tiles, `[16, tiles, channels]`.
    #[inline(always)]
    fn enter<T: Element>(&self, rows: std::ops::Range<usize>, x: &[T], lines: &mut [T], out: &mut [T]) {
        let channels = self.from.channels;
        let (first, plane) = (rows.start, rows.len() * self.count.1 * channels);
        let line = (self.count.1 + 1) * STEP * channels;
        lines[TILE * line..].fill(T::ZERO);
        for row in rows {
            self.down(row, x, lines);
            for (line, planes) in lines.chunks_exact(line).zip(out.chunks_exact_mut(TILE * plane)) {
                let at = (row - first) * self.count.1 * channels;
                let mut planes = split(planes);
                for tile in 0..self.count.1 {
                    let columns = split_ref(&line[tile * STEP * channels..][..TILE * channels]);
                    let range = at + tile * channels..at + (tile + 1) * channels;
                    let [a, b, c, d] = &mut planes;
                    let out =
                        [&mut a[range.clone()], &mut b[range.clone()], &mut c[range.clone()], &mut d[range]];
                    transform(columns, out);
                }
            }
        }
    }

    /// Bᵀ·d of one row of tiles: four lines of all its columns, the padding among them.
    #[inline(always)]
    fn down<T: Element>(&self, row: usize, x: &[T], lines: &mut [T]) {
        let Maps { height, width, channels, .. } = self.from;
        let line = (self.count.1 + 1) * STEP * channels;
        let (lines, zeros) = lines.split_at_mut(TILE * line);
        let (image, top) = (row / self.count.0, row % self.count.0 * STEP);
        let left = (self.padding.1 * channels).min(line);
        let shown = (width * channels).min(line - left);
        let source = |k: usize| match (top + k).checked_sub(self.padding.0).filter(|&y| y < height) {
            Some(y) => &x[(image * height + y) * width * channels..][..shown],
            None => &zeros[..shown],
        };
        let middle = split(lines).map(|line| {
            line[..left].fill(T::ZERO);
            line[left + shown..].fill(T::ZERO);
            &mut line[left..left + shown]
        });
        transform([source(0), source(1), source(2), source(3)], middle);
    }

    /// Aᵀ·m·A of rows of tiles: the block of the output that they make.
    #[inline(always)]
    fn leave<T: Element>(
        &self,
        rows: std::ops::Range<usize>,
        products: &[T],
        space: &mut [T],
        (onto, out): (Onto, &mut [T]),
    ) {
        let Maps { height, width, channels, .. } = self.to;
        let (first, tiles) = (rows.start, rows.len() * self.count.1);
        let (halves, rest) = space.split_at_mut(TILE * STEP * channels);
        let beyond = &mut rest[..channels];
        for row in rows {
            let start = self.outputs(row) - self.outputs(first);
            let lines = STEP.min(height - row % self.count.0 * STEP);
            for tile in 0..self.count.1 {
                let at = ((row - first) * self.count.1 + tile) * channels;
                let product = |k: usize| &products[k * tiles * channels + at..][..channels];
                let (top, bottom) = halves.split_at_mut(TILE * channels);
                for (k, (top, bottom)) in
                    top.chunks_exact_mut(channels).zip(bottom.chunks_exact_mut(channels)).enumerate()
                {
                    let column =
                        [product(k), product(TILE + k), product(2 * TILE + k), product(3 * TILE + k)];
                    back(Onto::Nothing, column, top, bottom);
                }
                for (line, half) in halves.chunks_exact(TILE * channels).take(lines).enumerate() {
                    let place = start + (line * width + tile * STEP) * channels;
                    let (left, right) = out[place..].split_at_mut(channels);
                    let right = match tile * STEP + 1 < width {
                        true => &mut right[..channels],
                        false => &mut *beyond,
                    };
                    back(onto, split_ref(half), left, right);
                }
            }
        }
    }
}

/// Bᵀ along one axis.
#[inline(always)]
fn transform<T: Element>([a, b, c, d]: [&[T]; TILE], [w, x, y, z]: [&mut [T]; TILE]) {
    let n = a.len();
    let (b, c, d) = (&b[..n], &c[..n], &d[..n]);
    let (w, x, y, z) = (&mut w[..n], &mut x[..n], &mut y[..n], &mut z[..n]);
    for i in 0..n {
        w[i] = a[i] - c[i];
        x[i] = b[i] + c[i];
        y[i] = c[i] - b[i];
        z[i] = b[i] - d[i];
    }
}

/// Aᵀ along one axis.
#[inline(always)]
fn back<T: Element>(onto: Onto, [a, b, c, d]: [&[T]; TILE], x: &mut [T], y: &mut [T]) {
    let n = a.len();
    let (b, c, d, x, y) = (&b[..n], &c[..n], &d[..n], &mut x[..n], &mut y[..n]);
    match onto {
        Onto::Nothing => (0..n).for_each(|i| {
            x[i] = a[i] + b[i] + c[i];
            y[i] = b[i] - c[i] - d[i];
        }),
        Onto::Sum => (0..n).for_each(|i| {
            x[i] += a[i] + b[i] + c[i];
            y[i] += b[i] - c[i] - d[i];
        }),
    }
}

/// Four equal parts.
#[inline(always)]
fn split<T>(all: &mut [T]) -> [&mut [T]; TILE] {
    let (upper, lower) = all.split_at_mut(all.len() / 2);
    let ((a, b), (c, d)) = (upper.split_at_mut(upper.len() / 2), lower.split_at_mut(lower.len() / 2));
    [a, b, c, d]
}

/// Four equal parts.
#[inline(always)]
fn split_ref<T>(all: &[T]) -> [&[T]; TILE] {
    let n = all.len() / TILE;
    std::array::from_fn(|k| &all[k * n..(k + 1) * n])
}

/// G·g·Gᵀ.
fn transformed(taps: [f64; 9]) -> [f64; PRODUCTS] {
    let along = |g: [f64; 3]| [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]];
    let columns: [_; 3] = std::array::from_fn(|k| along([taps[k], taps[3 + k], taps[6 + k]]));
    let rows: [_; TILE] = std::array::from_fn(|k| along([columns[0][k], columns[1][k], columns[2][k]]));
    std::array::from_fn(|k| rows[k / TILE][k % TILE])
}
