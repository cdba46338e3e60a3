/// How a window slides over two spatial axes; each pair is (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Size of the window in elements.
    pub kernel: (usize, usize),
    /// Step of the window.
    pub stride: (usize, usize),
    /// Elements added at either side.
    pub padding: (usize, usize),
    /// Distance between neighbouring elements of the window.
    pub dilation: (usize, usize),
}

impl Window {
    /// A square window without dilation.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: (kernel, kernel),
            stride: (stride, stride),
            padding: (padding, padding),
            dilation: (1, 1),
        }
    }

    /// How many places the window has on an input of this size (height, width); `None` if it does not fit.
    pub fn places(&self, input: (usize, usize)) -> Option<(usize, usize)> {
        let along = |size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize| {
            let extent = dilation * kernel.checked_sub(1)? + 1;
            (size + 2 * padding).checked_sub(extent)?.checked_div(stride).map(|steps| steps + 1)
        };
        Some((
            along(input.0, self.kernel.0, self.stride.0, self.padding.0, self.dilation.0)?,
            along(input.1, self.kernel.1, self.stride.1, self.padding.1, self.dilation.1)?,
        ))
    }

    /// The input row under window row `k` at place `place`; `None` in the padding.
    pub(crate) fn row(&self, place: usize, k: usize, height: usize) -> Option<usize> {
        inside(place * self.stride.0 + k * self.dilation.0, self.padding.0, height)
    }

    /// The input column under window column `k` at place `place`; `None` in the padding.
    pub(crate) fn column(&self, place: usize, k: usize, width: usize) -> Option<usize> {
        inside(place * self.stride.1 + k * self.dilation.1, self.padding.1, width)
    }

    /// The places `from..to` at which window column `k` lies inside an input of this width.
    pub(crate) fn columns_inside(&self, k: usize, width: usize, places: usize) -> std::ops::Range<usize> {
        let offset = k * self.dilation.1;
        let from = self.padding.1.saturating_sub(offset).div_ceil(self.stride.1);
        let to = (width + self.padding.1).saturating_sub(offset).div_ceil(self.stride.1);
        from.min(places)..to.clamp(from.min(places), places)
    }
}

fn inside(padded: usize, padding: usize, size: usize) -> Option<usize> {
    padded.checked_sub(padding).filter(|&i| i < size)
}
