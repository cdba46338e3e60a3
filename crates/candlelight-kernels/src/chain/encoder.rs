//! A pre-norm transformer block: attention and perceptron, each behind a layer norm and around it a residual add.

use super::dense::Dense;
use super::run::Keep;
use super::tokens::{Part, Tokens};
use super::workers::Workers;
use super::workspace::{Buffer, Workspace};
use super::{Asked, Maps};
use crate::gemm::{Onto, gemm_onto};
use crate::room::grown;
use crate::rows::{add_standardize_gradient, softmax_gradient_in_place, softmax_in_place, standardize_into};
use crate::simd::vectorized;
use crate::{Element, Matrix, Threads, gelu, gelu_derivative};

/// Frozen weights of a block x ↦ z + fc2(GELU(fc1(norm(z)))), z = x + projection(attention(q, k, v of norm(x))).
///
/// Norms standardise only: their affine parts belong into the layers behind them, and the scale of the scores into
/// the queries.
#[derive(Clone, Debug)]
pub struct Encoder<T> {
    /// Attention heads.
    pub heads: usize,
    /// Added to the variance in both norms.
    pub eps: f64,
    /// `[size, size]`.
    pub queries: Dense<T>,
    /// Keys and values, one after the other: `[2 · size, size]`.
    pub keys_values: Dense<T>,
    /// Behind the attention, `[size, size]`.
    pub projection: Dense<T>,
    /// Into the perceptron, `[inner, size]`.
    pub fc1: Dense<T>,
    /// Out of it, `[size, inner]`.
    pub fc2: Dense<T>,
}

/// What a pass forward leaves: of all tokens what goes in, keys and values, of those that are asked for the rest.
#[derive(Debug)]
pub(super) struct Kept<T> {
    x: Buffer<T>,
    keys_values: Buffer<T>,
    queries: Buffer<T>,
    /// Attention probabilities, `[image, head, query, key]`.
    probabilities: Buffer<T>,
    z: Buffer<T>,
    /// Slopes of the activation.
    slopes: Buffer<T>,
}

impl<T> Kept<T> {
    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        let Self { x, keys_values, queries, probabilities, z, slopes } = self;
        [x, keys_values, queries, probabilities, z, slopes].map(|part| size_of_val(&part[..])).iter().sum()
    }

    fn let_go(self, space: &mut Workspace<T>)
    where
        T: Element,
    {
        let Self { x, keys_values, queries, probabilities, z, slopes } = self;
        [x, keys_values, queries, probabilities, z, slopes].into_iter().for_each(|part| space.put(part));
    }
}

impl<T: Element> Encoder<T> {
    /// Whether all parts have matching sizes.
    pub fn is_sound(&self) -> bool {
        let size = self.size();
        let fits = |dense: &Dense<T>, outputs: usize, inputs: usize| {
            (dense.outputs(), dense.inputs()) == (outputs, inputs)
        };
        self.heads > 0
            && size > 0
            && size.is_multiple_of(self.heads)
            && fits(&self.queries, size, size)
            && fits(&self.keys_values, 2 * size, size)
            && fits(&self.projection, size, size)
            && fits(&self.fc1, self.fc1.outputs(), size)
            && fits(&self.fc2, size, self.fc1.outputs())
    }

    /// Features of a token.
    fn size(&self) -> usize {
        self.projection.outputs()
    }

    /// The tokens that come out, if so many are asked for; nothing if they do not fit.
    pub(super) fn output(&self, from: Maps, asked: Asked) -> Option<Maps> {
        let fits = from.width == 1 && from.height > 0 && from.channels == self.size();
        let height = if asked == Asked::First { 1 } else { from.height };
        fits.then_some(Maps { height, ..from })
    }

    /// The block on `x`, of shape `from`; `to` says how many tokens of each image are asked for. Gives what the way back
    /// needs, if there is one.
    pub(super) fn forward(
        &self,
        (from, to): (Maps, Maps),
        x: &[T],
        out: &mut [T],
        (keep, space): (Keep, &mut Workspace<T>),
    ) -> Option<Kept<T>> {
        let tokens = Tokens::new(from, to, self.heads);
        let mut kept = self.room(tokens, keep, space);
        let mut normed = space.take(x.len());
        let mut asked = space.take(out.len());
        kept.x.copy_from_slice(x);
        standardize_into(x, self.size(), self.eps, &mut normed);
        let threads = space.threads;
        self.keys_values.forward((Onto::Nothing, threads), &normed, &mut kept.keys_values);
        tokens.gather(&normed, &mut asked);
        self.queries.forward((Onto::Nothing, threads), &asked, &mut kept.queries);
        attend(tokens, &mut kept, &mut asked, space);
        tokens.gather(x, &mut kept.z);
        self.projection.forward((Onto::Sum, threads), &asked, &mut kept.z);
        standardize_into(&kept.z, self.size(), self.eps, &mut asked);
        let mut hidden = space.take(self.hidden(tokens));
        self.fc1.product((Onto::Nothing, threads), &asked, &mut hidden);
        match keep {
            Keep::Nothing => activate(&mut hidden, self.fc1.bias(), space.workers()),
            Keep::ForBack | Keep::ForRules => {
                activate_and_slope(&mut hidden, self.fc1.bias(), &mut kept.slopes, space.workers());
            }
        }
        out.copy_from_slice(&kept.z);
        self.fc2.forward((Onto::Sum, threads), &hidden, out);
        [normed, asked, hidden].into_iter().for_each(|buffer| space.put(buffer));
        if keep == Keep::Nothing {
            kept.let_go(space);
            return None;
        }
        Some(kept)
    }

    /// Room for what is kept: what nobody keeps is lent, what stays has its own, of exactly its size.
    fn room(&self, tokens: Tokens, keep: Keep, space: &mut Workspace<T>) -> Kept<T> {
        let mut room = |len| if keep == Keep::Nothing { space.take(len) } else { Buffer::new(len) };
        Kept {
            x: room(tokens.features()),
            keys_values: room(2 * tokens.features()),
            queries: room(tokens.features_asked()),
            probabilities: room(tokens.probabilities()),
            z: room(tokens.features_asked()),
            slopes: room(if keep == Keep::Nothing { 0 } else { self.hidden(tokens) }),
        }
    }

    /// Numbers inside the perceptron.
    fn hidden(&self, tokens: Tokens) -> usize {
        tokens.features_asked() / self.size() * self.fc1.outputs()
    }

    pub(super) fn input_gradient(
        &self,
        (from, to): (Maps, Maps),
        kept: &Kept<T>,
        g: &[T],
        (dx, onto): (&mut [T], Onto),
        space: &mut Workspace<T>,
    ) {
        let (tokens, size) = (Tokens::new(from, to, self.heads), self.size());
        let mut hidden = space.take(kept.slopes.len());
        let threads = space.threads;
        self.fc2.input_gradient(g, &mut hidden, threads);
        vectorized(
            #[inline(always)]
            || hidden.iter_mut().zip(&kept.slopes[..]).for_each(|(h, &slope)| *h = *h * slope),
        );
        let mut asked = space.take(g.len());
        self.fc1.input_gradient(&hidden, &mut asked, threads);
        space.put(hidden);
        let mut dz = space.take(g.len());
        dz.copy_from_slice(g);
        add_standardize_gradient(&kept.z, &asked, size, self.eps, &mut dz);
        self.projection.input_gradient(&dz, &mut asked, threads);
        let (mut dq, mut dkv) = (space.take(tokens.features_asked()), space.take(2 * tokens.features()));
        attend_back(tokens, kept, &asked, (&mut dq, &mut dkv), space);
        let mut inner = space.take(tokens.features());
        self.keys_values.input_gradient(&dkv, &mut inner, threads);
        self.queries.input_gradient(&dq, &mut asked, threads);
        tokens.scatter(&asked, &mut inner);
        onto.begin(dx);
        tokens.scatter(&dz, dx);
        add_standardize_gradient(&kept.x, &inner, size, self.eps, dx);
        [dz, dq, dkv, asked, inner].into_iter().for_each(|buffer| space.put(buffer));
    }
}

/// softmax(Q·Kᵀ)·V of every image and head.
fn attend<T: Element>(tokens: Tokens, kept: &mut Kept<T>, out: &mut [T], space: &mut Workspace<T>) {
    let (few, all, depth) = (tokens.asked, tokens.all, tokens.depth());
    let (queries, keys_values) = (&kept.queries[..], &kept.keys_values[..]);
    let mut mixed = space.take(tokens.features_asked());
    let places = kept.probabilities.chunks_exact_mut(few * all).zip(mixed.chunks_exact_mut(few * depth));
    space.workers().for_each(tokens.heads().zip(places), |_, (head, (p, mixed))| {
        let q = head.view(queries, Part::Asked);
        let [k, v] = [Part::Key, Part::Value].map(|part| head.view(keys_values, part));
        gemm_onto(Onto::Nothing, p, q, k.transposed(), Threads::One);
        softmax_in_place(p, all);
        gemm_onto(Onto::Nothing, mixed, Matrix::new(p, few, all), v, Threads::One);
    });
    let heads = tokens.heads().zip(mixed.chunks_exact(few * depth));
    heads.for_each(|(head, mixed)| head.scatter(mixed, Part::Asked, out));
    space.put(mixed);
}

/// The gradient of [`attend`] at queries, and at keys and values.
fn attend_back<T: Element>(
    tokens: Tokens,
    kept: &Kept<T>,
    g: &[T],
    (dq, dkv): (&mut [T], &mut [T]),
    space: &mut Workspace<T>,
) {
    let (few, all, depth) = (tokens.asked, tokens.all, tokens.depth());
    let mut at_queries = space.take(tokens.features_asked());
    let [mut at_keys, mut at_values] = [(); 2].map(|()| space.take(tokens.features()));
    let places = at_keys.chunks_exact_mut(all * depth).zip(at_values.chunks_exact_mut(all * depth));
    let places = at_queries.chunks_exact_mut(few * depth).zip(places);
    let heads = tokens.heads().zip(kept.probabilities.chunks_exact(few * all)).zip(places);
    space.workers().for_each(heads, |room, ((head, p), (at_queries, (at_keys, at_values)))| {
        let dp = grown(room, few * all);
        let [q, go] = [&kept.queries, g].map(|rows| head.view(rows, Part::Asked));
        let [k, v] = [Part::Key, Part::Value].map(|part| head.view(&kept.keys_values, part));
        gemm_onto(Onto::Nothing, at_values, Matrix::new(p, few, all).transposed(), go, Threads::One);
        gemm_onto(Onto::Nothing, dp, go, v.transposed(), Threads::One);
        softmax_gradient_in_place(p, dp, all);
        let scores = Matrix::new(dp, few, all);
        gemm_onto(Onto::Nothing, at_queries, scores, k, Threads::One);
        gemm_onto(Onto::Nothing, at_keys, scores.transposed(), q, Threads::One);
    });
    let (queries, keys) = (at_queries.chunks_exact(few * depth), at_keys.chunks_exact(all * depth));
    let values = at_values.chunks_exact(all * depth);
    for (head, (q, (k, v))) in tokens.heads().zip(queries.zip(keys.zip(values))) {
        head.scatter(q, Part::Asked, dq);
        head.scatter(k, Part::Key, dkv);
        head.scatter(v, Part::Value, dkv);
    }
    [at_queries, at_keys, at_values].into_iter().for_each(|buffer| space.put(buffer));
}

/// GELU of every row and `bias`, in place.
fn activate<T: Element>(x: &mut [T], bias: &[T], workers: Workers<T>) {
    workers.for_each(x.chunks_exact_mut(bias.len()), |_, x| {
        vectorized(
            #[inline(always)]
            || x.iter_mut().zip(bias).for_each(|(x, &bias)| *x = gelu(*x + bias)),
        );
    });
}

/// [`activate`], and the activation's slopes.
fn activate_and_slope<T: Element>(x: &mut [T], bias: &[T], slopes: &mut [T], workers: Workers<T>) {
    let rows = x.chunks_exact_mut(bias.len()).zip(slopes.chunks_exact_mut(bias.len()));
    workers.for_each(rows, |_, (x, slopes)| {
        vectorized(
            #[inline(always)]
            || {
                for ((x, slope), &bias) in x.iter_mut().zip(slopes).zip(bias) {
                    let sum = *x + bias;
                    (*x, *slope) = (gelu(sum), gelu_derivative(sum));
                }
            },
        );
    });
}
