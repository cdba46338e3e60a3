//! Which quantiles of the resampled means bound the interval.

/// Φ(x), the share of a standard normal distribution below `x`.
fn below(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// Φ⁻¹(share), halved in until neighbouring numbers are left; beyond 38 either way no share is left in double precision.
fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-38.0, 38.0);
    while low < (low + high) / 2.0 && (low + high) / 2.0 < high {
        let middle = (low + high) / 2.0;
        if below(middle) < share { low = middle } else { high = middle }
    }
    high
}

/// The shares of the resampled means, rising, at which the interval of the mean of `values` ends
/// ([Efron 1987](https://doi.org/10.1080/01621459.1987.10478410)): corrected for the bias that `means` have around the
/// mean, and for a spread that grows with the value, as of skewed values it does.
pub(super) fn shares(values: &[f64], mean: f64, means: &[f64], level: f64) -> [f64; 2] {
    let bias = quantile(share_below(mean, means));
    let acceleration = acceleration(values, mean);
    let tail = quantile((1.0 - level) / 2.0);
    [tail, -tail].map(|z| {
        let moved = bias + z;
        below(bias + moved / (1.0 - acceleration * moved))
    })
}

/// The share of `means` below `mean`, of equal ones half; never none and never all.
fn share_below(mean: f64, means: &[f64]) -> f64 {
    let count = |holds: fn(&f64, &f64) -> bool| means.iter().filter(|it| holds(it, &mean)).count() as f64;
    let share = (count(|a, b| a < b) + count(|a, b| a == b) / 2.0) / means.len() as f64;
    let least = 0.5 / means.len() as f64;
    share.clamp(least, 1.0 - least)
}

/// The skewness of the mean over 6, by the jackknife; 0 for values that do not vary.
fn acceleration(values: &[f64], mean: f64) -> f64 {
    let moment = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>();
    let square = moment(2);
    if square == 0.0 { 0.0 } else { moment(3) / (6.0 * square.powf(1.5)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        assert!((quantile(0.5)).abs() < 1e-12);
        assert!((quantile(1e-6) + 4.753_424_308_822_899).abs() < 1e-9);
    }

    #[test]
    fn without_bias_and_skew_the_interval_is_the_plain_percentile_one() {
        let values = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let [low, high] = shares(&values, 0.0, &[-1.0, 1.0], 0.9);
        assert!((low - 0.05).abs() < 1e-12 && (high - 0.95).abs() < 1e-12);
    }

    #[test]
    fn a_long_tail_to_the_right_moves_both_ends_to_the_right() {
        let values = [0.0, 0.0, 0.0, 0.0, 10.0];
        let [low, high] = shares(&values, 2.0, &[1.0, 3.0], 0.9);
        assert!(low > 0.05 && high > 0.95 && high < 1.0);
    }
}
