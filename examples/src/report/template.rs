//! From what the page says to HTML.

use super::Page;
use super::comparison::Comparison;
use crate::failure::{Failure, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What pages have in common.
const LAYOUT: (&str, &str) = ("layout.html", include_str!("assets/layout.html"));
const SCRIPT: &str = include_str!("assets/page.js");
pub const STYLE: &str = include_str!("assets/page.css");

/// A kind of page: its template, and the style and the script that it alone has.
struct Kind {
    name: &'static str,
    template: &'static str,
    style: &'static str,
    script: &'static str,
}

const EXPLAIN: Kind = Kind {
    name: "explain.html",
    template: include_str!("assets/explain.html"),
    style: "",
    script: include_str!("assets/explain.js"),
};
const COMPARE: Kind = Kind {
    name: "compare.html",
    template: include_str!("assets/compare.html"),
    style: include_str!("assets/compare.css"),
    script: include_str!("assets/compare.js"),
};

/// The page of an image as one file.
pub fn html(page: &Page) -> Result<String> {
    EXPLAIN.file(page)
}

/// The page of a comparison as one file.
pub fn comparison(page: &Comparison) -> Result<String> {
    COMPARE.file(page)
}

impl Kind {
    fn file(&self, page: &impl Serialize) -> Result<String> {
        let style = format!("{STYLE}{}", self.style);
        let script = format!("{SCRIPT}{}", self.script);
        let policy = format!(
            "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(&style),
            hash(&script)
        );
        let version = env!("CARGO_PKG_VERSION");
        let page = Value::from(Serde(page));
        fill(self.name, self.template, context! { page, policy, version, style, script })
    }
}

/// Fills a template in, which may extend the layout; a name that it has and the data has not is an error. The name of the
/// template says that what is filled in is escaped.
pub fn fill(name: &'static str, template: &'static str, data: Value) -> Result<String> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let wrong = |error: minijinja::Error| Failure::result(format!("{error:#}"), "please report this");
    templates.add_template(LAYOUT.0, LAYOUT.1).map_err(wrong)?;
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
