//! Maps that know nothing.

use candle_core::{DType, Tensor};
use candlelight_core::{Attribution, Explain, Model, Query, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A map at random, the control that belongs into every table: a method that is no better than this one has found
/// nothing, whatever its number.
///
/// Every value is drawn for itself, of the input's shape; the seed is the query's, every sample has numbers of its own, and
/// the model is not asked.
///
/// **When not to use it:** as the only control for metrics of one place. The centre of mass of such a map is the middle of the
/// image, so that in [`MassCentreAblation`](crate::MassCentreAblation) it stands for "look at the middle", which pictures with
/// their object there reward.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candlelight_core::Explain;
/// use candlelight_metrics::RandomMap;
///
/// let model = |x: &Tensor| x.flatten_from(1)?.sum_keepdim(1);
/// let x = Tensor::ones((2, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let map = RandomMap::default().explain(&model, (&x, 0))?;
/// assert_eq!((map.method(), map.values().dims()), ("random", &[2, 3, 4, 4][..]));
/// # Ok::<(), candlelight_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RandomMap {
    draws: Draws,
}

/// What random values are drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draws {
    /// The standard normal distribution: half of the values speak against the class.
    #[default]
    Normal,
    /// Uniformly from 0 to 1.
    Uniform,
}

impl RandomMap {
    /// What the values are drawn from.
    pub fn draws(self, draws: Draws) -> Self {
        Self { draws }
    }
}

impl Explain for RandomMap {
    fn name(&self) -> String {
        "random".into()
    }

    fn attribute(&self, _: &dyn Model, query: &Query) -> Result<Attribution> {
        let input = query.input();
        let rows = input.dims().first().copied().unwrap_or(0);
        let size = input.elem_count() / rows.max(1);
        let values =
            (0..rows).flat_map(|row| self.draws.take(query.key(row, CONTROL), size)).collect::<Vec<_>>();
        let values = Tensor::from_vec(values, input.shape(), input.device())?;
        let dtype = if input.dtype().is_float() { input.dtype() } else { DType::F32 };
        Ok(Attribution::given(self.name(), &values.to_dtype(dtype)?))
    }
}

/// The number of the draw: one that no sampler reaches, so that a map is not made of the numbers of another method.
const CONTROL: u64 = u64::MAX;

impl Draws {
    fn take(self, key: [u8; 32], count: usize) -> Vec<f32> {
        let mut stream = ChaCha8Rng::from_seed(key);
        let mut one = || match self {
            Self::Normal => stream.sample(StandardNormal),
            Self::Uniform => stream.random(),
        };
        (0..count).map(|_| one()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn map(query: Query) -> Vec<Vec<f64>> {
        let nothing = |x: &Tensor| Ok(x.clone());
        let map = RandomMap::default().explain(&nothing, query).unwrap();
        map.values().flatten_from(1).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn every_sample_has_its_own_numbers_whatever_batch_it_lies_in() {
        let x = Tensor::zeros((3, 1, 4, 4), DType::F64, &Device::Cpu).unwrap();
        let all = map(Query::new(&x).seed(5));
        assert_ne!(all[0], all[1]);
        let last = Query::new(&x.narrow(0, 2, 1).unwrap()).seed(5).first_sample(2);
        assert_eq!(map(last)[0], all[2]);
        assert_ne!(map(Query::new(&x).seed(6))[0], all[0]);
    }

    #[test]
    fn values_have_the_moments_of_their_distribution() {
        let x = Tensor::zeros((1, 40_000), DType::F64, &Device::Cpu).unwrap();
        for (draws, mean, variance) in [(Draws::Normal, 0.0, 1.0), (Draws::Uniform, 0.5, 1.0 / 12.0)] {
            let nothing = |x: &Tensor| Ok(x.clone());
            let map = RandomMap::default().draws(draws).explain(&nothing, &x).unwrap();
            let values: Vec<f64> = map.values().flatten_all().unwrap().to_vec1().unwrap();
            let found = values.iter().sum::<f64>() / 40_000.0;
            let spread = values.iter().map(|value| (value - found).powi(2)).sum::<f64>() / 40_000.0;
            assert!(
                (found - mean).abs() < 0.03 && (spread / variance - 1.0).abs() < 0.05,
                "{found} {spread}"
            );
        }
    }
}
