//! Gradients at the input, along paths, and over noise.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Attribution, Baseline, Deconvnet, Draw, ExpectedGradients, Explain, GuidedBackprop, InputXGradient,
    IntegratedGradients, Noise, Quadrature, References, Saliency, SmoothGrad, Statistic,
};

use crate::methods::{Outputs, Setup, one};

pub fn forward(setup: &Setup) -> Result<Outputs> {
    Ok(one("logits", setup.model.forward(&setup.x)?))
}

pub fn saliency(setup: &Setup) -> Result<Outputs> {
    let absolute = setup.case.params["abs"].as_bool().context("`abs` is missing")?;
    let method = if absolute { Saliency::default() } else { Saliency::signed() };
    Ok(one("attribution", setup.explain(&method)?.values().clone()))
}

pub fn input_x_gradient(setup: &Setup) -> Result<Outputs> {
    Ok(one("attribution", setup.explain(&InputXGradient)?.values().clone()))
}

pub fn guided_backprop(setup: &Setup) -> Result<Outputs> {
    Ok(one("attribution", setup.explain(&GuidedBackprop)?.values().clone()))
}

pub fn deconvnet(setup: &Setup) -> Result<Outputs> {
    Ok(one("attribution", setup.explain(&Deconvnet)?.values().clone()))
}

pub fn integrated_gradients(setup: &Setup) -> Result<Outputs> {
    let (quadrature, points, share) = quadrature(setup)?;
    let method =
        IntegratedGradients::default().quadrature(quadrature).steps(points).baseline(baseline(setup)?);
    let map = setup.explain(&method)?;
    let delta = delta(&map, share)?;
    Ok(vec![("attribution".into(), (map.values() * share)?), ("delta".into(), delta)])
}

/// The rule, its number of points, and what ours has to be multiplied by to give the peer's number.
fn quadrature(setup: &Setup) -> Result<(Quadrature, usize, f64)> {
    let number = |name| setup.case.number(name).map(|n| n as usize);
    Ok(match setup.case.text("quadrature")? {
        "gausslegendre" => (Quadrature::GaussLegendre, number("n_steps")?, 1.0),
        "trapezoid" => (Quadrature::Trapezoid, number("n_points")?, 1.0),
        "captum_riemann_trapezoid" => {
            let n = number("n_steps")?;
            (Quadrature::Trapezoid, n, (n - 1) as f64 / n as f64)
        }
        other => bail!("no quadrature `{other}`"),
    })
}

pub fn baseline(setup: &Setup) -> Result<Baseline> {
    let params = &setup.case.params;
    match (params["baseline"].as_str(), params["baseline"].as_f64()) {
        (Some(name), _) => Ok(Baseline::Tensor(setup.input(name)?)),
        (_, Some(0.0)) => Ok(Baseline::Zero),
        (_, Some(value)) => Ok(Baseline::Constant(value)),
        _ => bail!("no baseline"),
    }
}

/// sum − (f(x) − f(x′)) of every row, the sum multiplied by `share`.
pub fn delta(map: &Attribution, share: f64) -> Result<Tensor> {
    let completeness = map.convergence().completeness.as_ref().context("no completeness")?;
    let rows = completeness.sum.iter().zip(&completeness.difference);
    let delta: Vec<f64> = rows.map(|(sum, difference)| sum * share - difference).collect();
    Ok(Tensor::new(delta, &Device::Cpu)?)
}

pub fn gradient_shap(setup: &Setup) -> Result<Outputs> {
    let noise = setup.input(setup.case.text("noise")?)?;
    let first = |parameter| -> Result<&str> {
        setup.case.text(parameter)?.split_whitespace().next().context("no name of a tensor")
    };
    let count = noise.dim(0)?;
    let method = with_draws(setup, (first("index")?, first("alpha")?), count)?.noise(Noise::Given(noise));
    Ok(one("attribution", setup.explain(&method)?.values().clone()))
}

pub fn expected_gradients(setup: &Setup) -> Result<Outputs> {
    let names = (setup.case.text("index")?, setup.case.text("alpha")?);
    let method = with_draws(setup, names, usize::MAX)?;
    Ok(one("attribution", setup.explain(&method)?.values().clone()))
}

/// Expected Gradients with the first `count` of the peer's draws.
fn with_draws(setup: &Setup, (index, alpha): (&str, &str), count: usize) -> Result<ExpectedGradients> {
    let samples = setup.input(setup.case.text("baselines")?)?;
    let indices: Vec<i64> = setup.inputs.get(index, DType::I64)?.to_vec1()?;
    let alphas: Vec<f64> = setup.inputs.get(alpha, DType::F64)?.to_vec1()?;
    let draw = |(&index, &alpha): (&i64, &f64)| Draw { reference: index as usize, alpha };
    let draws = indices.iter().zip(&alphas).map(draw).take(count).collect();
    Ok(ExpectedGradients::default().references(References::Samples(samples)).draws(draws))
}

pub fn smoothgrad(setup: &Setup) -> Result<Outputs> {
    let noise = setup.input(setup.case.text("noise")?)?;
    let map = |inner: Saliency, statistic| -> Result<Tensor> {
        let method = SmoothGrad::over(inner).noise(Noise::Given(noise.clone())).statistic(statistic);
        Ok(setup.explain(&method as &dyn Explain)?.values().clone())
    };
    Ok(vec![
        ("smoothgrad".into(), map(Saliency::signed(), Statistic::Mean)?),
        ("smoothgrad_abs".into(), map(Saliency::default(), Statistic::Mean)?),
        ("smoothgrad_sq".into(), map(Saliency::signed(), Statistic::MeanSquare)?),
        ("vargrad".into(), map(Saliency::signed(), Statistic::Variance)?),
    ])
}
