//! How the tokens of a vision transformer lie on the image: told by the model, or seen.

use super::{Placements, with_scope};
use crate::{Error, Result};

/// The most tokens that may stand before the patches of a model that does not tell: a class token, one of distillation,
/// registers.
const MOST_BEFORE: usize = 8;

/// How the tokens of a vision transformer lie on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    /// Tokens before the patches: class, distillation, registers. The first is the one whose row of attention is read.
    pub prefix: usize,
    /// Rows of patches.
    pub rows: usize,
    /// Columns of patches.
    pub columns: usize,
}

impl TokenGrid {
    /// All tokens.
    pub fn tokens(&self) -> usize {
        self.prefix + self.rows * self.columns
    }
}

/// Tells the scope how the model's tokens lie on the image; a vision transformer calls it once per forward.
///
/// A model that does not is understood from what it shows, if that has one meaning only ([`Tape::grid_of`]).
///
/// [`Tape::grid_of`]: crate::Tape::grid_of
pub fn token_grid(grid: TokenGrid) {
    with_scope(|scope| scope.grid = Some(grid));
}

/// The grid that `tokens` of a model make which was told, or else saw, these maps: those that windows made of the image
/// first, then square patches that tile it.
pub(super) fn grid_of(tokens: usize, told: Option<TokenGrid>, seen: &Placements) -> Result<TokenGrid> {
    if let Some(grid) = told.filter(|grid| grid.tokens() == tokens) {
        return Ok(grid);
    }
    let mut sizes = seen.sizes();
    let image = sizes.next();
    let made = fitting(tokens, sizes);
    let found = match (told, image) {
        (None, Some(image)) if made.is_empty() => fitting(tokens, square_patches(image)),
        (None, _) => made,
        (Some(_), _) => Vec::new(),
    };
    match found[..] {
        [grid] => Ok(grid),
        _ => Err(Error::TokenGrid { tokens, told, image, fitting: found }),
    }
}

/// The grids of these sizes behind which few tokens are left.
fn fitting(tokens: usize, sizes: impl Iterator<Item = (usize, usize)>) -> Vec<TokenGrid> {
    let mut grids = Vec::new();
    for (rows, columns) in sizes {
        let before = tokens.checked_sub(rows * columns).filter(|&before| before <= MOST_BEFORE);
        let grid = before.map(|prefix| TokenGrid { prefix, rows, columns });
        grids.extend(grid.filter(|grid| rows * columns > 1 && !grids.contains(grid)));
    }
    grids
}

/// Rows and columns of square patches of every size that tiles the image.
fn square_patches((height, width): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let tiles = move |side: &usize| height.is_multiple_of(*side) && width.is_multiple_of(*side);
    (1..=height.min(width)).filter(tiles).map(move |side| (height / side, width / side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Placement;

    fn seen(sizes: &[(usize, usize)]) -> Placements {
        Placements(sizes.iter().map(|&(h, w)| ((h, w), Placement::even(h, w))).collect())
    }

    fn grid(prefix: usize, rows: usize, columns: usize) -> TokenGrid {
        TokenGrid { prefix, rows, columns }
    }

    #[test]
    fn what_the_model_tells_holds() -> Result<()> {
        let told = grid(5, 2, 3);
        assert_eq!(grid_of(11, Some(told), &seen(&[(20, 30)]))?, told);
        let wrong = grid_of(12, Some(told), &seen(&[(20, 30), (2, 3)]));
        assert!(matches!(wrong, Err(Error::TokenGrid { tokens: 12, .. })), "{wrong:?}");
        Ok(())
    }

    #[test]
    fn the_grid_is_found_from_the_shapes_of_well_known_models() -> Result<()> {
        for (image, tokens, found) in [
            ((224, 224), 197, grid(1, 14, 14)),  // ViT-B/16
            ((224, 224), 198, grid(2, 14, 14)),  // DeiT, distilled
            ((224, 224), 196, grid(0, 14, 14)),  // without a class token
            ((224, 224), 50, grid(1, 7, 7)),     // ViT-B/32
            ((518, 518), 1374, grid(5, 37, 37)), // DINOv2 with four registers
            ((384, 384), 577, grid(1, 24, 24)),
            ((224, 448), 393, grid(1, 14, 28)),
        ] {
            assert_eq!(grid_of(tokens, None, &seen(&[image]))?, found, "{tokens} tokens of {image:?}");
        }
        Ok(())
    }

    #[test]
    fn a_map_that_a_window_made_decides() -> Result<()> {
        // 16 tokens of 32 x 32: patches of 8, or of 4 x 16 as the convolution says, or 3 x 3 behind seven others.
        assert_eq!(grid_of(16, None, &seen(&[(32, 32), (8, 2)]))?, grid(0, 8, 2));
        assert_eq!(grid_of(16, None, &seen(&[(32, 32), (3, 3)]))?, grid(7, 3, 3));
        Ok(())
    }

    #[test]
    fn what_may_mean_several_grids_or_none_is_refused() {
        for (image, tokens, count) in [((12, 12), 9, 2), ((30, 30), 23, 0), ((7, 5), 100, 0)] {
            let found = grid_of(tokens, None, &seen(&[image]));
            let Err(Error::TokenGrid { fitting, .. }) = &found else { panic!("{found:?}") };
            assert_eq!(fitting.len(), count, "{fitting:?}");
            assert!(found.is_err_and(|error| error.to_string().contains("token_grid")));
        }
        assert!(grid_of(5, None, &seen(&[])).is_err());
    }
}
