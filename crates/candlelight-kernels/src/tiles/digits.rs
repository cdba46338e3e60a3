//! Numbers of a line as whole ones, of three digits in base 256 from -128 to 127.

/// What the largest number of a line becomes; digits make up as much as 0x7f7f7f.
const LARGEST: f32 = 8_355_700.0;
/// As small as the largest number of a line may be: what numbers are multiplied by is in range then.
const LEAST: f32 = 1e-30;
/// Half of the base in each digit.
const HALVES: i32 = 0x0080_8080;
/// Bits of a digit.
const DIGIT: u32 = 8;
const BASE: f32 = 256.0;
/// The power of two above [`LARGEST`].
const ONE: f32 = 8_388_608.0;

/// A number's absolute value as bits, which are in the same order; those of what is no number are above all others.
#[inline(always)]
pub(super) fn size(x: f32) -> u32 {
    x.to_bits() & (u32::MAX >> 1)
}

/// The whole number that is nearest to `x`, if that is below 2²², as such and as `x` is: a conversion would look for what is
/// no number, and not in vectors.
#[inline(always)]
fn nearest(x: f32) -> (i32, f32) {
    /// From here on singles are whole numbers, one after the other.
    const START: f32 = 12_582_912.0;
    let x = x + START;
    (x.to_bits().wrapping_sub(START.to_bits()) as i32, x - START)
}

/// What the numbers of a line are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Scale(f32);

impl Scale {
    /// For numbers of which this is the largest [`size`].
    #[inline(always)]
    pub fn of(largest: u32) -> Self {
        let largest = f32::from_bits(largest);
        Self(if largest.is_finite() { LARGEST / largest.max(LEAST) } else { f32::NAN })
    }

    /// The digits of a number in the three lower bytes, the smallest first.
    #[inline(always)]
    pub fn digits(self, x: f32) -> u32 {
        let x = x * self.0;
        let (upper, rounded) = nearest(x / BASE);
        let whole = (upper << DIGIT).wrapping_add(nearest(x - rounded * BASE).0);
        // Digits from -128 are the digits from 0 of a number that is larger by 128 in each, less 128.
        (whole.wrapping_add(HALVES) ^ HALVES) as u32
    }

    /// What a [`fraction`] is multiplied by to get the number back; no number, if one of the line is none.
    #[inline(always)]
    pub fn back(self) -> f32 {
        ONE / self.0
    }
}

/// What digits make up, the largest first, between -1 and 1.
#[inline(always)]
pub(super) fn fraction(digits: [u8; 3]) -> f32 {
    let [large, middle, small] = digits.map(|digit| i32::from(digit as i8));
    ((((large << DIGIT) + middle) << DIGIT) + small) as f32 / ONE
}

/// What sums of products of digits make up, of both largest ones first, on the scale of products of [`fraction`]s. Only sums of
/// what is no number wrap.
#[inline(always)]
pub(super) fn sum_of_fractions([first, second, third, fourth]: [i32; 4]) -> f32 {
    let (large, small) = ((first << DIGIT).wrapping_add(second), third.wrapping_add(fourth >> DIGIT));
    // The last digits of the factors count 2⁻²³ each, those that `small` and `large` end with 2¹⁶ and 2²⁴ times as much.
    large as f32 * const { 1.0 / (1 << 22) as f32 } + small as f32 * const { 1.0 / (1 << 30) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One and a half steps of the whole numbers: half of one is rounded off, and up to a third each by the scale, the
    /// number multiplied by it, and the way back.
    const ROUNDING: f32 = 1.8e-7;

    proptest! {
        #[test]
        fn digits_make_up_the_number(largest in 1e-25f32..1e38, share in -1.0f32..=1.0) {
            let (scale, x) = (Scale::of(size(largest)), largest * share);
            let [small, middle, large, none] = scale.digits(x).to_le_bytes();
            let found = fraction([large, middle, small]) * scale.back();
            prop_assert!((found - x).abs() <= largest * ROUNDING);
            prop_assert!(none == 0 || none == 0xff);
        }
    }

    #[test]
    fn what_is_no_number_is_none_afterwards() {
        for x in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(size(x) > size(f32::MAX) && Scale::of(size(x)).back().is_nan());
        }
        assert!(Scale::of(size(3.3e38)).back().is_finite() && Scale::of(0).back().is_finite());
    }
}
