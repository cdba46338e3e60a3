//! Test-time augmentation: any explanation averaged over mirrored and scaled copies of the image.

use super::at_least_one;
use crate::schedule::Run;
use crate::{Attribution, Convergence, Cost, Explain, Model, Query, Reading, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// The axis that a mirror turns round.
const ACROSS: usize = 3;

/// A = mean over t of t⁻¹(A′(t(x))) for any explainer A′ of images, t the image as it is and mirrored, each multiplied by
/// 0.9, 1 and 1.1: pytorch-grad-cam's `aug_smooth`
/// ([its code](https://github.com/jacobgil/pytorch-grad-cam/blob/master/pytorch_grad_cam/base_cam.py); no paper). What
/// every copy shows stays, and the map is centred better on the object.
///
/// The class is chosen once, on the image as it is. Maps of a layer whose cells do not tile the image are brought to it
/// before they are mirrored back: the cells of a mirrored image lie elsewhere.
///
/// **When not to use it:** for classes that a mirror changes (letters, left and right), and to compare maps with those
/// of a method without it: details that one copy shows are blurred.
///
/// # Shapes
/// The map of an input `[N, C, H, W]` has the shape that A′ gives, or `[N, 1, H, W]` if its cells do not tile the image.
///
/// # Example
/// ```
/// use candlelight_core::{Augmented, GradCam};
///
/// let method = Augmented::over(GradCam::at("layer4").eigen_smooth()).factors([1.0]);
/// ```
#[derive(Clone)]
pub struct Augmented {
    inner: Arc<dyn Explain>,
    factors: Vec<f64>,
}

impl Augmented {
    /// Averages what `inner` says.
    pub fn over(inner: impl Explain + 'static) -> Self {
        Self { inner: Arc::new(inner), factors: vec![0.9, 1.0, 1.1] }
    }

    /// What the image is multiplied by.
    pub fn factors(self, factors: impl Into<Vec<f64>>) -> Self {
        Self { factors: factors.into(), ..self }
    }
}

impl Explain for Augmented {
    fn name(&self) -> String {
        format!("augmented({})", self.inner.name())
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let rows = query.input().dims()[0];
        let views = at_least_one("number of factors", self.factors.len())? * Turn::ALL.len();
        let mut run = Run::new(model, query, rows * (views + 1))?;
        let (_, _, height, width) = query.input().dims4()?;
        let prediction = run.predict()?;
        let target = prediction.target.at(&Vec::from_iter(0..rows));
        let (mut maps, mut reading, mut layer) = (Vec::with_capacity(views), Reading::default(), None);
        for (&factor, turn) in self.factors.iter().flat_map(|factor| Turn::ALL.map(|turn| (factor, turn))) {
            let copy = (turn.of(query.input())? * factor)?;
            let map = self.inner.attribute(model, &query.about(&copy, target.clone(), run.batch()))?;
            let values = match map.placement {
                Some(_) => map.plane(height, width)?.unsqueeze(1)?,
                None => map.maps().clone(),
            };
            maps.push(turn.of(&values)?);
            run.spent(Cost { forwards: rows, backwards: map.cost.backwards })?;
            (reading, layer) = (map.reading, map.layer);
        }
        let values = Tensor::stack(&maps, 0)?.mean(0)?;
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        Ok(Attribution { reading, layer, ..attribution })
    }
}

/// How an image is shown; what undoes it is the same.
#[derive(Clone, Copy, Debug)]
enum Turn {
    AsItIs,
    Mirrored,
}

impl Turn {
    const ALL: [Self; 2] = [Self::AsItIs, Self::Mirrored];

    fn of(self, image: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::AsItIs => Ok(image.clone()),
            Self::Mirrored => image.flip(&[ACROSS])?.contiguous(),
        }
    }
}
