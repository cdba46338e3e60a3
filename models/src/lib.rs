//! ResNet and ViT for candlelight, their loading, and two bundled demo models.

pub mod scenes;
