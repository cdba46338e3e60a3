use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// The numbers that the kernels compute in: `f32` and `f64`.
pub trait Element:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + sealed::Sealed
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Negative infinity, what padding is worth to a max pool.
    const NEG_INFINITY: Self;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The same value in double precision.
    fn to_f64(self) -> f64;
    /// Whether this is no number.
    fn is_nan(self) -> bool;
    /// The exponential function.
    fn exp(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The error function, to the type's precision.
    fn erf(self) -> Self;
}

mod sealed {
    use crate::Matrix;
    use crate::room::Room;
    use std::thread::LocalKey;

    /// Closes [`super::Element`]: the kernels know exactly two element types, and each thread has room for both.
    pub trait Sealed: Sized + 'static {
        fn room() -> &'static LocalKey<Room<Self>>;
        /// The same matrix, if this is `f32`.
        fn single(matrix: Matrix<Self>) -> Option<Matrix<f32>>;
        /// Numbers in single precision as this.
        fn of_single(numbers: Vec<f32>) -> Vec<Self>;
    }

    thread_local! {
        static SINGLE: Room<f32> = const { Room::new(Vec::new()) };
        static DOUBLE: Room<f64> = const { Room::new(Vec::new()) };
    }

    impl Sealed for f32 {
        fn room() -> &'static LocalKey<Room<Self>> {
            &SINGLE
        }

        fn single(matrix: Matrix<Self>) -> Option<Matrix<f32>> {
            Some(matrix)
        }

        fn of_single(numbers: Vec<f32>) -> Vec<Self> {
            numbers
        }
    }

    impl Sealed for f64 {
        fn room() -> &'static LocalKey<Room<Self>> {
            &DOUBLE
        }

        fn single(_: Matrix<Self>) -> Option<Matrix<f32>> {
            None
        }

        fn of_single(numbers: Vec<f32>) -> Vec<Self> {
            numbers.into_iter().map(f64::from).collect()
        }
    }
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        crate::exp::exp_f32(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f32::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        crate::erf::erf_f32(self)
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
}
