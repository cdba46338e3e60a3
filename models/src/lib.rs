//! ResNet, VGG, ViT and LeNet for candlelight, their loading, and two bundled demo models.
//!
//! All are written on `candlelight_core::nn`, so every layer is a tap and every gradient is right; they
//! train through a `VarMap` as well as they classify with weights from a file.

#![forbid(unsafe_code)]

pub mod bundled;
mod error;
#[cfg(feature = "hub")]
pub mod hub;
mod labels;
pub mod lenet;
mod load;
mod nearest;
pub mod resnet;
pub mod scenes;
pub mod vgg;
pub mod vit;

use candlelight_core::nn::VarBuilder;

pub use error::{Error, Result};
pub use labels::Labels;
pub use lenet::LeNet;
pub use load::{LoadedModel, Loader, Model, ModelBytes, Source, load};
pub use resnet::{ResNet, ResNetConfig};
pub use vgg::{Vgg, VggConfig};
pub use vit::{ViT, ViTConfig};

/// Which statistics batch norms use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Train,
    Eval,
}

impl Mode {
    fn is_train(self) -> bool {
        self == Self::Train
    }
}

/// The full name of `leaf` below the prefix of `vb`.
fn path(vb: &VarBuilder, leaf: &str) -> String {
    vb.pp(leaf).prefix()
}
