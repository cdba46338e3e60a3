//! Every layer's pull-back against central differences, for its input and, where it is trained, its parameters.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use candle_core::{DType, Device, Module, ModuleT, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use candlelight_core::nn;

/// Truncation and rounding of a central difference with [`STEP`] on values of order one.
const TOLERANCE: f64 = 1e-7;
const STEP: f64 = 1e-5;

fn wave(shape: &[usize], step: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| (i as f64 * step + 0.3).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A scalar that weighs every output differently.
fn score(y: &Tensor) -> Result<Tensor> {
    (y * wave(y.dims(), 0.9))?.sum_all()
}

/// Compares the gradient at `leaf` of `score(f())` with central differences at every element.
fn check(leaf: &Var, f: &dyn Fn() -> Result<Tensor>) -> Result<()> {
    let gradient =
        score(&f()?)?.backward()?.get(leaf).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
    let at = leaf.as_tensor().copy()?.detach();
    let value = |i: usize, by: f64| -> Result<f64> {
        let mut shifted = at.flatten_all()?.to_vec1::<f64>()?;
        shifted[i] += by;
        leaf.set(&Tensor::from_vec(shifted, at.shape(), &Device::Cpu)?)?;
        score(&f()?)?.to_scalar()
    };
    for (i, gradient) in gradient.iter().enumerate() {
        let difference = (value(i, STEP)? - value(i, -STEP)?) / (2.0 * STEP);
        assert!((gradient - difference).abs() < TOLERANCE, "element {i}: {gradient} is not {difference}");
    }
    leaf.set(&at)
}

/// Checks input and parameters of a layer built by `build`, first trained, then frozen.
fn check_layer<M>(
    shape: &[usize],
    build: impl Fn(VarBuilder) -> Result<M>,
    run: impl Fn(&M, &Tensor) -> Result<Tensor>,
) {
    let map = VarMap::new();
    let trained = build(VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu)).unwrap();
    let parameters = map.data().lock().unwrap().clone();
    for (i, (_, parameter)) in parameters.iter().enumerate() {
        parameter.set(&(wave(parameter.dims(), 0.4 + i as f64) * 0.5).unwrap().abs().unwrap()).unwrap();
    }
    let x = Var::from_tensor(&wave(shape, 0.37)).unwrap();
    check(&x, &|| run(&trained, &x)).unwrap();
    for (name, parameter) in parameters.iter().filter(|(name, _)| !name.contains("running")) {
        println!("{name}");
        check(parameter, &|| run(&trained, &x.as_detached_tensor())).unwrap();
    }
    let tensors = parameters.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
    let frozen = build(VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)).unwrap();
    check(&x, &|| run(&frozen, &x)).unwrap();
    assert!(!run(&frozen, &x.as_detached_tensor()).unwrap().track_op());
}

#[test]
fn convolutions_of_every_stride_padding_dilation_and_grouping() {
    for (stride, padding, dilation, groups) in
        [(1, 0, 1, 1), (2, 1, 1, 1), (3, 2, 1, 2), (1, 2, 2, 4), (2, 3, 1, 4)]
    {
        for (h, w) in [(5, 5), (6, 5)] {
            let config = nn::Conv2dConfig { stride, padding, dilation, groups, ..Default::default() };
            check_layer(&[2, 4, h, w], |vb| nn::conv2d(4, 4, 3, config, vb), |conv, x| conv.forward(x));
            check_layer(
                &[1, 4, h, w],
                |vb| nn::conv2d_no_bias(4, 8, 1, config, vb),
                |conv, x| conv.forward(x),
            );
        }
    }
}

#[test]
fn linear_layers_of_any_rank() {
    check_layer(&[3, 5], |vb| nn::linear(5, 4, vb), |linear, x| linear.forward(x));
    check_layer(&[2, 3, 5], |vb| nn::linear_no_bias(5, 4, vb), |linear, x| linear.forward(x));
}

#[test]
fn norms() {
    check_layer(&[2, 3, 6], |vb| nn::layer_norm(6, 1e-5, vb), |norm, x| norm.forward(x));
    check_layer(&[2, 3, 4, 2], |vb| nn::batch_norm(3, 1e-5, vb), |norm, x| norm.forward_t(x, false));
}

#[test]
fn batch_norm_in_training() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu);
    let norm = nn::batch_norm(3, 1e-3, vb).unwrap();
    let x = Var::from_tensor(&wave(&[2, 3, 4, 2], 0.37)).unwrap();
    check(&x, &|| norm.forward_t(&x, true)).unwrap();
}

#[test]
fn activations_away_from_their_kinks() {
    use nn::Activation::{Elu, Gelu, Relu, Sigmoid, Silu, Tanh};
    for activation in [Relu, Gelu, Silu, Elu(0.7), Tanh, Sigmoid] {
        check_layer(&[2, 9], |_| Ok(activation), |activation, x| activation.forward(x));
    }
}

#[test]
fn softmax_and_attention() {
    check_layer(&[2, 3, 5], |_| Ok(()), |(), x| nn::softmax_last_dim(x));
    for turn in 0..3 {
        let attend = |x: &Tensor| {
            let mut parts = [x.clone(), wave(&[1, 2, 4, 3], 0.8), wave(&[1, 2, 4, 3], 0.6)];
            parts.rotate_right(turn);
            nn::attention(&parts[0], &parts[1], &parts[2], 0.6, "attention")
        };
        check_layer(&[1, 2, 4, 3], |_| Ok(()), |(), x| attend(x));
    }
}

#[test]
fn pools_of_every_extent() {
    for extent in [nn::Extent::Floor, nn::Extent::Ceil] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1)] {
            let max = nn::MaxPool2d::new(kernel, stride, padding).extent(extent);
            check_layer(&[2, 2, 7, 6], |_| Ok(max.clone()), |pool, x| pool.forward(x));
            for padded in [nn::Padded::Counted, nn::Padded::Ignored] {
                let average = nn::AvgPool2d::new(kernel, stride, padding).extent(extent).padded(padded);
                check_layer(&[2, 2, 7, 6], |_| Ok(average.clone()), |pool, x| pool.forward(x));
            }
        }
    }
    check_layer(&[2, 3, 4, 5], |_| Ok(nn::GlobalAvgPool::default()), |pool, x| pool.forward(x));
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    let x = Var::from_tensor(&Tensor::zeros((1, 1, 4, 4), DType::F64, &Device::Cpu).unwrap()).unwrap();
    let y = nn::MaxPool2d::new(3, 2, 1).forward(&x).unwrap();
    let gradient = y.sum_all().unwrap().backward().unwrap().get(&x).unwrap().squeeze(0).unwrap();
    let expected = [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0; 4], [0.0; 4]];
    assert_eq!(gradient.squeeze(0).unwrap().to_vec2::<f64>().unwrap(), expected);
}

#[test]
fn empty_batches_pass_through_every_layer() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu);
    let x = Tensor::zeros((0, 4, 6, 6), DType::F64, &Device::Cpu).unwrap();
    let conv = nn::conv2d(4, 8, 3, Default::default(), vb.pp("conv")).unwrap();
    assert_eq!(conv.forward(&x).unwrap().dims(), [0, 8, 4, 4]);
    assert_eq!(nn::MaxPool2d::new(2, 2, 0).forward(&x).unwrap().dims(), [0, 4, 3, 3]);
    assert_eq!(nn::relu(&x).unwrap().dims(), [0, 4, 6, 6]);
}
