//! What the test targets share: the reference data of `golden`, its small models, and comparing.
#![forbid(unsafe_code)]

pub mod cases;
pub mod compare;
pub mod folders;
pub mod measured;
pub mod zoo;

pub use cases::{Case, Folder, Tensors};
