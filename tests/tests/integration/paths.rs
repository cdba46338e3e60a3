//! Paths other than the straight line, and what is made of them: completeness, and the paper's formulas written out.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Attribution, Baseline, BlurIntegratedGradients, Error, Explain, GuidedIntegratedGradients, Idgi,
    IntegratedGradients, Path, Quadrature, Saliency, Xrai,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, images, vit};

/// Rounding of double precision through a small network.
const EXACT: f64 = 1e-10;

fn residual(map: &Attribution) -> Result<f64> {
    let completeness = map.convergence().completeness.as_ref().context("no completeness")?;
    let sums = values(&map.values().flatten_from(1)?.sum(1)?)?;
    for (told, sum) in completeness.sum.iter().zip(sums) {
        ensure!((told - sum).abs() < EXACT * sum.abs().max(1.0), "told {told}, is {sum}");
    }
    Ok(completeness.relative().into_iter().fold(0.0, f64::max))
}

#[test]
fn blur_integrated_gradients_sum_to_the_score_less_that_of_the_most_blurred_image() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let blur = |steps| BlurIntegratedGradients::default().sigma(6.0).steps(steps);
    let (few, many) =
        (residual(&blur(20).explain(&*model, &x)?)?, residual(&blur(320).explain(&*model, &x)?)?);
    ensure!(many < few / 20.0 && many < 1e-2, "{few:.1e} {many:.1e}");
    // The start of the path is the blurred baseline of Integrated Gradients.
    let straight = IntegratedGradients::default().baseline(Baseline::Blurred(6.0)).explain(&*model, &x)?;
    let difference = |map: &Attribution| -> Result<Vec<f64>> {
        Ok(map.convergence().completeness.as_ref().context("none")?.difference.clone())
    };
    let blurred = difference(&blur(1).explain(&*model, &x)?)?;
    for (a, b) in blurred.iter().zip(difference(&straight)?) {
        ensure!((a - b).abs() < EXACT * b.abs().max(1.0), "{a} {b}");
    }
    Ok(())
}

#[test]
fn blur_integrated_gradients_of_a_linear_model_are_weight_times_what_the_blur_takes() -> Result<()> {
    let x = images(DType::F64)?.narrow(0, 0, 1)?;
    let weight = crate::fixtures::noise(x.dims(), 5)?;
    let model = |x: &Tensor| x.broadcast_mul(&weight)?.flatten_from(1)?.sum(1);
    let map = BlurIntegratedGradients::default().sigma(3.0).steps(4).explain(&model, (&x, 0))?;
    let start = Baseline::Blurred(3.0);
    let taken = IntegratedGradients::default().steps(1).baseline(start).explain(&model, (&x, 0))?;
    assert_near(map.values(), taken.values(), EXACT, "x less the blurred x, times the weight")
}

#[test]
fn idgi_is_complete_with_any_number_of_steps_on_any_path() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    for path in [Path::default(), Path::Straight(Baseline::Constant(0.3)), Path::Blur(5.0)] {
        for steps in [1, 3, 20] {
            let map = Idgi::along(path.clone()).steps(steps).explain(&*model, &x)?;
            ensure!(residual(&map)? < EXACT, "{path:?} {steps}: {}", residual(&map)?);
        }
    }
    Ok(())
}

#[test]
fn idgi_is_the_paper_s_sum() -> Result<()> {
    let f = |x: &[f64]| (x[0] * x[1]).sin() + x[2] * x[2] * x[0];
    let slope = |x: &[f64]| {
        let c = (x[0] * x[1]).cos();
        [c * x[1] + x[2] * x[2], c * x[0], 2.0 * x[2] * x[0]]
    };
    let (x, steps) = ([0.9, -1.3, 0.7], 6);
    let at =
        |k: usize| x.map(|value| value * k as f64 / steps as f64 + 0.2 * (1.0 - k as f64 / steps as f64));
    let mut expected = [0.0; 3];
    for k in 0..steps {
        let (g, change) = (slope(&at(k)), f(&at(k + 1)) - f(&at(k)));
        let norm: f64 = g.iter().map(|g| g * g).sum();
        (0..3).for_each(|i| expected[i] += g[i] * g[i] / norm * change);
    }
    let model = |x: &Tensor| {
        let x = |i| x.narrow(1, i, 1);
        (x(0)? * x(1)?)?.sin()? + (x(2)?.sqr()? * x(0)?)?
    };
    let method = Idgi::along(Path::Straight(Baseline::Constant(0.2))).steps(steps);
    let map = method.explain(&model, (&Tensor::new(&[x], &Device::Cpu)?, 0))?;
    assert_near(map.values(), &Tensor::new(&[expected], &Device::Cpu)?, EXACT, "idgi")
}

#[test]
fn guided_integrated_gradients_without_leave_to_stray_are_those_of_the_straight_line() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("mlp_tanh", DType::F64)?, folder.sample("mlp_tanh", DType::F64)?);
    let guided = GuidedIntegratedGradients::default().steps(30).distance(0.0);
    let left = IntegratedGradients::default().steps(30).quadrature(Quadrature::Left);
    let (guided, left) = (guided.explain(&*model, &x)?, left.explain(&*model, &x)?);
    assert_near(guided.values(), left.values(), 1e-7, "no feature may stray")?;
    let free = GuidedIntegratedGradients::default().steps(2000).distance(1.0).explain(&*model, &x)?;
    ensure!(residual(&free)? < 0.02, "{}", residual(&free)?);
    ensure!(assert_near(free.values(), left.values(), 0.05, "").is_err(), "a free path is another path");
    Ok(())
}

#[test]
fn xrai_gives_every_pixel_the_mean_of_its_region() -> Result<()> {
    let side = 32;
    let value = |k: usize| if k % side < side / 2 { 0.0 } else { 1.0 + 0.01 * (k % 5) as f64 };
    let x = Tensor::from_vec(
        (0..side * side).map(value).collect::<Vec<f64>>(),
        (1, 1, side, side),
        &Device::Cpu,
    )?;
    // The score is the sum of the right half: all of the attribution lies there.
    let model = |x: &Tensor| x.narrow(3, side / 2, side / 2)?.flatten_from(1)?.sum(1);
    let map = Xrai::over(Saliency::signed()).explain(&model, (&x, 0))?;
    ensure!(map.values().dims() == [1, 1, side, side]);
    let columns = values(&map.values().mean(2)?)?;
    ensure!(columns[0] == 0.0 && columns[side - 1] > 0.9, "{columns:?}");
    let total: f64 = values(map.values())?.iter().sum();
    ensure!(
        (total - (side * side / 2) as f64).abs() < EXACT * total,
        "the sum over the pixels stays: {total}"
    );
    Ok(())
}

#[test]
fn settings_of_paths_that_make_no_sense_are_refused() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("mlp_tanh", DType::F64)?, folder.sample("mlp_tanh", DType::F64)?);
    let methods: [Box<dyn Explain>; 7] = [
        Box::new(BlurIntegratedGradients::default()),
        Box::new(Idgi::along(Path::Blur(3.0))),
        Box::new(Idgi::default().steps(0)),
        Box::new(GuidedIntegratedGradients::default().steps(0)),
        Box::new(GuidedIntegratedGradients::default().fraction(1.5)),
        Box::new(GuidedIntegratedGradients::default().distance(f64::NAN)),
        Box::new(Xrai::over(Saliency::signed())),
    ];
    for method in methods {
        let found = method.attribute(&*model, &(&x).into());
        let refused = matches!(found, Err(Error::Setting { .. } | Error::Shape { .. }));
        ensure!(refused, "{}: {found:?}", method.name());
    }
    let negative =
        BlurIntegratedGradients::default().sigma(-1.0).explain(&*vit(DType::F64)?, &images(DType::F64)?);
    ensure!(matches!(negative, Err(Error::Setting { .. })), "{negative:?}");
    Ok(())
}
