//! A pre-norm transformer block: attention and perceptron, each behind a layer norm and around it a residual add.

use super::Maps;
use super::workspace::Workspace;
use crate::gemm::{Onto, gemm_onto};
use crate::rows::{add_standardize_gradient, softmax_gradient_in_place, softmax_in_place, standardize_into};
use crate::simd::vectorized;
use crate::{Element, Matrix, Threads, gelu, gelu_derivative};

/// A fully connected layer: `weight` `[out, in]`, `bias` `[out]`.
#[derive(Clone, Debug)]
pub struct Dense<T> {
    /// `[out, in]`, row by row.
    pub weight: Vec<T>,
    /// `[out]`.
    pub bias: Vec<T>,
}

/// Frozen weights of a block x ↦ z + fc2(GELU(fc1(norm(z)))), z = x + projection(attention(qkv(norm(x)))).
///
/// Norms standardise only: their affine parts belong into the layers behind them, and the scale of the scores into
/// the queries.
#[derive(Clone, Debug)]
pub struct Encoder<T> {
    /// Attention heads.
    pub heads: usize,
    /// Added to the variance in both norms.
    pub eps: f64,
    /// Queries, keys and values, one after the other: `[3 · size, size]`.
    pub qkv: Dense<T>,
    /// Behind the attention, `[size, size]`.
    pub projection: Dense<T>,
    /// Into the perceptron, `[inner, size]`.
    pub fc1: Dense<T>,
    /// Out of it, `[size, inner]`.
    pub fc2: Dense<T>,
}

/// What a pass forward leaves.
#[derive(Debug)]
pub(super) struct Kept<T> {
    x: Vec<T>,
    qkv: Vec<T>,
    /// Attention probabilities, `[image, head, token, token]`.
    probabilities: Vec<T>,
    z: Vec<T>,
    /// Slopes of the activation.
    slopes: Vec<T>,
}

impl<T> Kept<T> {
    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        let kept = [&self.x, &self.qkv, &self.probabilities, &self.z, &self.slopes];
        kept.iter().map(|part| part.len()).sum::<usize>() * size_of::<T>()
    }
}

impl<T: Element> Dense<T> {
    fn outputs(&self) -> usize {
        self.bias.len()
    }

    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// x · Wᵀ + b, or on top of `plus`.
    fn forward(&self, x: &[T], plus: Option<&[T]>, out: &mut [T]) {
        vectorized(|| {
            for (index, row) in out.chunks_exact_mut(self.outputs()).enumerate() {
                row.copy_from_slice(&self.bias);
                if let Some(plus) = plus {
                    let plus = &plus[index * self.outputs()..][..self.outputs()];
                    row.iter_mut().zip(plus).for_each(|(out, &plus)| *out += plus);
                }
            }
        });
        let rows = x.len() / self.inputs();
        let weight = Matrix::new(&self.weight, self.outputs(), self.inputs()).transposed();
        gemm_onto(Onto::Sum, out, Matrix::new(x, rows, self.inputs()), weight, Threads::One);
    }

    /// g · W.
    fn input_gradient(&self, g: &[T], dx: &mut [T]) {
        let rows = g.len() / self.outputs();
        let weight = Matrix::new(&self.weight, self.outputs(), self.inputs());
        gemm_onto(Onto::Nothing, dx, Matrix::new(g, rows, self.outputs()), weight, Threads::One);
    }
}

impl<T: Element> Encoder<T> {
    /// Whether all parts have matching sizes.
    pub fn is_sound(&self) -> bool {
        let size = self.size();
        let fits = |dense: &Dense<T>, outputs: usize, inputs: usize| {
            dense.outputs() == outputs && dense.weight.len() == outputs * inputs
        };
        self.heads > 0
            && size > 0
            && size.is_multiple_of(self.heads)
            && fits(&self.qkv, 3 * size, size)
            && fits(&self.projection, size, size)
            && fits(&self.fc1, self.fc1.outputs(), size)
            && fits(&self.fc2, size, self.fc1.outputs())
    }

    /// Features of a token.
    pub(super) fn size(&self) -> usize {
        self.projection.outputs()
    }

    pub(super) fn forward(&self, from: Maps, x: &[T], out: &mut [T], space: &mut Workspace<T>) -> Kept<T> {
        let (size, len) = (self.size(), x.len());
        let mut normed = space.take(len);
        standardize_into(x, size, self.eps, &mut normed);
        let mut qkv = vec![T::ZERO; 3 * len];
        self.qkv.forward(&normed, None, &mut qkv);
        let mut probabilities = vec![T::ZERO; from.images * self.heads * from.height * from.height];
        self.attend(from, &qkv, &mut probabilities, &mut normed, space);
        let mut z = vec![T::ZERO; len];
        self.projection.forward(&normed, Some(x), &mut z);
        standardize_into(&z, size, self.eps, &mut normed);
        let mut hidden = space.take(len / size * self.fc1.outputs());
        self.fc1.forward(&normed, None, &mut hidden);
        let slopes = activate(&mut hidden);
        self.fc2.forward(&hidden, Some(&z), out);
        space.put(normed);
        space.put(hidden);
        Kept { x: x.to_vec(), qkv, probabilities, z, slopes }
    }

    pub(super) fn input_gradient(
        &self,
        from: Maps,
        kept: &Kept<T>,
        g: &[T],
        dx: &mut [T],
        onto: Onto,
        space: &mut Workspace<T>,
    ) {
        let (size, len) = (self.size(), g.len());
        let mut hidden = space.take(kept.slopes.len());
        self.fc2.input_gradient(g, &mut hidden);
        vectorized(|| hidden.iter_mut().zip(&kept.slopes).for_each(|(h, &slope)| *h = *h * slope));
        let mut inner = space.take(len);
        self.fc1.input_gradient(&hidden, &mut inner);
        space.put(hidden);
        let mut dz = space.take(len);
        dz.copy_from_slice(g);
        add_standardize_gradient(&kept.z, &inner, size, self.eps, &mut dz);
        self.projection.input_gradient(&dz, &mut inner);
        let mut dqkv = space.take(3 * len);
        self.attend_back(from, kept, &inner, &mut dqkv, space);
        self.qkv.input_gradient(&dqkv, &mut inner);
        match onto {
            Onto::Nothing => dx.copy_from_slice(&dz),
            Onto::Sum => dx.iter_mut().zip(dz.iter()).for_each(|(dx, &dz)| *dx += dz),
        }
        add_standardize_gradient(&kept.x, &inner, size, self.eps, dx);
        [dz, dqkv, inner].into_iter().for_each(|buffer| space.put(buffer));
    }

    /// softmax(Q·Kᵀ)·V of every image and head.
    fn attend(
        &self,
        from: Maps,
        qkv: &[T],
        probabilities: &mut [T],
        out: &mut [T],
        space: &mut Workspace<T>,
    ) {
        let (tokens, depth) = (from.height, self.size() / self.heads);
        let [mut q, mut k, mut v, mut mixed] = [(); 4].map(|()| space.take(tokens * depth));
        for (index, p) in probabilities.chunks_exact_mut(tokens * tokens).enumerate() {
            let head = self.head(index, tokens);
            head.gather(qkv, Part::Query, &mut q);
            head.gather(qkv, Part::Key, &mut k);
            head.gather(qkv, Part::Value, &mut v);
            let [q, k, v] = [&q, &k, &v].map(|head| Matrix::new(head, tokens, depth));
            gemm_onto(Onto::Nothing, p, q, k.transposed(), Threads::One);
            softmax_in_place(p, tokens);
            gemm_onto(Onto::Nothing, &mut mixed, Matrix::new(p, tokens, tokens), v, Threads::One);
            head.scatter(&mixed, Part::Whole, out);
        }
        [q, k, v, mixed].into_iter().for_each(|buffer| space.put(buffer));
    }

    /// The gradient of [`attend`](Self::attend) at queries, keys and values.
    fn attend_back(&self, from: Maps, kept: &Kept<T>, g: &[T], dqkv: &mut [T], space: &mut Workspace<T>) {
        let (tokens, depth) = (from.height, self.size() / self.heads);
        let [mut q, mut k, mut v, mut go, mut part] = [(); 5].map(|()| space.take(tokens * depth));
        let mut dp = space.take(tokens * tokens);
        for (index, p) in kept.probabilities.chunks_exact(tokens * tokens).enumerate() {
            let head = self.head(index, tokens);
            head.gather(&kept.qkv, Part::Query, &mut q);
            head.gather(&kept.qkv, Part::Key, &mut k);
            head.gather(&kept.qkv, Part::Value, &mut v);
            head.gather(g, Part::Whole, &mut go);
            let [q, k, v, go] = [&q, &k, &v, &go].map(|head| Matrix::new(head, tokens, depth));
            let weights = Matrix::new(p, tokens, tokens);
            gemm_onto(Onto::Nothing, &mut part, weights.transposed(), go, Threads::One);
            head.scatter(&part, Part::Value, dqkv);
            gemm_onto(Onto::Nothing, &mut dp, go, v.transposed(), Threads::One);
            softmax_gradient_in_place(p, &mut dp, tokens);
            let scores = Matrix::new(&dp, tokens, tokens);
            gemm_onto(Onto::Nothing, &mut part, scores, k, Threads::One);
            head.scatter(&part, Part::Query, dqkv);
            gemm_onto(Onto::Nothing, &mut part, scores.transposed(), q, Threads::One);
            head.scatter(&part, Part::Key, dqkv);
        }
        [q, k, v, go, part, dp].into_iter().for_each(|buffer| space.put(buffer));
    }

    /// Where head `index`, counted over all images, lies in the rows of tokens.
    fn head(&self, index: usize, tokens: usize) -> Head {
        let (image, head) = (index / self.heads, index % self.heads);
        Head { image, head, tokens, size: self.size(), depth: self.size() / self.heads }
    }
}

/// One head of one image.
#[derive(Clone, Copy)]
struct Head {
    image: usize,
    head: usize,
    tokens: usize,
    size: usize,
    depth: usize,
}

/// Which columns of a row of tokens are meant.
#[derive(Clone, Copy)]
enum Part {
    /// Of queries, keys and values, the queries.
    Query,
    /// The keys.
    Key,
    /// The values.
    Value,
    /// Of a row that holds nothing else.
    Whole,
}

impl Head {
    /// The first column of the head in a row, and the length of the row.
    fn columns(&self, part: Part) -> (usize, usize) {
        let (of, parts) = match part {
            Part::Query => (0, 3),
            Part::Key => (1, 3),
            Part::Value => (2, 3),
            Part::Whole => (0, 1),
        };
        (of * self.size + self.head * self.depth, parts * self.size)
    }

    fn gather<T: Copy>(&self, rows: &[T], part: Part, out: &mut [T]) {
        let (first, width) = self.columns(part);
        let image = rows.chunks_exact(width).skip(self.image * self.tokens);
        image
            .zip(out.chunks_exact_mut(self.depth))
            .for_each(|(row, out)| out.copy_from_slice(&row[first..][..self.depth]));
    }

    fn scatter<T: Copy>(&self, x: &[T], part: Part, rows: &mut [T]) {
        let (first, width) = self.columns(part);
        let image = rows.chunks_exact_mut(width).skip(self.image * self.tokens);
        image
            .zip(x.chunks_exact(self.depth))
            .for_each(|(row, x)| row[first..][..self.depth].copy_from_slice(x));
    }
}

/// GELU in place; gives its slopes.
fn activate<T: Element>(x: &mut [T]) -> Vec<T> {
    let mut slopes = vec![T::ZERO; x.len()];
    vectorized(|| {
        for (x, slope) in x.iter_mut().zip(&mut slopes) {
            (*x, *slope) = (gelu(*x), gelu_derivative(*x));
        }
    });
    slopes
}
