/// How weights are multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multiply {
    /// As it is defined: every weight with every element under it.
    #[default]
    Directly,
    /// In single precision 3x3 windows that slide by one with 4 products for every 9, whose sums are rounded more coarsely, by
    /// a factor of about two; fully connected layers on the processor's matrix unit, if it has one, as a
    /// [`Split`](crate::Split) is; everything else directly.
    Fast,
}
