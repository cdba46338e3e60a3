use crate::Element;

/// What is done to every normalised row: times `weight`, plus `bias`, both as long as a row; the default is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// What elements are multiplied with.
    pub weight: Option<&'a [T]>,
    /// What is added to them.
    pub bias: Option<&'a [T]>,
}

impl<T> Default for Affine<'_, T> {
    fn default() -> Self {
        Self { weight: None, bias: None }
    }
}

impl<T: Element> Affine<'_, T> {
    #[inline(always)]
    pub(crate) fn scale(&self, row: &mut [T]) {
        if let Some(weight) = self.weight {
            row.iter_mut().zip(weight).for_each(|(v, &weight)| *v = *v * weight);
        }
    }

    #[inline(always)]
    pub(crate) fn apply(&self, row: &mut [T]) {
        self.scale(row);
        if let Some(bias) = self.bias {
            row.iter_mut().zip(bias).for_each(|(v, &bias)| *v += bias);
        }
    }

    pub(crate) fn fits(&self, width: usize) -> bool {
        [self.weight, self.bias].iter().flatten().all(|part| part.len() == width)
    }
}
