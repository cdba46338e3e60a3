//! Class activation maps: the maps of a layer, weighted and joined.

mod class_weights;
mod gradients;
mod layers;
mod maps;
mod perturbed;
mod principal;

pub use class_weights::Cam;
pub use gradients::{ElementWiseGradCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam};
pub use perturbed::{AblationCam, ScoreCam};
pub use principal::{EigenCam, EigenGradCam};

use super::layer::{Seen, Wanted, the_grid};
use crate::schedule::{Prediction, Run, check_input, not_finite};
use crate::{Attribution, Convergence, Error, Explain, Model, Placement, Query, Reading, Result, place};
use candle_core::Tensor;
use layers::Layers;
use maps::Maps;

/// A class activation map: the maps of a layer, each weighted as `W` says, and summed.
///
/// The layer is a name, a pattern, or found: the last map with a spatial extent; in a vision transformer the layer norm
/// before the last attention, its patch tokens laid out on the image. In a pattern `*` stands for any part of a name
/// between two dots and `**` for any part at all: `layer*` means the stages, `layer4.*` the blocks of one, and of what
/// a pattern means the maps are taken.
///
/// # Shapes
/// `[N, 1, h, w]`, the layer's size; the map keeps sign and scale (the papers' ReLU is a choice made when drawing), and
/// knows where its cells lie on the image ([`Placement`]). Of several layers it is `[N, 1, height, width]`, the
/// input's size: the mean of the layers' maps, each over its largest magnitude, because the units of layers differ.
///
/// Nothing below the lowest layer is differentiated.
#[derive(Clone, Debug)]
pub struct ClassActivation<W> {
    weighting: W,
    layers: Layers,
    join: Join,
}

/// How the weighted maps of a layer become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Their sum.
    Sum,
    /// Their first principal component.
    Principal,
}

/// What a weighting asks of the model once a layer has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Nothing.
    None,
    /// A pass for each row.
    PerRow,
    /// A pass for each row and channel.
    PerChannel,
}

/// How the maps of a layer are weighted.
pub trait Weighting: Clone + Default + Send + Sync {
    /// The method's name in the registry.
    const NAME: &'static str;
    /// What it needs of the layer.
    const WANTED: Wanted = Wanted::Gradient;
    /// What it asks of the model beside.
    const PASSES: Passes = Passes::None;
    /// How the maps are joined, unless it is said.
    const JOIN: Join = Join::Sum;

    /// The weighted maps of a layer, `[N, channels, h, w]`.
    fn weigh(&self, maps: &Maps, asked: &mut Asked) -> Result<Tensor>;
}

/// The run of a query whose rows are predicted, for weightings that ask the model more.
pub struct Asked<'a, 'q> {
    run: &'a mut Run<'q>,
    prediction: &'a Prediction,
}

impl<W: Weighting> Default for ClassActivation<W> {
    fn default() -> Self {
        Self { weighting: W::default(), layers: Layers::default(), join: W::JOIN }
    }
}

impl<W: Weighting> ClassActivation<W> {
    /// At the layer of this name, or the layers of this pattern.
    pub fn at(layer: impl Into<String>) -> Self {
        Self::default().and(layer)
    }

    /// And at this layer or pattern.
    pub fn and(self, layer: impl Into<String>) -> Self {
        Self { layers: self.layers.and(layer.into()), ..self }
    }

    /// The first principal component of the weighted maps in place of their sum
    /// ([Muhammad and Yeasin 2020](https://arxiv.org/abs/2008.00299) do it to unweighted maps): what the maps have in
    /// common stays, and what only a few show goes. Its sign is that of the sum; the maps are centred over space, so
    /// that it falls below zero where there is less than on average.
    pub fn eigen_smooth(self) -> Self {
        Self { join: Join::Principal, ..self }
    }

    /// The map of one layer, `[N, 1, h, w]`.
    fn map(&self, maps: &Maps, asked: &mut Asked) -> Result<Tensor> {
        let weighted = self.weighting.weigh(maps, asked)?;
        let map = match self.join {
            Join::Sum => weighted.sum_keepdim(1)?,
            Join::Principal => principal::component(&weighted)?,
        };
        match not_finite(&map)? {
            0 => Ok(map),
            count => Err(Error::NonFinite {
                what: "the map",
                count,
                place: format!(" at layer `{}`", maps.name()),
            }),
        }
    }
}

impl<W: Weighting> Explain for ClassActivation<W> {
    fn name(&self) -> String {
        W::NAME.into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        check_input(query.input())?;
        let found = self.layers.find(model, query.input(), W::PASSES)?;
        let mut run = Run::new(model, query, query.input().dims()[0] * found.passes)?;
        let (prediction, seen) = Seen::all(&mut run, model, &found.names, W::WANTED, the_grid)?;
        let mut maps = Vec::with_capacity(seen.len());
        for seen in &seen {
            seen.check_patches_read(&mut run, model, &prediction.target)?;
            let mut asked = Asked { run: &mut run, prediction: &prediction };
            let map = self.map(&Maps::new(seen)?, &mut asked)?;
            maps.push((map, seen.placement()));
        }
        let (values, placement) = merge(maps, query.input())?;
        let attribution = Attribution::new(self.name(), values, prediction, Convergence::exact(), run.cost());
        let layer = Some(found.names.join(", "));
        Ok(Attribution { reading: Reading::Positive, layer, placement, ..attribution })
    }
}

/// The map of one layer as it is, those of several as one on the input's grid.
fn merge(mut maps: Vec<(Tensor, Option<Placement>)>, input: &Tensor) -> Result<(Tensor, Option<Placement>)> {
    if maps.len() == 1 {
        return Ok(maps.remove(0));
    }
    let (_, _, height, width) = input.dims4()?;
    let mut planes = Vec::with_capacity(maps.len());
    for (map, placement) in maps {
        let placement = placement.unwrap_or(Placement::even(map.dim(2)?, map.dim(3)?));
        planes.push(place(&over_largest(&map)?, placement, height, width)?);
    }
    Ok((Tensor::cat(&planes, 1)?.mean_keepdim(1)?, Some(Placement::even(height, width))))
}

/// The map of every row over its largest magnitude; a map of zeros stays one.
fn over_largest(map: &Tensor) -> Result<Tensor> {
    let largest = map.abs()?.flatten_from(1)?.max_keepdim(1)?;
    let is_zero = largest.eq(0.0)?.to_dtype(map.dtype())?;
    Ok(map.broadcast_div(&(largest + is_zero)?.reshape(((), 1, 1, 1))?)?)
}
