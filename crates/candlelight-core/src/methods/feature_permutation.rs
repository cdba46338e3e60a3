//! Feature Permutation: what the scores of a batch lose where one feature is shuffled among its rows.

use super::at_least_one;
use crate::features::Players;
use crate::perturb::Coalition;
use crate::random::Stream;
use crate::schedule::{Prediction, Run, check_input};
use crate::{Attribution, Convergence, Error, Explain, Features, Model, Query, Result};
use candle_core::Tensor;

/// A = f(x) − f(x with the feature of another row): each feature is shuffled among the rows of the batch, one at a time
/// ([Breiman 2001](https://doi.org/10.1023/A:1010933404324), [Fisher et al. 2019](https://arxiv.org/abs/1801.01489);
/// the semantics are [Captum's](https://captum.ai/api/feature_permutation.html): one permutation for each feature,
/// drawn again while it leaves all rows where they are). What is absent is replaced by what is usual.
///
/// The rows of the batch are the distribution: a row's map depends on its neighbours, as for no other method here, and
/// that is why it is not in [`METHODS`](crate::METHODS). The mean of many rows' maps is what the method is for.
///
/// **When not to use it:** for one prediction, or for few rows: a map is one draw. For features that hang together: a
/// shuffled row is one that cannot be.
///
/// # Shapes
/// Input `[N, …]` with at least two rows; map `[N, …]` with the shape of the [`Features`].
///
/// # Errors
/// [`Error::Shape`] for a single row, or for a mask that differs from row to row.
///
/// # Example
/// ```
/// use candlelight_core::{FeaturePermutation, Features};
///
/// let columns = FeaturePermutation::default(); // of a table
/// let cells = FeaturePermutation::of(Features::Grid { rows: 4, columns: 4 });
/// # drop((columns, cells));
/// ```
#[derive(Clone, Debug, Default)]
pub struct FeaturePermutation {
    features: Features,
}

impl FeaturePermutation {
    /// Shuffles these features.
    pub fn of(features: Features) -> Self {
        Self { features }
    }

    /// The features, which are those of every row.
    fn players(&self, input: &Tensor) -> Result<Players> {
        check_input(input)?;
        let refused = |what, found: &Tensor, expected: &str| {
            Err(Error::Shape { what, found: found.dims().to_vec(), expected: expected.into() })
        };
        match &self.features {
            _ if input.dims()[0] < 2 => {
                refused("the input of a permutation", input, "at least two rows to shuffle features among")
            }
            Features::Mask(mask) if mask.dims().first() != Some(&1) => {
                refused("the feature mask of a permutation", mask, "[1, …], one for all rows")
            }
            features => features.players(input, 0),
        }
    }
}

impl Explain for FeaturePermutation {
    fn name(&self) -> String {
        "feature-permutation".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let players = self.players(query.input())?;
        let (rows, count) = (query.input().dims()[0], at_least_one("number of features", players.count())?);
        let mut run = Run::new(model, query, rows * (1 + count))?;
        let prediction = run.predict()?;
        let mut losses = vec![Vec::with_capacity(count); rows];
        for player in 0..count {
            let mut stream = Stream::new(query.seed_asked(), query.sample(0), player as u64);
            let order = shuffled(rows, &mut stream);
            let present = players.present(&[&Coalition::full(count).without(player)])?;
            let scores = shuffled_scores(&mut run, &present, &order, &prediction)?;
            let whole = prediction.scores.iter().zip(scores);
            losses.iter_mut().zip(whole).for_each(|(losses, (whole, score))| losses.push(whole - score));
        }
        run.finish()?;
        let maps = losses.iter().map(|losses| players.spread(losses, query.input().dtype()));
        let maps = Tensor::stack(&maps.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(Attribution::new(self.name(), maps, prediction, Convergence::exact(), run.cost()))
    }
}

/// The scores of all rows, each with what is absent from row `order[row]`.
fn shuffled_scores(
    run: &mut Run,
    present: &Tensor,
    order: &[u32],
    prediction: &Prediction,
) -> Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(order.len());
    for range in run.batches(order.len()) {
        let x = run.input().narrow(0, range.start, range.len())?;
        let others = Tensor::new(&order[range.clone()], x.device())?;
        let others = run.input().contiguous()?.index_select(&others, 0)?;
        let points = present.broadcast_as(x.shape())?.where_cond(&x, &others)?;
        scores.extend(run.scores(&points, &Vec::from_iter(range), &prediction.target)?);
    }
    Ok(scores)
}

/// The numbers below `count` in an order that is not their own.
fn shuffled(count: usize, stream: &mut Stream) -> Vec<u32> {
    loop {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, stream.below(last + 1));
        }
        if !order.is_sorted() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_feature_comes_from_another_row_and_all_rows_give_it_once() -> Result<()> {
        // x₀ + 10·x₁: what a row loses of a feature is its own value less another row's.
        let model = |x: &Tensor| x.matmul(&Tensor::new(&[[1.0f64], [10.0]], x.device())?);
        let x = Tensor::new(&[[1.0f64, 2.0], [3.0, 5.0], [8.0, 13.0]], &Device::Cpu)?;
        let map = FeaturePermutation::default().explain(&model, Query::from((&x, 0)).seed(5))?;
        let map = map.values().to_vec2::<f64>()?;
        let weights = [1.0, 10.0];
        for (feature, weight) in weights.iter().enumerate() {
            let own: Vec<f64> = x.to_vec2::<f64>()?.iter().map(|row| row[feature]).collect();
            let mut others: Vec<f64> =
                own.iter().zip(&map).map(|(own, row)| own - row[feature] / weight).collect();
            assert!(others.iter().zip(&own).any(|(other, own)| (other - own).abs() > 1e-9));
            others.sort_by(f64::total_cmp);
            assert!(others.iter().zip(&own).all(|(other, own)| (other - own).abs() < 1e-9), "{others:?}");
        }
        Ok(())
    }

    #[test]
    fn a_single_row_has_nobody_to_change_with() {
        let model = |x: &Tensor| x.sum_keepdim(1);
        let x = Tensor::ones((1, 2), candle_core::DType::F64, &Device::Cpu).unwrap();
        let refused = FeaturePermutation::default().explain(&model, (&x, 0));
        assert!(matches!(refused, Err(Error::Shape { what: "the input of a permutation", .. })));
    }
}
