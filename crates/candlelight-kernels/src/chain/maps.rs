/// The shape of maps whose channels lie side by side: `[image, row, column, channel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Images in the batch.
    pub images: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// Channels of a place.
    pub channels: usize,
}

impl Maps {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.images * self.image()
    }

    /// Elements of so many images; at least one, so that slices can be cut by it.
    pub(super) fn elements_of(&self, images: usize) -> usize {
        (images * self.image()).max(1)
    }

    /// Elements of one image.
    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The same maps of as many images as have so many elements.
    pub(super) fn with_elements(self, elements: usize) -> Self {
        Self { images: elements / self.image().max(1), ..self }
    }
}

/// `[image, channel, row, column]` to `[image, row, column, channel]`.
pub(super) fn channels_last<T: Copy>(shape: Maps, x: &[T], out: &mut [T]) {
    transpose_each(x, out, shape.channels, shape.height * shape.width);
}

/// `[image, row, column, channel]` to `[image, channel, row, column]`.
pub(super) fn channels_first<T: Copy>(shape: Maps, x: &[T], out: &mut [T]) {
    transpose_each(x, out, shape.height * shape.width, shape.channels);
}

/// Transposes the `rows` x `columns` matrix of every image, in square tiles that fit the first-level cache; a single row or
/// column lies the same either way.
pub(super) fn transpose_each<T: Copy>(x: &[T], out: &mut [T], rows: usize, columns: usize) {
    const TILE: usize = 32;
    if rows == 1 || columns == 1 {
        return out.copy_from_slice(x);
    }
    for (x, out) in x.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
        for top in (0..rows).step_by(TILE) {
            for left in (0..columns).step_by(TILE) {
                for column in left..columns.min(left + TILE) {
                    let line = &mut out[column * rows..][top..rows.min(top + TILE)];
                    line.iter_mut().zip(top..).for_each(|(out, row)| *out = x[row * columns + column]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_orders_hold_the_same_elements(images in 1usize..3, height in 1usize..9, width in 1usize..9, channels in 1usize..70) {
            let shape = Maps { images, height, width, channels };
            let x: Vec<usize> = (0..shape.elements()).collect();
            let (mut last, mut first) = (x.clone(), vec![0; x.len()]);
            channels_last(shape, &x, &mut last);
            let at = |n: usize, c: usize, place: usize| last[(n * height * width + place) * channels + c];
            let area = height * width;
            prop_assert!((0..x.len()).all(|i| at(i / area / channels, i / area % channels, i % area) == i));
            channels_first(shape, &last, &mut first);
            prop_assert_eq!(first, x);
        }
    }
}
