//! What `--features` says.

use crate::failure::{Failure, Result};
use candlelight::{Features, Segmentation};

/// The features of this name.
pub fn of(asked: &str) -> Result<Features> {
    let (name, rest) = asked.split_once(':').map_or((asked, None), |(name, rest)| (name, Some(rest)));
    Ok(match (name, rest) {
        ("auto", None) => Features::Auto,
        ("values", None) => Features::Values,
        ("pixels", None) => Features::Pixels,
        ("tokens", None) => Features::Tokens,
        ("grid", Some(sides)) => {
            let (rows, columns) = two(asked, sides)?;
            Features::Grid { rows, columns }
        }
        ("patches", Some(sides)) => {
            let (height, width) = two(asked, sides)?;
            Features::Patches { height, width }
        }
        ("slic", None) => Features::Superpixels(Segmentation::default()),
        ("slic", Some(count)) => Features::Superpixels(Segmentation::slic(whole(asked, count)?)),
        ("quickshift", None) => Features::Superpixels(Segmentation::quickshift()),
        ("felzenszwalb", None) => Features::Superpixels(Segmentation::felzenszwalb()),
        _ => return Err(unknown(asked)),
    })
}

/// `7`, or `7x5`.
fn two(asked: &str, sides: &str) -> Result<(usize, usize)> {
    let (first, second) = sides.split_once('x').unwrap_or((sides, sides));
    Ok((whole(asked, first)?, whole(asked, second)?))
}

fn whole(asked: &str, number: &str) -> Result<usize> {
    number.parse().map_err(|_| unknown(asked))
}

fn unknown(asked: &str) -> Failure {
    Failure::input(
        format!("unknown features `{asked}`"),
        "there are auto, values, pixels, grid:7, grid:7x5, patches:16, patches:16x8, slic, slic:50, quickshift, \
         felzenszwalb and tokens",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        let said = |asked: &str| of(asked).map(|features| format!("{features:?}")).ok();
        assert_eq!(said("grid:7"), Some("Grid { rows: 7, columns: 7 }".into()));
        assert_eq!(said("patches:16x8"), Some("Patches { height: 16, width: 8 }".into()));
        assert!(said("slic:30").is_some_and(|words| words.contains("segments: 30")));
        for nonsense in ["grid", "grid:x", "slic:many", "auto:3", "cats"] {
            assert!(said(nonsense).is_none(), "{nonsense}");
        }
    }
}
