//! Random numbers that do not depend on the device, the batch or the number of threads: one counter-based stream
//! for every (seed, sample, draw), made on the host.

use crate::perturb::Coalition;
use candle_core::{Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The stream of one draw for one sample.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Sets the stream of draw `draw` for sample `sample` under `seed`.
    pub(crate) fn new(seed: u64, sample: u64, draw: u64) -> Self {
        Self(ChaCha8Rng::from_seed(key(seed, sample, draw)))
    }

    /// A number in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// A standard normal number.
    pub(crate) fn normal(&mut self) -> f64 {
        self.0.sample(StandardNormal)
    }

    /// A whole number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// 32 random bits.
    pub(crate) fn word(&mut self) -> u32 {
        self.0.random()
    }

    /// The numbers below `n` in a random order.
    pub(crate) fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|last| order.swap(last, self.below(last + 1)));
        order
    }

    /// Some of `players`: each is present with chance ½.
    pub(crate) fn coalition(&mut self, players: usize) -> Coalition {
        Coalition::of(players, (0..players).filter(|_| self.0.random::<bool>()))
    }

    /// A standard normal tensor with the shape, dtype and device of `like`.
    pub(crate) fn normal_like(&mut self, like: &Tensor) -> Result<Tensor> {
        let values: Vec<f32> = (0..like.elem_count()).map(|_| self.0.sample(StandardNormal)).collect();
        Tensor::from_vec(values, like.shape(), like.device())?.to_dtype(like.dtype())
    }

    /// A tensor uniform in [0, 1) with the shape, dtype and device of `like`.
    pub(crate) fn uniform_like(&mut self, like: &Tensor) -> Result<Tensor> {
        let values: Vec<f32> = (0..like.elem_count()).map(|_| self.0.random()).collect();
        Tensor::from_vec(values, like.shape(), like.device())?.to_dtype(like.dtype())
    }
}

/// The seed of a stream.
pub(crate) fn key(seed: u64, sample: u64, draw: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&sample.to_le_bytes());
    key[16..24].copy_from_slice(&draw.to_le_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_sample_and_draw_has_a_stream_of_its_own() {
        let first = |seed, sample, draw| Stream::new(seed, sample, draw).uniform();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        for other in [first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)] {
            assert_ne!(first(1, 2, 3), other);
        }
    }
}
