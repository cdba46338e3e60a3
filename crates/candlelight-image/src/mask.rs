//! Where the object is known to be, as an outline on every panel.

use candle_core::Tensor;
use image::{Rgb, RgbImage};

use crate::error::{Error, Result, check_finite};
use crate::preprocess::values;

/// Which pixels belong to the object: the ground truth that a map is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    inside: Vec<bool>,
    height: usize,
    width: usize,
}

impl Mask {
    /// A mask from `height * width` flags in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of flags is another, or zero.
    pub fn new(inside: Vec<bool>, height: usize, width: usize) -> Result<Self> {
        if inside.is_empty() || height.checked_mul(width) != Some(inside.len()) {
            let expected = "as many flags as `height * width`, at least one";
            return Err(Error::Shape {
                what: "the mask",
                shape: vec![inside.len(), height, width],
                expected,
            });
        }
        Ok(Self { inside, height, width })
    }

    /// A mask from a tensor: inside is what is not zero.
    ///
    /// # Shapes
    /// `[h, w]`, `[1, h, w]` or `[1, 1, h, w]`, any type.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn from_tensor(mask: &Tensor) -> Result<Self> {
        let (height, width) = match *mask.dims() {
            [h, w] | [1, h, w] | [1, 1, h, w] => (h, w),
            _ => return Err(wrong_shape(mask.dims())),
        };
        let values = values(mask)?;
        check_finite("the mask", &values)?;
        Self::new(values.into_iter().map(|v| v != 0.0).collect(), height, width)
    }

    /// Refuses a picture of another size.
    pub(crate) fn check(&self, picture: &RgbImage) -> Result<()> {
        let same = (self.width, self.height) == (picture.width() as usize, picture.height() as usize);
        if same { Ok(()) } else { Err(wrong_shape(&[self.height, self.width])) }
    }

    /// Draws the outline on a picture of any size: a white line just inside the edge with a dark one around it,
    /// to be seen on every ground.
    pub(crate) fn outline(&self, picture: &mut RgbImage) {
        let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
        let inside = |x: i64, y: i64| {
            let cell = |at: i64, length: i64, cells: usize| (at as usize * cells) / length as usize;
            let on = (0..width).contains(&x) && (0..height).contains(&y);
            on && self.inside[cell(y, height, self.height) * self.width + cell(x, width, self.width)]
        };
        let near = |x: i64, y: i64, wanted: bool| {
            (-1..=1).any(|down| (-1..=1).any(|across| inside(x + across, y + down) == wanted))
        };
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let (x, y) = (i64::from(x), i64::from(y));
            match inside(x, y) {
                true if near(x, y, false) => *pixel = Rgb([255; 3]),
                false if near(x, y, true) => *pixel = Rgb([24, 26, 30]),
                _ => {}
            }
        }
    }
}

fn wrong_shape(shape: &[usize]) -> Error {
    let expected = "the height and width of the picture, as `[h, w]`";
    Error::Shape { what: "the mask", shape: shape.to_vec(), expected }
}
