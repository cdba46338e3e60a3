/// Where `exp` leaves single precision: below it the result is 0, above it infinity.
const UNDERFLOW: f32 = -87.336_54;
const OVERFLOW: f32 = 88.722_83;

/// The exponential in single precision, within two units in the last place; without branches or calls, so that
/// loops over it become vector code. The range is reduced by ln 2 in two parts (Cody and Waite).
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// 1.5 · 2²³: adding it rounds to a whole number, kept in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < UNDERFLOW { UNDERFLOW } else { x };
    let clamped = if clamped > OVERFLOW { OVERFLOW } else { clamped };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = clamped - power * LN2_HIGH - power * LN2_LOW;
    let series = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];
    let tail = series.iter().fold(0.0, |sum, c| sum * rest + c);
    let mantissa = tail * rest * rest + rest + 1.0;
    // Two half steps, so that the largest and the smallest powers stay representable.
    let power = (rounded.to_bits() as i32) - (ROUND.to_bits() as i32);
    let half = power >> 1;
    let scale = |power: i32| f32::from_bits(((power + 127) << 23) as u32);
    let value = mantissa * scale(half) * scale(power - half);
    let value = if x < UNDERFLOW { 0.0 } else { value };
    if x > OVERFLOW { f32::INFINITY } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two units in the last place.
    const TOLERANCE: f64 = 2.4e-7;

    #[test]
    fn the_exponential_follows_the_double_precision_one_over_its_whole_range() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let (found, exact) = (f64::from(exp_f32(x)), f64::from(x).exp());
            assert!((found - exact).abs() <= TOLERANCE * exact, "exp({x}) = {found}, not {exact}");
        }
    }

    #[test]
    fn the_ends_of_the_range_and_nan_are_kept() {
        assert_eq!((exp_f32(-1e4), exp_f32(f32::NEG_INFINITY), exp_f32(0.0)), (0.0, 0.0, 1.0));
        assert_eq!((exp_f32(1e4), exp_f32(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(exp_f32(f32::NAN).is_nan());
    }
}
