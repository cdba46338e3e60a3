//! Transformer blocks against their definition, token by token.

use super::*;

/// A fully connected layer as it is described.
struct Plain {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Plain {
    fn new(outputs: usize, inputs: usize, step: f64) -> Self {
        let weight = wave(outputs * inputs, step).iter().map(|v| v * 0.5).collect();
        Self { weight, bias: wave(outputs, step + 0.1) }
    }

    fn dense(&self) -> Dense<f64> {
        Dense::new(&self.weight, self.bias.clone(), Multiply::Fast)
    }

    fn of(&self, x: &[f64]) -> Vec<f64> {
        let row = |o: usize| {
            self.bias[o] + x.iter().zip(&self.weight[o * x.len()..]).map(|(x, w)| x * w).sum::<f64>()
        };
        (0..self.bias.len()).map(row).collect()
    }
}

/// A block written from its definition, token by token, and the head behind it.
struct Naive {
    heads: usize,
    eps: f64,
    queries: Plain,
    keys_values: Plain,
    projection: Plain,
    fc1: Plain,
    fc2: Plain,
    head: FirstToken<f64>,
    tokens: usize,
    size: usize,
}

impl Naive {
    fn new(heads: usize, tokens: usize) -> Self {
        let (size, inner) = (4 * heads, 7);
        Self {
            heads,
            eps: 1e-6,
            queries: Plain::new(size, size, 0.71),
            keys_values: Plain::new(2 * size, size, 0.63),
            projection: Plain::new(size, size, 0.37),
            fc1: Plain::new(inner, size, 0.53),
            fc2: Plain::new(size, inner, 0.29),
            head: FirstToken { weight: wave(size, 0.43), bias: wave(size, 0.57), eps: 1e-6 },
            tokens,
            size,
        }
    }

    fn block(&self) -> Chain<f64> {
        let mut chain = Chain::default();
        let block = Encoder {
            heads: self.heads,
            eps: self.eps,
            queries: self.queries.dense(),
            keys_values: self.keys_values.dense(),
            projection: self.projection.dense(),
            fc1: self.fc1.dense(),
            fc2: self.fc2.dense(),
        };
        chain.encoder(chain.input(), block).unwrap();
        chain
    }

    fn head(&self) -> Chain<f64> {
        let mut chain = Chain::default();
        chain.first_token(chain.input(), self.head.clone()).unwrap();
        chain
    }

    /// The first token of an image behind the head.
    fn first(&self, x: &[f64]) -> Vec<f64> {
        let unit = self.norm(&x[..self.size]);
        unit.iter().zip(&self.head.weight).zip(&self.head.bias).map(|((x, w), b)| x * w + b).collect()
    }

    fn norm(&self, x: &[f64]) -> Vec<f64> {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        x.iter().map(|v| (v - mean) / (variance + self.eps).sqrt()).collect()
    }

    fn image(&self, x: &[f64]) -> Vec<f64> {
        let depth = self.size / self.heads;
        let rows: Vec<&[f64]> = x.chunks(self.size).collect();
        let part = |row: &&[f64]| {
            let x = self.norm(row);
            [self.queries.of(&x), self.keys_values.of(&x)].concat()
        };
        let qkv: Vec<Vec<f64>> = rows.iter().map(part).collect();
        let mut out = Vec::new();
        for (token, row) in rows.iter().enumerate() {
            let mut mixed = Vec::new();
            for head in 0..self.heads {
                let at =
                    |token: usize, part: usize, d: usize| qkv[token][part * self.size + head * depth + d];
                let score =
                    |key: usize| (0..depth).map(|d| at(token, 0, d) * at(key, 1, d)).sum::<f64>().exp();
                let total: f64 = (0..self.tokens).map(score).sum();
                let value =
                    |d: usize| (0..self.tokens).map(|key| score(key) / total * at(key, 2, d)).sum::<f64>();
                mixed.extend((0..depth).map(value));
            }
            let add = |a: &[f64], b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
            let z = add(row, self.projection.of(&mixed));
            let hidden: Vec<f64> = self.fc1.of(&self.norm(&z)).into_iter().map(crate::gelu).collect();
            out.extend(add(&z, self.fc2.of(&hidden)));
        }
        out
    }
}

/// Whether the gradient of `chains` at some elements of the input is the central difference.
fn gradient_is_the_difference(chains: &[&Chain<f64>], from: Maps) -> bool {
    let forward = |x: &[f64]| run(chains, (Order::ChannelsLast, from), x, Keep::ForBack).unwrap();
    let x = wave(from.elements(), 0.9);
    let (y, passed) = forward(&x);
    let g = wave(y.len(), 0.53);
    let dx = input_gradient(chains, &passed, &g);
    let value = |x: &[f64]| forward(x).0.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    (0..x.len()).step_by(5).all(|i| {
        let shifted = |by: f64| {
            let mut x = x.clone();
            x[i] += by;
            value(&x)
        };
        let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
        (dx[i] - difference).abs() < DIFFERENCE_TOLERANCE * (1.0 + difference.abs())
    })
}

proptest! {
    #[test]
    fn transformer_blocks_equal_their_definition_and_their_gradients_the_differences(
        images in 0usize..7, tokens in 1usize..5, heads in 1usize..4,
    ) {
        let naive = Naive::new(heads, tokens);
        let (block, head) = (naive.block(), naive.head());
        let from = Maps { images, height: tokens, width: 1, channels: naive.size };
        let x = wave(from.elements(), 0.9);
        let blocks: Vec<f64> = x.chunks(tokens * naive.size).flat_map(|x| naive.image(x)).collect();
        let first: Vec<f64> = blocks.chunks(tokens * naive.size).flat_map(|x| naive.first(x)).collect();
        for (chains, expected) in [(vec![&block], blocks), (vec![&block, &head], first)] {
            for keep in [Keep::ForBack, Keep::Nothing] {
                let (y, _) = run(&chains, (Order::ChannelsLast, from), &x, keep).unwrap();
                prop_assert!(close(&y, &expected));
            }
            prop_assert!(gradient_is_the_difference(&chains, from));
        }
        prop_assert!(gradient_is_the_difference(&[&block, &block, &head], from));
        prop_assert!(gradient_is_the_difference(&[&head], from));
    }
}

#[test]
fn a_block_of_which_the_first_token_is_needed_holds_less() {
    let naive = Naive::new(2, 9);
    let (block, head) = (naive.block(), naive.head());
    let from = Maps { images: 3, height: 9, width: 1, channels: naive.size };
    let held = |chains: &[&Chain<f64>]| {
        let (_, passed) =
            run(chains, (Order::ChannelsLast, from), &wave(from.elements(), 0.9), Keep::ForBack).unwrap();
        passed.bytes()
    };
    assert!(4 * held(&[&block, &head]) < 3 * held(&[&block]));
}

/// A block of so many heads, a head behind it, and the shape of one image of tokens.
pub(super) fn block_and_head(heads: usize, tokens: usize) -> (Chain<f64>, Chain<f64>, Maps) {
    let naive = Naive::new(heads, tokens);
    let from = Maps { images: 1, height: tokens, width: 1, channels: naive.size };
    (naive.block(), naive.head(), from)
}
