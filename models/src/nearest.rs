//! The names that someone may have meant.

/// Up to three of `names`, those of the smallest edit distance to `name` first.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut ranked: Vec<_> = names.into_iter().map(|other| (distance(name, other), other)).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, other)| other.to_string()).collect()
}

/// Levenshtein's distance in bytes, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["layer1.0.bn1.weight", "fc.weight", "layer1.0.conv1.weight"];
        assert_eq!(nearest("layer1.0.conv2.weight", names)[0], "layer1.0.conv1.weight");
    }
}
