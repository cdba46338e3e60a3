//! What the classes of a model are called.

use serde_json::Value;

use crate::nearest::nearest;
use crate::{Error, Result};

/// The names of a model's classes, in the order of its logits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Labels in the order of the logits.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// `class 0`, `class 1`, … for a model that does not say.
    pub fn numbered(classes: usize) -> Self {
        Self::new((0..classes).map(|i| format!("class {i}")))
    }

    /// The name of class `index`, or `class <index>` beyond the last one.
    pub fn name(&self, index: usize) -> String {
        self.0.get(index).cloned().unwrap_or_else(|| format!("class {index}"))
    }

    /// The names in the order of the logits.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The class called `name`, upper and lower case alike; one of several synonyms (`tabby, tabby cat`) is enough.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLabel`] with the nearest names.
    pub fn find(&self, name: &str) -> Result<usize> {
        let matches = |label: &str| label.trim().eq_ignore_ascii_case(name.trim());
        let whole = self.0.iter().position(|label| matches(label));
        let part = || self.0.iter().position(|label| label.split(',').any(matches));
        whole.or_else(part).ok_or_else(|| Error::UnknownLabel {
            name: name.to_string(),
            nearest: nearest(name, self.0.iter().map(String::as_str)),
        })
    }

    /// The labels of a configuration: `id2label`, or a list under one of `keys`.
    pub(crate) fn of(config: &Value) -> Result<Option<Self>> {
        if let Some(map) = config.get("id2label").and_then(Value::as_object) {
            return Self::of_map(map).map(Some);
        }
        let list = ["label_names", "classes"].iter().find_map(|&key| config.get(key)?.as_array());
        Ok(list.map(|names| Self::new(names.iter().map(text))))
    }

    fn of_map(map: &serde_json::Map<String, Value>) -> Result<Self> {
        let name = |i: usize| map.get(&i.to_string()).map(text);
        let names: Option<Vec<_>> = (0..map.len()).map(name).collect();
        let missing =
            || Error::bad("id2label", format!("lacks one of the classes 0 to {}", map.len().max(1) - 1));
        names.filter(|names| !names.is_empty()).map(Self).ok_or_else(missing)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_ordered_by_number_not_by_text() -> Result<()> {
        let map: serde_json::Map<_, _> = (0..12).map(|i| (i.to_string(), json!(format!("n{i}")))).collect();
        let labels = Labels::of(&json!({ "id2label": map }))?.ok_or(Error::bad("id2label", "is missing"))?;
        assert_eq!(labels.name(10), "n10");
        assert_eq!(labels.len(), 12);
        Ok(())
    }

    #[test]
    fn a_gap_in_the_labels_is_an_error() {
        assert!(Labels::of(&json!({ "id2label": { "0": "a", "2": "b" } })).is_err());
        assert!(Labels::of(&json!({ "id2label": {} })).is_err());
    }

    #[test]
    fn a_synonym_is_found_and_a_typo_gets_a_hint() {
        let labels = Labels::new(["tabby, tabby cat", "goldfish"]);
        assert_eq!(labels.find("Tabby Cat").ok(), Some(0));
        let message = labels.find("goldfsh").unwrap_err().to_string();
        assert!(message.contains("nearest: goldfish"), "{message}");
    }
}
