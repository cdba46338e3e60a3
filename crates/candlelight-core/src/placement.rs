//! Where the cells of a map lie on the image that the model was given.

use candlelight_kernels::Window;

/// The centres of a map's cells.
///
/// A cell of a convolutional layer stands for the middle of its receptive field. With symmetric padding and strides
/// that is not where an even grid has it: the cells of a ResNet's last maps are centred at 0, 32, 64 … of 224 pixels,
/// and an even grid has them at 15.5, 47.5, 79.5 …: half a cell to the right and below
/// ([Araujo et al. 2019](https://distill.pub/2019/computing-receptive-fields/) give the arithmetic).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The centres from top to bottom.
    pub rows: Axis,
    /// The centres from left to right.
    pub columns: Axis,
}

/// Evenly spaced centres along one side of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// How many cells, centre to centre, go to the side.
    pub density: f64,
    /// From the edge to the first centre, in cells.
    pub offset: f64,
}

impl Placement {
    /// `height` x `width` cells that tile the image: pixels, patches.
    pub fn even(height: usize, width: usize) -> Self {
        Self { rows: Axis::even(height), columns: Axis::even(width) }
    }

    /// The places of a window that slides over these cells.
    pub(crate) fn under(self, window: &Window) -> Self {
        let along = |axis: Axis, of: fn((usize, usize)) -> usize| {
            let [kernel, stride, padding, dilation] =
                [window.kernel, window.stride, window.padding, window.dilation].map(|pair| of(pair) as f64);
            let middle = dilation * (kernel - 1.0) / 2.0 - padding;
            Axis { density: axis.density / stride, offset: (axis.offset + middle) / stride }
        };
        Self { rows: along(self.rows, |pair| pair.0), columns: along(self.columns, |pair| pair.1) }
    }
}

impl Axis {
    /// `cells` cells that tile the side.
    pub fn even(cells: usize) -> Self {
        Self { density: cells as f64, offset: 0.5 }
    }

    /// The centre of a cell, as a share of the side.
    pub fn centre(&self, cell: usize) -> f64 {
        (self.offset + cell as f64) / self.density
    }

    /// For the centre of pixel `pixel` of `pixels`: the two of `cells` cells that it lies between, and how far along;
    /// outermost cells reach to the edge.
    pub fn between(&self, cells: usize, pixel: usize, pixels: usize) -> (usize, usize, f64) {
        let last = cells.saturating_sub(1);
        let centre = (pixel as f64 + 0.5) * self.density / pixels as f64;
        let place = (centre - self.offset).clamp(0.0, last as f64);
        let low = place.floor() as usize;
        (low, (low + 1).min(last), place.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resnet_s_cells_are_centred_on_multiples_of_their_stride() {
        let windows = [Window::square(7, 2, 3), Window::square(3, 2, 1), Window::square(3, 2, 1)];
        let placed = windows.iter().fold(Placement::even(64, 32), Placement::under);
        let pixels = |axis: Axis, side: f64| [0, 1, 2].map(|cell| axis.centre(cell) * side - 0.5);
        assert_eq!(pixels(placed.rows, 64.0), [0.0, 8.0, 16.0]);
        assert_eq!(pixels(placed.columns, 32.0), [0.0, 8.0, 16.0]);
    }

    #[test]
    fn patches_tile_the_image() {
        assert_eq!(Placement::even(64, 48).under(&Window::square(8, 8, 0)), Placement::even(8, 6));
    }

    #[test]
    fn a_pixel_lies_between_two_cells_and_at_the_edge_on_one() {
        let axis = Axis::even(2);
        let places = [0, 1, 2, 3].map(|pixel| axis.between(2, pixel, 4));
        assert_eq!(places, [(0, 1, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)]);
    }
}
