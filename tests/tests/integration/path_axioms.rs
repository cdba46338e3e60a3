//! The axioms of gradients and paths: completeness, dummy, symmetry, linearity.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Attribution, Baseline, Error, ExpectedGradients, Explain, InputXGradient, IntegratedGradients, Model,
    Noise, Quadrature, References, Saliency, SmoothGrad,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, noise};

/// Rounding of double precision.
const EXACT: f64 = 1e-12;

const RULES: [Quadrature; 5] = [
    Quadrature::GaussLegendre,
    Quadrature::Trapezoid,
    Quadrature::Left,
    Quadrature::Right,
    Quadrature::Middle,
];

/// A smooth model of six features that ignores the last and treats the first two alike.
fn smooth(x: &Tensor) -> candle_core::Result<Tensor> {
    let feature = |i| x.narrow(1, i, 1);
    let alike = (feature(0)? * feature(1)?)?.sin()?;
    let rest = ((feature(2)? + feature(3)?.sqr()?)?.tanh()? * feature(4)?.exp()?)?;
    Tensor::cat(&[&(&alike + &rest)?, &(alike - rest)?], 1)
}

fn features() -> Result<Tensor> {
    let x = [[0.7, 0.7, -1.2, 0.4, 0.9, 5.0], [-0.3, -0.3, 0.8, 1.1, -0.5, -2.0]];
    Ok(Tensor::new(&x, &Device::Cpu)?)
}

/// References in which the first two features are alike, too.
fn references() -> Result<Tensor> {
    let x =
        [[0.1, 0.1, 0.3, -0.4, 0.2, 1.0], [-0.6, -0.6, 0.5, 0.6, 0.1, 3.0], [0.2, 0.2, 0.0, 0.9, -1.0, 0.0]];
    Ok(Tensor::new(&x, &Device::Cpu)?)
}

fn expected_gradients() -> Result<ExpectedGradients> {
    Ok(ExpectedGradients::default().references(References::Samples(references()?)))
}

fn explainers() -> Result<Vec<Box<dyn Explain>>> {
    Ok(vec![
        Box::new(Saliency::default()),
        Box::new(Saliency::signed()),
        Box::new(InputXGradient),
        Box::new(IntegratedGradients::default().baseline(Baseline::Constant(0.25))),
        Box::new(expected_gradients()?),
        Box::new(SmoothGrad::default().noise(Noise::Absolute(0.2)).samples(20)),
    ])
}

#[test]
fn a_feature_that_the_model_ignores_gets_nothing() -> Result<()> {
    for method in explainers()? {
        let map = method.attribute(&smooth, &(&features()?, 0).into())?;
        let last = values(&map.values().narrow(1, 5, 1)?)?;
        ensure!(last.iter().all(|&value| value == 0.0), "{}: {last:?}", method.name());
    }
    Ok(())
}

#[test]
fn the_largest_of_channels_is_the_largest_magnitude_of_the_gradient() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("hf_vit", DType::F64)?, folder.sample("hf_vit", DType::F64)?);
    let all = Saliency::signed().explain(&*model, &x)?;
    let largest = Saliency::max_over_channels().explain(&*model, &x)?;
    assert_near(largest.values(), &all.values().abs()?.max_keepdim(1)?, 0.0, "max over channels")?;
    let flat = |x: &Tensor| x.sqr();
    let refused = Saliency::max_over_channels().explain(&flat, &features()?);
    ensure!(matches!(refused, Err(Error::Shape { what: "the input", .. })), "{refused:?}");
    Ok(())
}

#[test]
fn features_that_play_the_same_part_get_the_same() -> Result<()> {
    for method in explainers()?.iter().take(5) {
        let map = method.attribute(&smooth, &(&features()?, 1).into())?;
        let (first, second) = (map.values().narrow(1, 0, 1)?, map.values().narrow(1, 1, 1)?);
        assert_near(&first, &second, EXACT, &method.name())?;
    }
    Ok(())
}

#[test]
fn integrated_gradients_of_a_linear_model_are_weight_times_difference_whatever_the_rule() -> Result<()> {
    let (weight, bias) = (noise(&[6, 3], 1)?, noise(&[1, 3], 2)?);
    let (x, start) = (features()?, noise(&[1, 6], 3)?);
    let model = |x: &Tensor| x.matmul(&weight)?.broadcast_add(&bias);
    let class = weight.narrow(1, 2, 1)?.t()?;
    for rule in RULES {
        for steps in [1, 2, 7] {
            let method = IntegratedGradients::default().quadrature(rule).steps(steps);
            let from_start = method.clone().baseline(Baseline::Tensor(start.clone()));
            let map = from_start.explain(&model, (&x, 2))?;
            assert_near(map.values(), &x.broadcast_sub(&start)?.broadcast_mul(&class)?, EXACT, "from x'")?;
            let from_zero = method.explain(&model, (&x, 2))?;
            let product = InputXGradient.explain(&model, (&x, 2))?;
            assert_near(from_zero.values(), product.values(), EXACT, "from zero")?;
            assert_near(product.values(), &x.broadcast_mul(&class)?, EXACT, "input x gradient")?;
        }
    }
    Ok(())
}

fn completeness(map: &Attribution) -> Result<f64> {
    let found = map.convergence().completeness.as_ref().context("no completeness")?;
    let sums = values(&map.values().flatten_from(1)?.sum(1)?)?;
    for (told, sum) in found.sum.iter().zip(&sums) {
        ensure!((told - sum).abs() <= EXACT * sum.abs().max(1.0), "told {told}, is {sum}");
    }
    Ok(found.relative().into_iter().fold(0.0, f64::max))
}

#[test]
fn integrated_gradients_sum_to_the_difference_of_scores_on_smooth_models() -> Result<()> {
    let folder = golden()?;
    // Points, and the residual relative to the difference. The second derivative of an ELU jumps at 0; near a zero
    // image the layer norms of a transformer bend sharply.
    let cases =
        [("mlp_tanh", 50, 1e-12), ("convnet", 50, 1e-4), ("hf_vit", 300, 1e-12), ("timm_vit", 300, 1e-12)];
    for (id, steps, allowed) in cases {
        let (model, x) = (folder.model(id, DType::F64)?, folder.sample(id, DType::F64)?);
        let map = IntegratedGradients::default().steps(steps).explain(&*model, &x)?;
        let relative = completeness(&map)?;
        ensure!(relative < allowed, "{id}: {relative:.1e}");
    }
    Ok(())
}

#[test]
fn more_points_bring_integrated_gradients_nearer_to_completeness() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("mlp_tanh", DType::F64)?, folder.sample("mlp_tanh", DType::F64)?);
    let residual = |rule, steps| -> Result<f64> {
        let method = IntegratedGradients::default().quadrature(rule).steps(steps);
        completeness(&method.explain(&*model, &x)?)
    };
    for rule in RULES {
        ensure!(residual(rule, 40)? < residual(rule, 8)? && residual(rule, 8)? < residual(rule, 3)?);
    }
    ensure!(residual(Quadrature::GaussLegendre, 10)? < residual(Quadrature::Trapezoid, 10)?);
    Ok(())
}

#[test]
fn the_trapezoid_is_the_textbooks_and_captums_after_one_factor() -> Result<()> {
    const N: usize = 5;
    let cube = |x: &Tensor| x.powf(3.0);
    let method = IntegratedGradients::default().quadrature(Quadrature::Trapezoid).steps(N);
    let ours = values(method.explain(&cube, (&Tensor::new(&[[2.0f64]], &Device::Cpu)?, 0))?.values())?[0];
    let at = |k: usize| 2.0 * 3.0 * (2.0 * k as f64 / (N - 1) as f64).powi(2);
    let halved_ends: f64 = (0..N).map(|k| if k % (N - 1) == 0 { at(k) / 2.0 } else { at(k) }).sum();
    let (textbook, captum) = (halved_ends / (N - 1) as f64, halved_ends / N as f64);
    ensure!((ours - textbook).abs() < EXACT, "{ours}, the textbook has {textbook}");
    let share = (N - 1) as f64 / N as f64;
    ensure!((ours * share - captum).abs() < EXACT, "{ours}, Captum has {captum}");
    Ok(())
}

/// Mean and standard error of numbers.
fn mean(numbers: &[f64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn expected_gradients_sum_to_the_expected_difference_within_their_standard_error() -> Result<()> {
    const RUNS: u64 = 40;
    /// The mean of forty runs is so many standard errors off once in 15,000 times.
    const SIGMA: f64 = 4.0;
    let mut errors = vec![Vec::new(); 2];
    for seed in 0..RUNS {
        let query = candlelight_core::Query::from((&features()?, 0)).seed(seed);
        let map = expected_gradients()?.samples(50).explain(&smooth, query)?;
        let found = map.convergence().completeness.as_ref().context("no completeness")?;
        for (row, errors) in errors.iter_mut().enumerate() {
            errors.push(found.sum[row] - found.difference[row]);
        }
    }
    for errors in errors {
        let (mean, standard_error) = mean(&errors);
        ensure!(mean.abs() < SIGMA * standard_error, "{mean} with a standard error of {standard_error}");
        ensure!(standard_error > 0.0);
    }
    Ok(())
}

#[test]
fn the_standard_error_that_a_sampler_tells_is_the_spread_between_its_runs() -> Result<()> {
    /// Between-run spread of forty runs is known to a tenth; the estimate within a run to a bit less.
    const FACTOR: f64 = 1.5;
    let x = features()?.narrow(0, 0, 1)?;
    for method in [
        Box::new(expected_gradients()?.samples(100)) as Box<dyn Explain>,
        Box::new(SmoothGrad::default().samples(100).noise(Noise::Absolute(0.5))),
    ] {
        let mut runs = Vec::new();
        let mut told = Vec::new();
        for seed in 0..40 {
            let map = method.attribute(&smooth, &candlelight_core::Query::from((&x, 0)).seed(seed))?;
            told.push(map.convergence().sampling.as_ref().context("no sampling")?.standard_error[0]);
            runs.push(values(map.values())?);
        }
        let (told, measured) = (mean(&told).0, spread(&runs));
        let within = told < measured * FACTOR && measured < told * FACTOR;
        ensure!(within, "{}: told {told:.3e}, measured {measured:.3e}", method.name());
    }
    Ok(())
}

/// The root mean square distance of runs from their mean, over the norm of that mean.
fn spread(runs: &[Vec<f64>]) -> f64 {
    let features = 0..runs[0].len();
    let columns: Vec<Vec<f64>> = features.map(|i| runs.iter().map(|run| run[i]).collect()).collect();
    let (mut centre, mut variance) = (0.0, 0.0);
    for column in &columns {
        let (mean, standard_error) = mean(column);
        centre += mean * mean;
        variance += standard_error * standard_error * column.len() as f64;
    }
    (variance / centre).sqrt()
}

#[test]
fn integrated_gradients_from_the_input_itself_are_zero_and_complete() -> Result<()> {
    let x = features()?;
    let method = IntegratedGradients::default().baseline(Baseline::Tensor(x.clone()));
    let map = method.explain(&smooth as &dyn Model, &x)?;
    ensure!(values(map.values())?.iter().all(|&value| value == 0.0));
    ensure!(map.convergence().worst() == 0.0);
    Ok(())
}
