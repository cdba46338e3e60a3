//! What `--features` says.

use crate::failure::{Failure, Result};
use candlelight::Features;

/// The features of this name.
pub fn of(asked: &str) -> Result<Features> {
    let (name, sizes) = match asked.split_once(':') {
        Some((name, sizes)) => (name, pair(sizes)),
        None => (asked, None),
    };
    Ok(match (name, sizes, asked.contains(':')) {
        ("values", None, false) => Features::Values,
        ("pixels", None, false) => Features::Pixels,
        ("tokens", None, false) => Features::Tokens,
        ("grid", Some((rows, columns)), _) => Features::Grid { rows, columns },
        ("patches", Some((height, width)), _) => Features::Patches { height, width },
        _ => {
            return Err(Failure::input(
                format!("unknown features `{asked}`"),
                "there are values, pixels, grid:8, grid:8x6, patches:16, patches:16x8 and tokens",
            ));
        }
    })
}

/// One or two sizes, such as `8` or `8x6`.
fn pair(sizes: &str) -> Option<(usize, usize)> {
    match sizes.split_once('x') {
        Some((height, width)) => Some((height.parse().ok()?, width.parse().ok()?)),
        None => sizes.parse().ok().map(|side| (side, side)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_named_with_their_sizes() {
        assert!(matches!(of("grid:8x6"), Ok(Features::Grid { rows: 8, columns: 6 })));
        assert!(matches!(of("patches:16"), Ok(Features::Patches { height: 16, width: 16 })));
        assert!(matches!(of("tokens"), Ok(Features::Tokens)));
        for wrong in ["grid", "grid:x", "pixels:3", "squares", "patches:1x2x3"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
