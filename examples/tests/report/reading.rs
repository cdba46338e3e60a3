//! Whether everybody can read a page: the rules that a program can check, and the names that a screen reader says.

use crate::browser::Browser;
use serde_json::{Value, json};

const RULES: &str = include_str!("reading.js");

/// Roles that a screen reader announces, and that are nothing without a name.
const NAMED: [&str; 8] = ["button", "link", "slider", "checkbox", "application", "region", "img", "combobox"];

/// What is wrong with the page that is open.
pub fn problems(browser: &mut Browser) -> Vec<String> {
    let rules = browser.eval(RULES);
    let broken = rules.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nameless = |node: &&Value| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        node["ignored"] != true
            && NAMED.contains(&role)
            && node["name"]["value"].as_str().unwrap_or_default().trim().is_empty()
    };
    let nodes = tree["nodes"].as_array().unwrap();
    assert!(nodes.len() > 20, "a tree of {} nodes is none", nodes.len());
    let nameless =
        nodes.iter().filter(nameless).map(|node| format!("a {} has no name", node["role"]["value"]));
    broken.chain(nameless).collect()
}

pub fn check(browser: &mut Browser) {
    assert_eq!(problems(browser), Vec::<String>::new());
}
