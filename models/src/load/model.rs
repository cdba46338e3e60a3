//! The model that was loaded, of whatever architecture.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{Module, VarBuilder};

use super::spec::Spec;
use crate::vgg::{Naming, VggConfig};
use crate::{Error, LeNet, ResNet, Vgg, ViT, lenet};

/// A model of one of the architectures that are built in.
#[derive(Clone, Debug)]
pub enum Model {
    /// A LeNet.
    LeNet(Box<LeNet>),
    /// A residual network.
    ResNet(ResNet),
    /// A VGG.
    Vgg(Vgg),
    /// A vision transformer.
    ViT(ViT),
}

impl Model {
    pub(super) fn new(spec: Spec, vb: VarBuilder) -> Result<Self> {
        Ok(match spec {
            Spec::LeNet { classes } => Self::LeNet(Box::new(LeNet::new(classes, vb)?)),
            Spec::ResNet(config) => Self::ResNet(ResNet::new(config, vb)?),
            Spec::Vgg(config) => Self::Vgg(vgg(config, vb)?),
            Spec::ViT(config) => Self::ViT(ViT::new(config, vb)?),
        })
    }

    /// The number of logits.
    pub fn classes(&self) -> usize {
        match self {
            Self::LeNet(model) => model.classes(),
            Self::ResNet(model) => model.config().classes,
            Self::Vgg(model) => model.config().classes,
            Self::ViT(model) => model.config().classes,
        }
    }

    /// The layer whose activations class activation maps use by default: the last stage of a ResNet, the last
    /// activation of a VGG's or a LeNet's features, the first norm of a ViT's last block.
    pub fn cam_layer(&self) -> String {
        match self {
            Self::LeNet(model) => model.last_activation().to_owned(),
            Self::ResNet(model) => model.config().last_stage(),
            Self::Vgg(model) => model.config().last_activation(),
            Self::ViT(model) => model.config().last_norm(),
        }
    }

    /// The height and width that the architecture demands, `None` if it takes any.
    pub fn image_size(&self) -> Option<(usize, usize)> {
        match self {
            Self::LeNet(_) => Some(lenet::IMAGE_SIZE),
            Self::ResNet(_) => None,
            Self::Vgg(model) => (model.config().naming == Naming::Timm).then_some((224, 224)),
            Self::ViT(model) => Some(model.config().image_size),
        }
    }

    /// Whether images of `(height, width)` pixels fit.
    ///
    /// # Errors
    ///
    /// [`Error::ImageSize`] from a ViT that was trained for another size, and from a
    /// LeNet.
    pub fn check_size(&self, size: (usize, usize)) -> crate::Result<()> {
        match self {
            Self::ResNet(_) | Self::Vgg(_) => Ok(()),
            Self::ViT(model) => model.check_size(size),
            Self::LeNet(_) if size == lenet::IMAGE_SIZE => Ok(()),
            Self::LeNet(_) => Err(Error::ImageSize { expected: lenet::IMAGE_SIZE, found: size }),
        }
    }
}

impl Module for Model {
    /// Logits `[N, classes]` of images `[N, C, H, W]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::LeNet(model) => model.forward(x),
            Self::ResNet(model) => model.forward(x),
            Self::Vgg(model) => model.forward(x),
            Self::ViT(model) => model.forward(x),
        }
    }
}

/// Weights of the hub have timm's names or torchvision's under the same architecture.
fn vgg(config: VggConfig, vb: VarBuilder) -> Result<Vgg> {
    let naming = match vb.contains_tensor("classifier.0.weight") {
        true => Naming::Torchvision,
        false => Naming::Timm,
    };
    Vgg::new(VggConfig { naming, ..config }, vb)
}
