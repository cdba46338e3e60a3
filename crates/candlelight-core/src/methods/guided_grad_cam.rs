//! Guided Grad-CAM: Guided Backpropagation where Grad-CAM is positive.

use super::{GradCam, GuidedBackprop};
use crate::{Attribution, Explain, Model, Query, Result, Upsampling};

/// A = G ∘ max(M, 0) for Guided Backpropagation G and the map M of Grad-CAM, brought to the image
/// ([Selvaraju et al. 2016](https://arxiv.org/abs/1610.02391)). It needs ReLUs, as
/// [`GuidedBackprop`] does.
///
/// **When not to use it:** to find out which details decide. The outlines are Guided Backpropagation's, which are the
/// image's own and stay when the model is replaced by a random one
/// ([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292)); only where they are shown is the class's.
///
/// # Shapes
/// The map has the input's shape.
#[derive(Clone, Debug, Default)]
pub struct GuidedGradCam {
    cam: GradCam,
    upsampling: Upsampling,
}

impl GuidedGradCam {
    /// With the map of the layer of this name or pattern; unless named, where [`GradCam`] looks.
    pub fn at(layer: impl Into<String>) -> Self {
        Self::default().and(layer)
    }

    /// And of this layer or pattern.
    pub fn and(self, layer: impl Into<String>) -> Self {
        Self { cam: self.cam.and(layer), ..self }
    }

    /// How the map is brought to the image; bilinear where its cells look, unless said.
    pub fn upsampling(self, upsampling: Upsampling) -> Self {
        Self { upsampling, ..self }
    }
}

impl Explain for GuidedGradCam {
    fn name(&self) -> String {
        "guided-grad-cam".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let guided = GuidedBackprop.attribute(model, query)?;
        let cam = self.cam.attribute(model, &query.clone().after(guided.cost.forwards))?;
        let (_, _, height, width) = query.input().dims4()?;
        let where_positive = self.upsampling.resize(&cam.values.relu()?, cam.placement, height, width)?;
        let values = guided.values.broadcast_mul(&where_positive)?;
        let mut cost = guided.cost;
        cost += cam.cost;
        Ok(Attribution { method: self.name(), values, cost, ..guided })
    }
}
