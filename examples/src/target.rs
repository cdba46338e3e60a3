//! Which class is meant.

use crate::failure::{Failure, Result};
use candlelight::models::Labels;
use candlelight::{Error, Target};

/// How many labels an ambiguous one lists.
const LISTED: usize = 5;

/// What `--target` says: `top`, the number of a class, or a label.
pub fn resolve(asked: &str, labels: &Labels) -> Result<Target> {
    match asked.eq_ignore_ascii_case("top") {
        true => Ok(Target::Top),
        false => class(asked, labels).map(Target::Class),
    }
}

/// The class that `--contrast` means: its number, or its label.
pub fn class(asked: &str, labels: &Labels) -> Result<usize> {
    let classes = labels.len();
    match asked.parse::<usize>() {
        Ok(class) if class < classes => Ok(class),
        Ok(class) => Err(Error::TargetOutOfRange { class, classes }.into()),
        Err(_) => find(asked, labels),
    }
}

/// The class of a label: its whole, one of its synonyms, or a beginning that only one class has.
fn find(asked: &str, labels: &Labels) -> Result<usize> {
    let unknown = match labels.find(asked) {
        Ok(class) => return Ok(class),
        Err(error) => error,
    };
    let begun: Vec<usize> = (0..labels.len()).filter(|&class| begins(&labels.name(class), asked)).collect();
    match begun[..] {
        [] => Err(unknown.into()),
        [class] => Ok(class),
        [..] => {
            let names = begun.iter().take(LISTED).map(|&class| format!("`{}`", labels.name(class)));
            let names = names.collect::<Vec<_>>().join(", ");
            let message = format!("`{asked}` could be any of `{}` classes", begun.len());
            Err(Failure::input(message, format!("write more of it: {names}")))
        }
    }
}

fn begins(label: &str, asked: &str) -> bool {
    let asked = asked.trim().to_lowercase();
    !asked.is_empty() && label.split(',').any(|synonym| synonym.trim().to_lowercase().starts_with(&asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(asked: &str) -> Option<usize> {
        super::class(asked, &Labels::new(["tabby, tabby cat", "tiger, Panthera tigris", "tiger cat"])).ok()
    }

    #[test]
    fn numbers_labels_synonyms_and_beginnings_are_understood() {
        assert_eq!(class("2"), Some(2));
        assert_eq!(class("TABBY CAT"), Some(0));
        assert_eq!(class("tiger"), Some(1));
        assert_eq!(class("panthera"), Some(1));
        assert_eq!(class("tiger c"), Some(2));
    }

    #[test]
    fn what_is_unknown_or_ambiguous_is_refused() {
        assert_eq!((class("3"), class("t"), class("dog"), class("")), (None, None, None, None));
    }
}
