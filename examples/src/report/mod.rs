//! The page that a person looks at: one HTML file that asks for nothing else.
//!
//! [`Page`] is what it says, as data that can be serialised; [`html`] makes a file of it. Whatever comes from outside,
//! such as file names and labels, reaches the page through a template that escapes by itself.

mod card;
mod outline;
mod page;
mod plot;
pub mod template;

pub use page::Page;
pub use template::html;

use crate::failure::{Failure, Result};
use crate::job::{Explained, Job};
use std::fs;
use std::path::Path;

/// What the page is called unless told.
pub const FILE: &str = "report.html";

/// Writes the page of one image.
pub fn write(job: &Job, explained: &Explained, path: &Path) -> Result<()> {
    let page = html(&Page::of(job, explained)?)?;
    fs::write(path, page).map_err(|error| Failure::unwritable(path, error))
}
