//! The edge of a ground truth as an SVG path.

/// The edges between what is inside and what is not, in units of cells; `inside` has rows of `width` cells.
pub fn path(inside: &[u8], width: usize) -> String {
    let height = inside.len() / width.max(1);
    let at = |row: Option<usize>, column: Option<usize>| match (row, column) {
        (Some(row), Some(column)) if row < height && column < width => inside[row * width + column] != 0,
        _ => false,
    };
    let mut path = String::new();
    for row in 0..=height {
        for column in 0..=width {
            let here = at(Some(row), Some(column));
            if here != at(row.checked_sub(1), Some(column)) {
                path += &format!("M{column} {row}h1");
            }
            if here != at(Some(row), column.checked_sub(1)) {
                path += &format!("M{column} {row}v1");
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_four_edges_and_two_neighbours_six() {
        assert_eq!(path(&[1], 1), "M0 0h1M0 0v1M1 0v1M0 1h1");
        assert_eq!(path(&[0, 1, 1, 0], 4).matches('M').count(), 6);
        assert_eq!(path(&[0; 6], 3), "");
    }
}
