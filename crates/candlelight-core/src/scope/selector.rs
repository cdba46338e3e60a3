//! Which layers are meant.

use super::Kind;

/// What a watch or a rule looks for among the layers.
///
/// # Example
/// ```
/// use candlelight_core::{Composite, Kind, Rule, Selector};
///
/// let composite = Composite::epsilon_plus()
///     .with(Selector::Pattern("layer1**".into()), Rule::Gamma(0.5)) // own entries come first
///     .with(Selector::Position(0), Rule::WSquare);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// The layer of this name.
    Name(String),
    /// Layers whose name is like this: `*` is any text without a dot, `**` any text.
    Pattern(String),
    /// Layers of this kind.
    Kind(Kind),
    /// The convolution or linear layer that runs at this place among them, from 0.
    Position(usize),
    /// All layers.
    Every,
}

impl Selector {
    /// Whether it may mean one of these. Layers without a name are numbered as they run, so that one of them inside
    /// may be meant, or change the number of one outside; nor is it known how many layers ran before these.
    pub(super) fn looks_into<'a>(&self, mut layers: impl Iterator<Item = &'a (String, Kind)>) -> bool {
        match self {
            Self::Name(wanted) => layers.any(|(name, _)| name == wanted || name.is_empty()),
            Self::Pattern(pattern) => layers.any(|(name, _)| name.is_empty() || matches(pattern, name)),
            Self::Kind(wanted) => layers.any(|(_, kind)| kind == wanted),
            Self::Position(_) => layers.any(|(_, kind)| kind.is_weighted()),
            Self::Every => true,
        }
    }

    /// Whether it means this layer, before which `position` convolutions and linear layers ran.
    pub(super) fn matches(&self, name: &str, kind: Kind, position: usize) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Pattern(pattern) => matches(pattern, name),
            Self::Kind(wanted) => *wanted == kind,
            Self::Position(wanted) => kind.is_weighted() && *wanted == position,
            Self::Every => true,
        }
    }
}

/// Whether `pattern` means `name`: `*` is any text without a dot, `**` any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let rest_matches = |rest: &str, within: &str| {
        let ends = within.char_indices().map(|(at, _)| at).chain([within.len()]);
        ends.into_iter().any(|at| matches(rest, &name[at..]))
    };
    if let Some(rest) = pattern.strip_prefix("**") {
        return rest_matches(rest, name);
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        return rest_matches(rest, name.split('.').next().unwrap_or_default());
    }
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    match (pattern.next(), name.next()) {
        (None, None) => true,
        (Some(wanted), Some(found)) => wanted == found && matches(pattern.as_str(), name.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stays_between_two_dots_and_two_stars_do_not() {
        let names = ["layer1", "layer1.0", "layer1.0.conv1", "layer2", "fc"];
        let meant = |pattern| names.into_iter().filter(|name| matches(pattern, name)).collect::<Vec<_>>();
        assert_eq!(meant("layer*"), ["layer1", "layer2"]);
        assert_eq!(meant("layer1.*"), ["layer1.0"]);
        assert_eq!(meant("**.conv1"), ["layer1.0.conv1"]);
        assert_eq!(meant("layer1**"), ["layer1", "layer1.0", "layer1.0.conv1"]);
        assert_eq!(meant("*"), ["layer1", "layer2", "fc"]);
        assert_eq!(meant("**"), names);
        assert_eq!(meant("layer"), [""; 0]);
    }
}
