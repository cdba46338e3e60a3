//! CPU kernels of candlelight behind safe functions.
//!
//! Every kernel works on plain row-major slices, checks their lengths, runs in parallel over images or
//! chunks, and has a naive twin in the tests. This is the only crate of the project that may hold `unsafe`:
//! the call into [`gemm`](https://docs.rs/gemm), new memory that threads write in parts, and the instructions of a matrix
//! unit.

mod adaptive;
mod affine;
mod carrier;
pub mod chain;
mod conv2d;
mod counted;
mod element;
mod erf;
mod even;
mod exp;
mod gemm;
mod impute;
mod linear;
mod map;
mod planes;
mod pool2d;
mod room;
mod rows;
mod simd;
mod tiles;
mod window;

pub use adaptive::{adaptive_maxima, adaptive_range};
pub use affine::Affine;
pub use carrier::{CARRIER, carrying, stabilised};
pub use conv2d::{Conv2d, conv2d, conv2d_input_gradient, conv2d_weight_gradient};
pub use counted::{replace_counted, sum_of_pairs};
pub use element::Element;
pub use erf::{gelu, gelu_derivative};
pub use even::even_shares;
pub use gemm::{Matrix, Onto, Threads, gemm, gemm_onto};
pub use impute::impute;
pub use linear::{Factor, linear};
pub use map::{map, zip_map};
pub use planes::{channel_products, channel_sums, plane_affine, plane_combine};
pub use pool2d::{Pool2d, avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
pub use rows::{rms_scale, rms_scale_gradient, softmax, softmax_gradient, standardize, standardize_gradient};
pub use simd::vectorized;
pub use tiles::Split;
pub use window::Window;
