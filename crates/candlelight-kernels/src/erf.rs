use crate::Element;

/// Beyond this the error function is ±1 in single precision.
const ERF_F32_SATURATES: f32 = 4.0;

/// Rational approximation of erf on [-4.0, 4.0], odd over even, within a few units in the last place
/// (the form that Eigen and XLA use for single precision).
#[inline(always)]
pub(crate) fn erf_f32(x: f32) -> f32 {
    const ODD: [f32; 7] = [
        -2.726_142e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const EVEN: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = x.clamp(-ERF_F32_SATURATES, ERF_F32_SATURATES);
    let square = x * x;
    let odd = ODD.iter().fold(0.0, |sum, c| sum * square + c);
    let even = EVEN.iter().fold(0.0, |sum, c| sum * square + c);
    x * odd / even
}

/// GELU in its exact form, x·Φ(x) ([Hendrycks & Gimpel 2016](https://arxiv.org/abs/1606.08415)).
#[inline(always)]
pub fn gelu<T: Element>(x: T) -> T {
    x * normal_distribution(x)
}

/// The derivative of [`gelu`], Φ(x) + x·φ(x).
#[inline(always)]
pub fn gelu_derivative<T: Element>(x: T) -> T {
    let density =
        (-(x * x) * T::from_f64(0.5)).exp() * T::from_f64(1.0 / (2.0 * std::f64::consts::PI).sqrt());
    normal_distribution(x) + x * density
}

#[inline(always)]
fn normal_distribution<T: Element>(x: T) -> T {
    T::from_f64(0.5) * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Absolute error of erf in single precision: a few units in the last place of 1.
    const ERF_TOLERANCE: f64 = 4e-7;

    #[test]
    fn single_precision_erf_follows_the_double_precision_one() {
        for i in -5000..=5000 {
            let x = f64::from(i) * 1e-3;
            assert!(
                (f64::from(erf_f32(x as f32)) - libm::erf(f64::from(x as f32))).abs() < ERF_TOLERANCE,
                "{x}"
            );
        }
    }

    #[test]
    fn the_gelu_derivative_is_the_central_difference_of_gelu() {
        for i in -600..=600 {
            let (x, h) = (f64::from(i) * 1e-2, 1e-5);
            let difference = (gelu(x + h) - gelu(x - h)) / (2.0 * h);
            assert!((gelu_derivative(x) - difference).abs() < 1e-9, "{x}");
        }
    }
}
