//! The rows of the table.

use clap::ValueEnum;

/// One comparison: the work and the model that it is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    #[value(name = "forward/resnet50")]
    ForwardResNet,
    #[value(name = "forward/vit-b16")]
    ForwardViT,
    #[value(name = "gradient/resnet50")]
    GradientResNet,
    #[value(name = "gradient/vit-b16")]
    GradientViT,
    #[value(name = "gradient-imports-only/resnet50")]
    ImportsResNet,
    #[value(name = "gradient-imports-only/vit-b16")]
    ImportsViT,
    #[value(name = "ig50/resnet50")]
    PathResNet,
    #[value(name = "forward-exact/resnet50")]
    ForwardExact,
    #[value(name = "gradient-exact/resnet50")]
    GradientExact,
    #[value(name = "ig50-exact/resnet50")]
    PathExact,
    #[value(name = "ig50/vit-b16")]
    PathViT,
    #[value(name = "score-cam/resnet50")]
    ScoreCam,
    #[value(name = "ablation-cam/resnet50")]
    AblationCam,
    #[value(name = "rise/resnet50")]
    Rise,
    #[value(name = "kernel-shap/resnet50")]
    KernelShap,
    #[value(name = "lime/resnet50")]
    Lime,
    #[value(name = "occlusion/resnet50")]
    OcclusionResNet,
    #[value(name = "occlusion/vgg16")]
    OcclusionVgg,
    #[value(name = "non-sensitivity/lenet")]
    NonSensitivityLeNet,
    #[value(name = "non-sensitivity/resnet20")]
    NonSensitivityResNet,
}

/// Steps or samples that are compared.
pub const FEW: usize = 4;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Logits of a batch of 8.
    Forward,
    /// Logits of a batch of 10 and the gradient of their first column's sum at the input.
    Gradient,
    /// Integrated Gradients of one image for class 0, 50 steps.
    Path,
    /// Score-CAM of one image for class 0 at the 64 channels behind the stem: a forward pass for each.
    Score,
    /// Ablation-CAM there, the same way.
    Ablation,
    /// RISE of one image for class 0 with 7 x 7 cells.
    Rise,
    /// KernelSHAP of one image for class 0 over 7 x 7 cells.
    KernelShap,
    /// LIME of one image for class 0 over 7 x 7 cells, a ridge.
    Lime,
    /// Occlusion of one image for class 0: a window of so many pixels as there are steps, side by side.
    Occlusion,
    /// Non-Sensitivity of the saliency maps of some images, every value by itself.
    NonSensitivity,
}

impl Row {
    pub const ALL: [Self; 20] = [
        Self::ForwardResNet,
        Self::ForwardViT,
        Self::GradientResNet,
        Self::GradientViT,
        Self::ImportsResNet,
        Self::ImportsViT,
        Self::PathResNet,
        Self::PathViT,
        Self::ForwardExact,
        Self::GradientExact,
        Self::PathExact,
        Self::ScoreCam,
        Self::AblationCam,
        Self::Rise,
        Self::KernelShap,
        Self::Lime,
        Self::OcclusionResNet,
        Self::OcclusionVgg,
        Self::NonSensitivityLeNet,
        Self::NonSensitivityResNet,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ForwardResNet => "forward/resnet50",
            Self::ForwardViT => "forward/vit-b16",
            Self::GradientResNet => "gradient/resnet50",
            Self::GradientViT => "gradient/vit-b16",
            Self::ImportsResNet => "gradient-imports-only/resnet50",
            Self::ImportsViT => "gradient-imports-only/vit-b16",
            Self::PathResNet => "ig50/resnet50",
            Self::PathViT => "ig50/vit-b16",
            Self::ForwardExact => "forward-exact/resnet50",
            Self::GradientExact => "gradient-exact/resnet50",
            Self::PathExact => "ig50-exact/resnet50",
            Self::ScoreCam => "score-cam/resnet50",
            Self::AblationCam => "ablation-cam/resnet50",
            Self::Rise => "rise/resnet50",
            Self::KernelShap => "kernel-shap/resnet50",
            Self::Lime => "lime/resnet50",
            Self::OcclusionResNet => "occlusion/resnet50",
            Self::OcclusionVgg => "occlusion/vgg16",
            Self::NonSensitivityLeNet => "non-sensitivity/lenet",
            Self::NonSensitivityResNet => "non-sensitivity/resnet20",
        }
    }

    /// The folder of the model's weights.
    pub fn model(self) -> &'static str {
        match self {
            Self::ForwardViT | Self::GradientViT | Self::ImportsViT | Self::PathViT => "vit-b16",
            Self::OcclusionVgg => "vgg16",
            Self::NonSensitivityLeNet => "lenet",
            Self::NonSensitivityResNet => "resnet20",
            _ => "resnet50",
        }
    }

    pub fn work(self) -> Work {
        match self {
            Self::ForwardResNet | Self::ForwardViT | Self::ForwardExact => Work::Forward,
            Self::PathResNet | Self::PathViT | Self::PathExact => Work::Path,
            Self::ScoreCam => Work::Score,
            Self::AblationCam => Work::Ablation,
            Self::Rise => Work::Rise,
            Self::KernelShap => Work::KernelShap,
            Self::Lime => Work::Lime,
            Self::OcclusionResNet | Self::OcclusionVgg => Work::Occlusion,
            Self::NonSensitivityLeNet | Self::NonSensitivityResNet => Work::NonSensitivity,
            _ => Work::Gradient,
        }
    }

    /// Whether every convolution is multiplied out as it is defined.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::ForwardExact | Self::GradientExact | Self::PathExact)
    }

    pub fn peer(self) -> &'static str {
        match self.work() {
            Work::Path => "Captum at its best internal batch",
            Work::Rise => "the authors' loop in PyTorch, 10 masks at a time",
            Work::KernelShap | Work::Lime => "Captum, 10 samples at a time",
            Work::NonSensitivity => "Quantus 0.6.0, one feature in a step",
            Work::Occlusion => "Captum at its best perturbations per evaluation",
            Work::Score | Work::Ablation => "pytorch-grad-cam with its own batch",
            _ => "PyTorch eager",
        }
    }

    /// Steps of the path, or samples, that are timed: of the samplers a tenth of what their papers and the record's full
    /// runs have; pixels of a window: 16 make 196 windows; images of a metric.
    pub fn steps(self) -> usize {
        match self.work() {
            Work::Rise => 400,
            Work::KernelShap => 200,
            Work::Lime => 100,
            Work::Occlusion => 16,
            Work::NonSensitivity => self.images(),
            _ => 50,
        }
    }

    /// Steps of the path that is compared in double precision, or samples: few enough to be the same on both sides; pixels
    /// of a window: 75 make 9 windows; images of a metric, all of them.
    pub fn few_steps(self) -> usize {
        match self.work() {
            Work::Occlusion => 75,
            Work::NonSensitivity => self.images(),
            _ => FEW,
        }
    }

    fn images(self) -> usize {
        if self == Self::NonSensitivityLeNet { 16 } else { 4 }
    }
}
