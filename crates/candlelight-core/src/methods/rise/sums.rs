//! What RISE keeps of its masks: sums, however many they are.

use crate::Result;
use crate::methods::total;
use candle_core::Tensor;

/// Sums over masks M, `[1, height, width]`, and what the model says of each, p.
#[derive(Clone, Default)]
pub(super) struct Sums {
    pub(super) count: usize,
    maps: Option<Maps>,
}

#[derive(Clone)]
struct Maps {
    m: Tensor,
    m2: Tensor,
    pm: Tensor,
    pm2: Tensor,
    p2m2: Tensor,
}

/// What the sum of p M is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Coverage {
    /// The expected sum of the masks, N p: the paper's.
    #[default]
    Expected,
    /// The sum of the masks itself: less error for as many masks, and as good as no difference for many.
    Sampled,
}

impl Sums {
    /// Adds masks `[B, 1, height, width]` and what the model says of them.
    pub(super) fn add(&mut self, masks: &Tensor, scores: &[f64]) -> Result<()> {
        let squares = masks.sqr()?;
        let weigh = |values: Vec<f64>, masks: &Tensor| -> Result<Tensor> {
            let weights =
                Tensor::from_vec(values, (1, scores.len()), masks.device())?.to_dtype(masks.dtype())?;
            Ok(weights.matmul(&masks.flatten_from(1)?)?.reshape(&masks.dims()[1..])?)
        };
        let p = scores.to_vec();
        let one = vec![1.0; scores.len()];
        let new = Maps {
            m: weigh(one.clone(), masks)?,
            m2: weigh(one, &squares)?,
            pm: weigh(p.clone(), masks)?,
            pm2: weigh(p.clone(), &squares)?,
            p2m2: weigh(p.iter().map(|p| p * p).collect(), &squares)?,
        };
        self.count += scores.len();
        self.maps = Some(match self.maps.take() {
            None => new,
            Some(old) => Maps {
                m: (old.m + new.m)?,
                m2: (old.m2 + new.m2)?,
                pm: (old.pm + new.pm)?,
                pm2: (old.pm2 + new.pm2)?,
                p2m2: (old.p2m2 + new.p2m2)?,
            },
        });
        Ok(())
    }

    /// The map, and its standard error value by value.
    ///
    /// # Errors
    /// If nothing was added.
    pub(super) fn map(&self, chance: f64, coverage: Coverage) -> Result<(Tensor, Tensor)> {
        let missing = || candle_core::Error::Msg("no mask was drawn".into());
        let (n, maps) = (self.count as f64, self.maps.as_ref().ok_or_else(missing)?);
        let expected = (maps.m.ones_like()? * (n * chance))?;
        let (map, square, open) = match coverage {
            Coverage::Expected => {
                let map = maps.pm.div(&expected)?;
                // Σ (p M)² − (Σ p M)² / N
                let square = (&maps.p2m2 - (maps.pm.sqr()? / n)?)?;
                (map, square, expected)
            }
            Coverage::Sampled => {
                // A pixel that no mask opened has seen nothing: 0.
                let open = maps.m.maximum(f64::MIN_POSITIVE.sqrt())?;
                let map = maps.pm.div(&open)?;
                // Σ (p − s)² M², the spread of a ratio.
                let square = ((&maps.p2m2 - ((&map * &maps.pm2)? * 2.0)?)? + (map.sqr()? * &maps.m2)?)?;
                (map, square, open)
            }
        };
        let error = match self.count {
            1 => map.ones_like()?.affine(0.0, f64::INFINITY)?,
            _ => ((square.relu()? * (n / (n - 1.0)))?.sqrt()?.div(&open))?,
        };
        Ok((map, error))
    }

    /// The L2 norm of the error over that of the map.
    pub(super) fn relative_error(&self, chance: f64, coverage: Coverage) -> Result<f64> {
        let (map, error) = self.map(chance, coverage)?;
        let (map, error) = (total(&map.sqr()?)?.sqrt(), total(&error.sqr()?)?.sqrt());
        Ok(if error == 0.0 { 0.0 } else { error / map })
    }
}
