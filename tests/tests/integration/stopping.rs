//! Paths and samplers that stop by themselves: where they promised to, for every row by itself, and with the truth
//! inside the interval that they tell.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{
    Attribution, Baseline, Budget, Error, ExpectedGradients, Explain, IntegratedGradients, Noise, Query,
    References, SmoothGrad, Statistic,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, images, vit};

fn completeness(map: &Attribution) -> Result<Vec<f64>> {
    Ok(map.convergence().completeness.as_ref().context("no completeness")?.relative())
}

#[test]
fn a_path_stops_at_the_residual_asked_for_and_counts_every_gradient_once() -> Result<()> {
    let folder = golden()?;
    for id in ["mlp_tanh", "convnet", "convnet_relu", "hf_vit", "hf_resnet_basic"] {
        let (model, x) = (folder.model(id, DType::F64)?, folder.sample(id, DType::F64)?);
        let mut before = 0;
        for residual in [0.1, 0.01, 0.001] {
            let map = IntegratedGradients::default().until(residual).explain(&*model, &x)?;
            let steps = map.convergence().steps.clone().context("no steps")?;
            for (relative, steps) in completeness(&map)?.into_iter().zip(&steps) {
                ensure!(relative <= residual || *steps == 500, "{id}: {relative:.1e} for {residual}");
            }
            let taken: usize = steps.iter().sum();
            ensure!(map.cost().backwards == taken, "{id}: {taken} steps, {:?}", map.cost());
            ensure!(taken >= before, "{id}: {taken} steps for a smaller residual, {before} for a larger one");
            before = taken;
        }
    }
    Ok(())
}

#[test]
fn a_path_that_places_its_steps_tends_to_the_map_of_many() -> Result<()> {
    /// The map may be further off than its sum: errors of pixels cancel there.
    const FACTOR: f64 = 30.0;
    const RESIDUAL: f64 = 1e-4;
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let truth = IntegratedGradients::default().steps(300).explain(&*model, &x)?;
    let map = IntegratedGradients::default().until(RESIDUAL).explain(&*model, &x)?;
    assert_near(map.values(), truth.values(), FACTOR * RESIDUAL, "until 1e-4")
}

#[test]
fn the_limit_of_steps_is_kept_and_the_residual_told() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let map = IntegratedGradients::default().until(1e-9).steps(7).explain(&*model, &x)?;
    ensure!(map.convergence().steps.as_deref() == Some(&[7; 4]), "{:?}", map.convergence().steps);
    ensure!(map.convergence().worst() > 1e-9);
    Ok(())
}

/// Methods that stop by themselves.
fn stopping() -> Result<Vec<Box<dyn Explain>>> {
    let references = References::Samples((images(DType::F64)? * 0.3)?);
    Ok(vec![
        Box::new(IntegratedGradients::default().until(0.01)),
        Box::new(IntegratedGradients::default().until(0.05).baseline(references.clone())),
        Box::new(ExpectedGradients::default().references(references).until(0.2)),
        Box::new(SmoothGrad::default().until(0.2)),
    ])
}

#[test]
fn every_row_stops_by_itself_whatever_is_beside_it_and_however_much_is_in_flight() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    for method in stopping()? {
        let query = Query::from((&x, vec![2, 6, 1, 3])).seed(5);
        let together = method.attribute(&*model, &query)?;
        for budget in [Budget::Rows(1), Budget::Rows(7), Budget::Rows(1000)] {
            let other = method.attribute(&*model, &query.clone().budget(budget))?;
            assert_near(other.values(), together.values(), 0.0, &format!("{} {budget:?}", method.name()))?;
        }
        for (row, class) in [2, 6, 1, 3].into_iter().enumerate() {
            let query = Query::from((&x.narrow(0, row, 1)?, class)).seed(5).first_sample(row as u64);
            let alone = method.attribute(&*model, &query)?;
            assert_near(alone.values(), &together.values().narrow(0, row, 1)?, 0.0, &method.name())?;
        }
    }
    Ok(())
}

#[test]
fn samplers_stop_at_the_standard_error_asked_for() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    for method in stopping()?.into_iter().skip(2) {
        let map = method.attribute(&*model, &Query::new(&x))?;
        let sampling = map.convergence().sampling.clone().context("no sampling")?;
        ensure!(sampling.standard_error.iter().all(|error| *error <= 0.2), "{}: {sampling:?}", method.name());
        ensure!(sampling.samples.iter().all(|samples| *samples >= 20), "{}: {sampling:?}", method.name());
    }
    let limited = SmoothGrad::default().until(1e-6).samples(33).explain(&*model, &x)?;
    ensure!(limited.convergence().sampling.clone().context("no sampling")?.samples == [33; 4]);
    Ok(())
}

#[test]
fn the_interval_holds_the_truth_as_often_as_it_says() -> Result<()> {
    /// 95 % of intervals of 1.96 standard errors; 40 runs of few correlated features vary around it.
    const COVERED: std::ops::RangeInclusive<f64> = 0.88..=0.99;
    let folder = golden()?;
    let (model, x) = (folder.model("mlp_tanh", DType::F64)?, folder.sample("mlp_tanh", DType::F64)?);
    let x = x.narrow(0, 0, 1)?;
    let truth = values(IntegratedGradients::default().explain(&*model, (&x, 0))?.values())?;
    let method = ExpectedGradients::default().references(Baseline::Zero).samples(100);
    let (mut inside, mut all) = (0.0, 0.0);
    for seed in 0..40 {
        let map = method.explain(&*model, Query::from((&x, 0)).seed(seed))?;
        let (low, high) = map.interval(1.96)?.context("no interval")?;
        for ((low, high), truth) in values(&low)?.into_iter().zip(values(&high)?).zip(&truth) {
            inside += f64::from((low..=high).contains(truth));
            all += 1.0;
        }
    }
    ensure!(COVERED.contains(&(inside / all)), "{} of all intervals hold the truth", inside / all);
    Ok(())
}

#[test]
fn one_sample_has_an_infinite_error_and_no_map_of_variance_has_one() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let one = SmoothGrad::default().samples(1).explain(&*model, &x)?;
    ensure!(one.convergence().worst() == f64::INFINITY, "{:?}", one.convergence());
    let variance =
        SmoothGrad::default().samples(5).noise(Noise::Absolute(0.1)).statistic(Statistic::Variance);
    ensure!(variance.explain(&*model, &x)?.standard_error().is_none());
    Ok(())
}

#[test]
fn residuals_and_errors_that_make_no_sense_are_refused() -> Result<()> {
    let x = images(DType::F64)?;
    for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for method in [
            Box::new(IntegratedGradients::default().until(nonsense)) as Box<dyn Explain>,
            Box::new(ExpectedGradients::default().until(nonsense)),
            Box::new(SmoothGrad::default().until(nonsense)),
        ] {
            let found = method.attribute(&|x: &Tensor| x.flatten_from(1), &Query::new(&x));
            ensure!(matches!(found, Err(Error::Setting { .. })), "{}: {found:?}", method.name());
        }
    }
    Ok(())
}
