//! The three vocabularies of tensor names that ResNet weights come in.

use super::Shortcut;

/// Whose tensor names the weights of a ResNet have; taps are called by them, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `resnet.encoder.stages.0.layers.0.layer.0.convolution`: `ResNetForImageClassification`.
    HuggingFace,
    /// `layer1.0.conv1`, `downsample.0`, `fc`: torchvision and timm.
    Torchvision,
    /// `layer1.0.conv1` with the head `linear`: the CIFAR family resnet20 to resnet110.
    Cifar,
}

/// The names of one convolution with its norm and activation.
pub(super) struct UnitNames {
    pub conv: String,
    pub norm: String,
    pub act: String,
}

impl UnitNames {
    fn new(conv: impl Into<String>, norm: impl Into<String>, act: impl Into<String>) -> Self {
        Self { conv: conv.into(), norm: norm.into(), act: act.into() }
    }
}

impl Naming {
    /// The one unit of a plain stem, or the last one of a deep stem.
    pub(super) fn stem(self) -> UnitNames {
        match self {
            Self::HuggingFace => hugging_face_unit("resnet.embedder.embedder"),
            Self::Torchvision => UnitNames::new("conv1", "bn1", "act1"),
            Self::Cifar => UnitNames::new("conv1", "bn1", "relu"),
        }
    }

    /// Unit `index` (0 to 2) of a deep stem: a sequence of conv, norm, act whose last norm stands outside.
    pub(super) fn deep_stem(self, index: usize) -> UnitNames {
        let at = |offset| format!("conv1.{}", 3 * index + offset);
        let outer = self.stem();
        match index {
            2 => UnitNames { conv: at(0), ..outer },
            _ => UnitNames { conv: at(0), norm: at(1), act: at(2) },
        }
    }

    pub(super) fn stem_pool(self) -> &'static str {
        match self {
            Self::HuggingFace => "resnet.embedder.pooler",
            Self::Torchvision | Self::Cifar => "maxpool",
        }
    }

    pub(super) fn stage(self, stage: usize) -> String {
        match self {
            Self::HuggingFace => format!("resnet.encoder.stages.{stage}"),
            Self::Torchvision | Self::Cifar => format!("layer{}", stage + 1),
        }
    }

    /// The name of a block within its stage.
    pub(super) fn block(self, block: usize) -> String {
        match self {
            Self::HuggingFace => format!("layers.{block}"),
            Self::Torchvision | Self::Cifar => block.to_string(),
        }
    }

    /// Unit `index` within a block.
    pub(super) fn unit(self, index: usize) -> UnitNames {
        let k = index + 1;
        let numbered = |act: &str| UnitNames::new(format!("conv{k}"), format!("bn{k}"), format!("{act}{k}"));
        match self {
            Self::HuggingFace => hugging_face_unit(&format!("layer.{index}")),
            Self::Torchvision => numbered("act"),
            Self::Cifar => numbered("relu"),
        }
    }

    /// The activation after the sum of a block whose branch has `units` units.
    pub(super) fn block_act(self, units: usize) -> String {
        match self {
            Self::HuggingFace => "activation".into(),
            Self::Torchvision => format!("act{units}"),
            Self::Cifar => format!("relu{units}"),
        }
    }

    /// Convolution and norm of a shortcut within its block; a pool before them moves the numbers up.
    pub(super) fn shortcut(self, kind: Shortcut) -> UnitNames {
        let first = usize::from(kind == Shortcut::PoolConv);
        let at = |i: usize| format!("downsample.{}", first + i);
        match self {
            Self::HuggingFace => hugging_face_unit("shortcut"),
            Self::Torchvision | Self::Cifar => UnitNames::new(at(0), at(1), ""),
        }
    }

    /// The average pool of a shortcut within its block.
    pub(super) fn shortcut_pool(self) -> &'static str {
        match self {
            Self::HuggingFace => "shortcut.pooler",
            Self::Torchvision | Self::Cifar => "downsample.0",
        }
    }

    pub(super) fn pool(self) -> &'static str {
        match self {
            Self::HuggingFace => "resnet.pooler",
            Self::Torchvision => "global_pool",
            Self::Cifar => "avgpool",
        }
    }

    pub(super) fn head(self) -> &'static str {
        match self {
            Self::HuggingFace => "classifier.1",
            Self::Torchvision => "fc",
            Self::Cifar => "linear",
        }
    }
}

fn hugging_face_unit(prefix: &str) -> UnitNames {
    let at = |leaf: &str| format!("{prefix}.{leaf}");
    UnitNames::new(at("convolution"), at("normalization"), at("activation"))
}
