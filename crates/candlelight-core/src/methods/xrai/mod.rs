//! XRAI: regions of the image, ranked by what they hold of another map.

mod ranking;
mod segments;

use super::IntegratedGradients;
use crate::schedule::to_f64;
use crate::{Attribution, Baseline, Bounds, Convergence, Error, Explain, Model, Query, References, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// The side of the images that the constants below are meant for.
const SIDE: f64 = 224.0;
/// Regions that bring fewer new pixels than this are left out.
const FEWEST_NEW: f64 = 50.0;

/// Every pixel has the mean attribution of the region that it belongs to: eXplanation with Ranked Area Integrals
/// ([Kapishnikov et al. 2019](https://arxiv.org/abs/1906.02825)).
///
/// The image is segmented six times, from fine to coarse
/// ([Felzenszwalb and Huttenlocher 2004](https://doi.org/10.1023/B:VISI.0000022288.19776.77)), each segment widened a
/// little; then the region with the largest mean of what it adds is taken, again and again. The default map is
/// Integrated Gradients, its mean over a dark and a bright baseline; of the channels the largest counts. Sizes are those
/// of the authors' code for 224 x 224 pixels, and grow and shrink with the image.
///
/// **When not to use it:** where the evidence follows no edges: a texture, a tint, a part of an object. The regions are
/// the segmentation's, and say nothing about the model.
///
/// # Shapes
/// Input `[N, C, H, W]`, map `[N, 1, H, W]`.
#[derive(Clone)]
pub struct Xrai {
    inner: Arc<dyn Explain>,
}

impl Default for Xrai {
    /// Over Integrated Gradients of 100 steps from the darkest and from the brightest value of the row.
    fn default() -> Self {
        Self::over(Self::usual().steps(100))
    }
}

impl Xrai {
    /// Regions of the map that `inner` makes of the input.
    pub fn over(inner: impl Explain + 'static) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Integrated Gradients from the darkest and the brightest value of the row.
    pub(super) fn usual() -> IntegratedGradients {
        let ends = [Baseline::Lowest(Bounds::OfRow), Baseline::Highest(Bounds::OfRow)];
        IntegratedGradients::default().baseline(References::Mixture(ends.map(References::from).into()))
    }
}

impl Explain for Xrai {
    fn name(&self) -> String {
        format!("xrai({})", self.inner.name())
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let map = self.inner.attribute(model, query)?;
        let (n, _, height, width) = image_shape(query.input())?;
        image_shape(&map.values).map(drop)?;
        let mut planes = Vec::with_capacity(n);
        for row in 0..n {
            let regions = segments::regions(&query.input().get(row)?)?;
            let attributions = to_f64(&map.values.get(row)?.max(0)?)?;
            planes.extend(ranking::ranked(&attributions, &regions, scaled(FEWEST_NEW, height, width, 2.0)));
        }
        let values = Tensor::from_vec(planes, (n, 1, height, width), query.input().device())?;
        let values = values.to_dtype(query.input().dtype())?;
        // What the inner map sums to and its error value by value are not this map's.
        let convergence = Convergence { completeness: None, ..map.convergence };
        Ok(Attribution { method: self.name(), values, laid_out: None, error: None, convergence, ..map })
    }
}

fn image_shape(x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    x.dims4().map_err(|_| Error::Shape {
        what: "an image of XRAI, or the map under it,",
        found: x.dims().to_vec(),
        expected: "[N, C, H, W]".into(),
    })
}

/// A size meant for [`SIDE`] x [`SIDE`] pixels, a length (`power` 1) or an area (2), for this image.
fn scaled(size: f64, height: usize, width: usize, power: f64) -> f64 {
    size * ((height * width) as f64).sqrt().powf(power) / SIDE.powf(power)
}
