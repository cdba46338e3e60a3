//! The pages that a person looks at: HTML files that ask for nothing else.
//!
//! [`Page`] and [`Comparison`] are what they say, as data that can be serialised; [`template`] makes files of them.
//! Whatever comes from outside, such as file names and labels, reaches a page through a template that escapes by itself.

mod card;
mod comparison;
mod matrix;
mod outline;
mod page;
mod plot;
mod repeat;
pub mod template;

pub use comparison::Compared;
pub use page::Page;
pub use template::html;

use crate::failure::{Failure, Result};
use crate::job::{Explained, Job};
use comparison::Comparison;
use std::fs;
use std::path::Path;

/// What the page of an image is called unless told, and that of a comparison.
pub const FILE: &str = "report.html";
pub const COMPARISON: &str = "compare.html";

/// Writes the page of one image.
pub fn write(job: &Job, explained: &Explained, path: &Path) -> Result<()> {
    save(&html(&Page::of(job, explained)?)?, path)
}

/// Writes the page of a comparison.
pub fn write_comparison(compared: &Compared, path: &Path) -> Result<()> {
    save(&template::comparison(&Comparison::of(compared)?)?, path)
}

fn save(page: &str, path: &Path) -> Result<()> {
    fs::write(path, page).map_err(|error| Failure::unwritable(path, error))
}
