//! From what the page says to HTML.

use super::Page;
use crate::failure::{Failure, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use sha2::{Digest, Sha256};

const TEMPLATE: &str = include_str!("assets/page.html");
pub const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// The page as one file. The name of the template says that what is filled in is escaped.
pub fn html(page: &Page) -> Result<String> {
    let policy = format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let version = env!("CARGO_PKG_VERSION");
    let page = Value::from(Serde(page));
    fill("page.html", TEMPLATE, context! { page, policy, version, style => STYLE, script => SCRIPT })
}

/// Fills a template in; a name that it has and the data has not is an error.
pub fn fill(name: &'static str, template: &'static str, data: Value) -> Result<String> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let wrong = |error: minijinja::Error| Failure::result(format!("{error:#}"), "please report this");
    templates.add_template(name, template).map_err(wrong)?;
    templates.get_template(name).and_then(|template| template.render(data)).map_err(wrong)
}

/// A source of the content security policy: this very text.
pub fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_escaped_in_text_and_in_data() {
        let hostile = "<script>alert('1')</script>\"&";
        let filled = fill("x.html", "{{ it }} {{ it|tojson }}", context! { it => hostile }).unwrap();
        assert!(!filled.contains("<script") && !filled.contains("</script"), "{filled}");
    }

    #[test]
    fn a_name_that_is_not_there_is_an_error() {
        assert!(fill("x.html", "{{ nothing }}", context! {}).is_err());
    }
}
