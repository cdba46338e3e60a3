//! candle_nn's module of convolutions.

pub use super::conv_transpose::{
    ConvTranspose1d, ConvTranspose2d, conv_transpose1d, conv_transpose1d_no_bias, conv_transpose2d,
    conv_transpose2d_no_bias,
};
pub use super::conv1d::{Conv1d, conv1d, conv1d_no_bias};
pub use super::conv2d::{Conv2d, conv2d, conv2d_no_bias};
pub use candle_nn::{Conv1dConfig, Conv2dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig};
