//! What the page of `nn` says about the gradients of candle's own methods. A new candle that fails here asks for a new
//! page, not for a looser test.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use candle_core::{DType, Device, Result, Tensor, Var};

/// Truncation and rounding of a central difference with [`STEP`] on values of order one.
const TOLERANCE: f64 = 1e-7;
const STEP: f64 = 1e-5;

fn wave(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| (i as f64 * 0.83 + 0.3).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn score(y: &Tensor) -> Result<Tensor> {
    (y * (wave(y.dims()) + 1.5)?)?.sum_all()
}

fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<f64>> {
    let x = Var::from_tensor(x)?;
    let gradients = score(&f(&x)?)?.backward()?;
    let none = || candle_core::Error::msg("no gradient");
    gradients.get(&x).ok_or_else(none)?.flatten_all()?.to_vec1()
}

/// The largest difference between the gradient and the central differences.
fn error(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<f64> {
    let values = x.flatten_all()?.to_vec1::<f64>()?;
    let at = |i: usize, by: f64| -> Result<f64> {
        let mut shifted = values.clone();
        shifted[i] += by;
        score(&f(&Tensor::from_vec(shifted, x.shape(), &Device::Cpu)?)?)?.to_scalar()
    };
    let gradient = gradient(x, &f)?;
    (0..values.len()).try_fold(0.0f64, |worst, i| {
        Ok(worst.max((gradient[i] - (at(i, STEP)? - at(i, -STEP)?) / (2.0 * STEP)).abs()))
    })
}

fn slopes_at_zero(f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let x = Var::new(&[0.0f64], &Device::Cpu).unwrap();
    f(&x).unwrap().sum_all().unwrap().backward().unwrap().get(&x).unwrap().to_vec1().unwrap()
}

type Method = (&'static str, fn(&Tensor) -> Result<Tensor>);

#[test]
fn methods_that_the_page_calls_right_are_right() {
    let methods: [Method; 18] = [
        ("matmul", |x| x.matmul(&x.t()?)),
        ("sum", |x| x.sum(0)),
        ("mean", |x| x.mean(1)),
        ("sqr", |x| x.sqr()),
        ("exp", |x| x.exp()),
        ("log", |x| (x + 2.0)?.log()),
        ("tanh", |x| x.tanh()),
        ("silu", |x| x.silu()),
        ("elu", |x| x.elu(0.7)),
        ("sqrt", |x| (x + 2.0)?.sqrt()),
        ("powf", |x| (x + 2.0)?.powf(1.7)),
        ("cat", |x| Tensor::cat(&[x, &x.sqr()?], 1)),
        ("index_select", |x| x.index_select(&Tensor::new(&[2u32, 0, 2], &Device::Cpu)?, 0)),
        ("gather", |x| x.gather(&Tensor::new(&[[1u32, 1], [0, 3], [2, 2]], &Device::Cpu)?, 1)),
        ("broadcast_mul", |x| x.broadcast_mul(&x.narrow(0, 0, 1)?)),
        ("where_cond", |x| x.gt(0.3)?.where_cond(&x.sqr()?, x)),
        ("to_dtype", |x| x.to_dtype(DType::F64)),
        ("conv1d", |x| x.unsqueeze(0)?.conv1d(&wave(&[2, 3, 2]), 1, 2, 1, 1)),
    ];
    for (name, method) in methods {
        let error = error(&wave(&[3, 4]), method).unwrap();
        assert!(error < TOLERANCE, "{name}: {error:e}");
    }
}

#[test]
fn slopes_at_zero_are_not_pytorchs() {
    assert_eq!(slopes_at_zero(Tensor::relu), [1.0]);
    assert_eq!(slopes_at_zero(Tensor::abs), [1.0]);
    assert_eq!(slopes_at_zero(|x| x.clamp(0.0, 6.0)), [0.5]);
    let tie = Var::new(&[[2.0f64, 2.0]], &Device::Cpu).unwrap();
    let both = tie.max(1).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(both.get(&tie).unwrap().to_vec2::<f64>().unwrap(), [[1.0, 1.0]]);
}

#[test]
fn gelus_are_right_to_six_digits_only() {
    let methods: [Method; 2] = [("gelu", |x| x.gelu()), ("gelu_erf", |x| x.gelu_erf())];
    for (name, method) in methods {
        let error = error(&wave(&[3, 4]), method).unwrap();
        assert!((TOLERANCE..1e-5).contains(&error), "{name}: {error:e}");
    }
}

#[test]
fn methods_that_the_page_calls_wrong_are_wrong() {
    let methods: [Method; 3] = [
        ("max_pool2d", |x| x.max_pool2d(2)),
        ("avg_pool2d on odd sizes", |x| x.narrow(2, 0, 3)?.avg_pool2d(2)),
        ("upsample_nearest2d of what is used elsewhere", |x| {
            x.upsample_nearest2d(8, 8)? + x.repeat((1, 1, 2, 2))?
        }),
    ];
    for (name, method) in methods {
        let error = error(&wave(&[1, 1, 4, 4]), method).unwrap();
        assert!(error > 0.01, "{name}: {error:e}");
    }
}

#[test]
fn methods_that_the_page_calls_errors_are_errors() {
    let methods: [Method; 6] = [
        ("max_pool2d_with_stride", |x| x.max_pool2d_with_stride(3, 2)),
        ("avg_pool2d_with_stride", |x| x.avg_pool2d_with_stride(3, 2)),
        ("upsample_nearest2d", |x| x.upsample_nearest2d(6, 6)),
        ("upsample_bilinear2d", |x| x.upsample_bilinear2d(8, 8, false)),
        ("conv_transpose1d", |x| x.squeeze(0)?.conv_transpose1d(&wave(&[4, 2, 3]), 0, 0, 1, 1, 1)),
        ("conv2d", |x| x.narrow(2, 0, 3)?.repeat((1, 4, 1, 1))?.conv2d(&wave(&[2, 4, 2, 2]), 0, 2, 1, 1)),
    ];
    for (name, method) in methods {
        assert!(gradient(&wave(&[1, 1, 4, 4]), method).is_err(), "{name}");
    }
}

#[test]
fn work_in_place_loses_the_gradient_without_an_error() {
    let x = Var::from_tensor(&wave(&[2, 3])).unwrap();
    let cache = Tensor::zeros((4, 3), DType::F64, &Device::Cpu).unwrap();
    cache.slice_set(&x.sqr().unwrap(), 0, 1).unwrap();
    let gradients = cache.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_none());
}
