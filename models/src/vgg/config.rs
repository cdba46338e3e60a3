//! What a VGG is made of, without its weights.

/// Whose tensor names the weights of a VGG have; the features are `features.N` for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `classifier.0`, `classifier.3`, `classifier.6`: torchvision. Maps of any size are pooled to 7x7.
    Torchvision,
    /// `pre_logits.fc1`, `pre_logits.fc2`, `head.fc`: timm, whose first two are convolutions. The last maps must be 7x7.
    Timm,
}

/// A VGG (<https://arxiv.org/abs/1409.1556>) without its weights.
#[derive(Clone, Debug)]
pub struct VggConfig {
    /// Whose tensor names the weights have.
    pub naming: Naming,
    /// Channels of the image.
    pub in_channels: usize,
    /// Channels of every 3x3 convolution; a 2x2 max pool ends each stage.
    pub stages: Vec<Vec<usize>>,
    /// What is added to the variance in the batch norm behind every convolution, if there are batch norms.
    pub norm_eps: Option<f64>,
    /// Width of the two hidden layers.
    pub hidden_size: usize,
    /// The number of logits.
    pub classes: usize,
}

impl VggConfig {
    /// A network of the paper, by how many convolutions its five stages have; `[2, 2, 3, 3, 3]` is VGG-16.
    pub fn imagenet(depths: [usize; 5], classes: usize) -> Self {
        let channels = [64, 128, 256, 512, 512];
        Self {
            naming: Naming::Torchvision,
            in_channels: 3,
            stages: depths.iter().zip(channels).map(|(&depth, channels)| vec![channels; depth]).collect(),
            norm_eps: None,
            hidden_size: 4096,
            classes,
        }
    }

    /// Channels of the last maps.
    pub fn features(&self) -> usize {
        self.stages.iter().flatten().last().copied().unwrap_or(self.in_channels)
    }

    /// Modules of a convolution with what follows it, as the features are numbered.
    pub(super) fn modules(&self) -> usize {
        if self.norm_eps.is_some() { 3 } else { 2 }
    }

    /// The name of the last activation of the features.
    pub fn last_activation(&self) -> String {
        let convolutions: usize = self.stages.iter().map(Vec::len).sum();
        let pools = self.stages.len().saturating_sub(1);
        format!("features.{}", (convolutions * self.modules() + pools).saturating_sub(1))
    }
}
