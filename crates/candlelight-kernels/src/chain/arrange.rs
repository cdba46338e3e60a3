//! Which images go through together.

use super::patches::IMAGES_TOGETHER;
use super::region::Region;

/// An order of `images` in which any that follow each other need rectangles of nearly one size; `reached` has the rectangles
/// of every value, from the first to the last.
///
/// The images are cut into bands of those that reach about the same rows, and each band is sorted by the columns: how
/// [Leutenegger et al. (1997)](https://doi.org/10.1109/ICDE.1997.582015) fill the leaves of a tree of rectangles.
pub(super) fn arranged(reached: &[Vec<Region>], images: usize) -> Vec<usize> {
    let sizes = |image: usize, len: fn(&Region) -> usize| -> Vec<usize> {
        reached.iter().rev().map(|regions| len(&regions[image])).collect()
    };
    let mut order: Vec<usize> = (0..images).collect();
    order.sort_by_cached_key(|&image| sizes(image, |region| region.rows.len()));
    let band = (images * IMAGES_TOGETHER).isqrt().next_multiple_of(IMAGES_TOGETHER).max(1);
    for band in order.chunks_mut(band) {
        band.sort_by_cached_key(|&image| sizes(image, |region| region.columns.len()));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Places that are computed for `order`.
    fn computed(reached: &[Region], order: &[usize]) -> usize {
        let most =
            |part: &[usize], len: fn(&Region) -> usize| part.iter().map(|&image| len(&reached[image])).max();
        let area = |part: &[usize]| {
            Some(part.len() * most(part, |r| r.rows.len())? * most(part, |r| r.columns.len())?)
        };
        order.chunks(IMAGES_TOGETHER).filter_map(area).sum()
    }

    #[test]
    fn windows_of_a_grid_are_computed_with_little_waste() {
        // A window at the border of a map reaches less of it.
        let ends = |at: usize| at.saturating_sub(9)..(at + 10).min(27);
        let reached: Vec<Region> =
            (0..729).map(|at| Region { rows: ends(at / 27), columns: ends(at % 27) }).collect();
        let order = arranged(std::slice::from_ref(&reached), reached.len());
        let least: usize = reached.iter().map(Region::area).sum();
        let as_they_come: Vec<usize> = (0..reached.len()).collect();
        assert!((computed(&reached, &order) as f64) < 1.1 * least as f64);
        assert!((computed(&reached, &as_they_come) as f64) > 1.2 * least as f64);
    }

    proptest! {
        #[test]
        fn an_order_has_every_image_once(lens in proptest::collection::vec((0usize..9, 0usize..9), 0..70)) {
            let reached: Vec<Region> =
                lens.iter().map(|&(rows, columns)| Region { rows: 0..rows, columns: 0..columns }).collect();
            let mut order = arranged(std::slice::from_ref(&reached), reached.len());
            order.sort_unstable();
            prop_assert_eq!(order, (0..reached.len()).collect::<Vec<_>>());
        }
    }
}
