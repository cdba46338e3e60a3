//! Methods that sample coalitions: the axioms of Shapley values, errors that hold, runs that are cancelled, calls that are
//! not made twice.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Attribution, Baseline, Budget, Coverage, DeepLiftShap, Error, ExpectedGradients, Explain, Features,
    HsicIndices, Joining, KernelShap, Lime, Model, PartitionShap, Proximity, Query, Rise, Segmentation,
    ShapleyValues, Shrinkage, SmoothGrad, SobolIndices, VarianceShare,
};
use candlelight_tests::compare::values;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fixtures::{assert_near, golden, images, noise, vit};

/// Rounding of double precision through a small network and a least-squares fit.
const EXACT: f64 = 1e-9;

/// The methods that share the score out.
fn shapley_family() -> Vec<Box<dyn Explain>> {
    vec![
        Box::new(ShapleyValues::default().joining(Joining::Exact)),
        Box::new(KernelShap::default()),
        Box::new(PartitionShap::default()),
    ]
}

/// All methods that sample, with few samples.
fn samplers() -> Vec<Box<dyn Explain>> {
    vec![
        Box::new(ShapleyValues::default().samples(7)),
        Box::new(ShapleyValues::default().joining(Joining::Random).samples(7)),
        Box::new(ShapleyValues::default().joining(Joining::Guided { tolerance: 0.01 }).samples(7)),
        Box::new(KernelShap::default().samples(300)),
        Box::new(PartitionShap::default().samples(7)),
        Box::new(Lime::default().samples(200)),
        Box::new(Lime::default().shrinkage(Shrinkage::Lasso(0.001)).samples(200)),
        Box::new(Rise::default().samples(200)),
        Box::new(SobolIndices::default().samples(8)),
        Box::new(HsicIndices::default().samples(200)),
        Box::new(SmoothGrad::default().samples(50)),
        Box::new(ExpectedGradients::default().samples(50)),
        Box::new(DeepLiftShap::default().samples(50)),
    ]
}

/// Eight features; the first two play the same part, the last none: two scores.
fn game(x: &Tensor) -> candle_core::Result<Tensor> {
    let at = |i: usize| x.narrow(1, i, 1);
    let alike = (at(0)? + at(1)?)?.tanh()?;
    let one = ((&alike * at(2)?)? + (at(3)? * at(4)?.exp()?)?)?;
    let two = ((at(5)?.sqr()? * alike)? - (at(6)? * at(2)?)?.sin()?)?;
    Tensor::cat(&[one, two], 1)
}

fn table() -> Result<Tensor> {
    let x = noise(&[3, 8], 11)?;
    Ok(Tensor::cat(&[&x.narrow(1, 0, 1)?, &x.narrow(1, 0, 1)?, &x.narrow(1, 2, 6)?], 1)?)
}

#[test]
fn values_are_efficient_symmetric_and_additive_and_a_dummy_has_none() -> Result<()> {
    let x = table()?;
    let both = |x: &Tensor| {
        let scores = game(x)?;
        (scores.narrow(1, 0, 1)? * 2.0)? - scores.narrow(1, 1, 1)?
    };
    for method in shapley_family() {
        let of = |model: &dyn Model, class| method.attribute(model, &Query::from((&x, class)));
        let (one, two, sum) = (of(&game, 0)?, of(&game, 1)?, of(&both, 0)?);
        ensure!(one.convergence().sampling.is_none(), "{}: 254 coalitions were not all", method.name());
        let found = one.convergence().completeness.clone().context("no efficiency")?;
        ensure!(found.residual().iter().all(|residual| *residual < EXACT), "{}: {found:?}", method.name());
        assert_near(&column(&one, 0)?, &column(&one, 1)?, EXACT, "symmetry")?;
        ensure!(values(&column(&one, 7)?)?.iter().all(|value| value.abs() < EXACT), "{}", method.name());
        assert_near(sum.values(), &((one.values() * 2.0)? - two.values())?, EXACT, "additivity")?;
    }
    Ok(())
}

fn column(map: &Attribution, at: usize) -> Result<Tensor> {
    Ok(map.values().narrow(1, at, 1)?.contiguous()?)
}

#[test]
fn all_coalitions_by_least_squares_are_the_shapley_values() -> Result<()> {
    let folder = golden()?;
    for id in ["mlp_tanh", "mlp_relu"] {
        let (model, x) = (folder.model(id, DType::F64)?, folder.sample(id, DType::F64)?);
        let exact = ShapleyValues::default().joining(Joining::Exact).explain(&*model, &x)?;
        let kernel = KernelShap::default().explain(&*model, &x)?;
        assert_near(kernel.values(), exact.values(), EXACT, id)?;
    }
    Ok(())
}

#[test]
fn no_coalition_goes_through_the_model_twice() -> Result<()> {
    let (x, asked) = (table()?, AtomicUsize::new(0));
    let counted = |x: &Tensor| {
        asked.fetch_add(x.dim(0)?, Ordering::Relaxed);
        game(x)
    };
    for method in shapley_family() {
        asked.store(0, Ordering::Relaxed);
        let map = method.attribute(&counted, &Query::from((&x, 0)))?;
        let (asked, told) = (asked.load(Ordering::Relaxed), map.cost().forwards);
        ensure!(asked <= 3 * 256 + 1 && told <= 3 * 256, "{}: {asked} rows, {told} told", method.name());
    }
    Ok(())
}

#[test]
fn sampled_values_tend_to_the_exact_ones_as_their_error_says() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 1)?);
    let features = Features::Grid { rows: 3, columns: 3 };
    let exact = ShapleyValues::default().features(features.clone()).joining(Joining::Exact);
    let exact = exact.explain(&*model, (&x, 2))?;
    let methods: [Box<dyn Explain>; 2] = [
        Box::new(KernelShap::default().features(features.clone()).samples(100)),
        Box::new(ShapleyValues::default().features(features).joining(Joining::Random).samples(20)),
    ];
    for method in methods {
        let (mut inside, mut all) = (0.0, 0.0);
        for seed in 0..30 {
            let map = method.attribute(&*model, &Query::from((&x, 2)).seed(seed))?;
            let (low, high) = map.interval(1.96)?.context("no interval")?;
            let bounds = values(&low)?.into_iter().zip(values(&high)?);
            for ((low, high), truth) in bounds.zip(values(exact.values())?) {
                inside += f64::from((low..=high).contains(&truth));
                all += 1.0;
            }
        }
        ensure!((0.88..=0.99).contains(&(inside / all)), "{}: {}", method.name(), inside / all);
    }
    Ok(())
}

#[test]
fn the_error_of_rise_is_how_much_its_map_varies_from_seed_to_seed() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 1)?);
    for coverage in [Coverage::Expected, Coverage::Sampled] {
        let method = Rise::default().samples(60).coverage(coverage);
        let runs = (0..40).map(|seed| method.explain(&*model, Query::from((&x, 2)).seed(seed)));
        let runs = runs.collect::<candlelight_core::Result<Vec<_>>>()?;
        let maps = Tensor::stack(&runs.iter().map(Attribution::values).collect::<Vec<_>>(), 0)?;
        let spread = (maps.var(0)?.mean_all()?.to_scalar::<f64>()?).sqrt();
        let told = |map: &Attribution| -> Result<f64> {
            let error = map.standard_error().context("no error")?;
            Ok(error.sqr()?.mean_all()?.to_scalar::<f64>()?)
        };
        let told = runs.iter().map(told).sum::<Result<f64>>()? / 40.0;
        let ratio = told.sqrt() / spread;
        ensure!((0.85..1.18).contains(&ratio), "{coverage:?}: {ratio}");
    }
    Ok(())
}

/// `method` cancelled by its report number `last`, one row at a time; with the number of reports.
fn cancelled(
    method: &dyn Explain,
    model: &dyn Model,
    x: &Tensor,
    last: usize,
) -> (candlelight_core::Result<Attribution>, usize) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let query = Query::from((x, 2)).budget(Budget::Rows(1)).on_progress(move |_| {
        match counted.fetch_add(1, Ordering::Relaxed) + 1 < last {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    (method.attribute(model, &query), seen.load(Ordering::Relaxed))
}

#[test]
fn a_cancelled_sampler_hands_back_what_it_has_marked_as_partial() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 2)?);
    for method in samplers() {
        let name = method.name();
        let (whole, reports) = cancelled(&*method, &*model, &x, usize::MAX);
        let whole = whole?;
        ensure!(whole.convergence().partial.is_none(), "{name}");
        let (map, seen) = cancelled(&*method, &*model, &x, 9 * reports / 10);
        let map = map.context(name.clone())?;
        let partial = map.convergence().partial.context("not marked")?;
        ensure!(partial.done < partial.of && seen == 9 * reports / 10, "{name}: {partial:?}, {seen} reports");
        ensure!(values(map.values())?.iter().all(|value| value.is_finite()), "{name}");
        let samples = |map: &Attribution| map.convergence().sampling.clone().map(|sampling| sampling.samples);
        let (some, all) = (samples(&map).context("no samples")?, samples(&whole).context("no samples")?);
        let fewer = some.iter().zip(&all).all(|(some, all)| 2 * some > *all && some <= all);
        ensure!(fewer && some != all, "{name}: {some:?} of {all:?}");
    }
    Ok(())
}

#[test]
fn a_sampler_cancelled_before_its_first_sample_has_nothing_to_hand_back() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 2)?);
    for method in samplers() {
        let found = cancelled(&*method, &*model, &x, 3).0;
        ensure!(matches!(found, Err(Error::Cancelled { .. })), "{}: {found:?}", method.name());
    }
    Ok(())
}

#[test]
fn samplers_of_coalitions_stop_at_the_error_asked_for() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 2)?);
    let features = Features::Grid { rows: 3, columns: 3 };
    let methods: [Box<dyn Explain>; 5] = [
        Box::new(ShapleyValues::default().features(features.clone()).until(0.1)),
        Box::new(KernelShap::default().features(features.clone()).until(0.1)),
        Box::new(Lime::default().features(features.clone()).until(0.1)),
        Box::new(SobolIndices::default().features(features).until(0.3)),
        Box::new(Rise::default().until(0.1)),
    ];
    for method in methods {
        let map = method.attribute(&*model, &Query::from((&x, 2)))?;
        let errors =
            map.convergence().sampling.clone().map_or(Vec::new(), |sampling| sampling.standard_error);
        ensure!(errors.iter().all(|error| *error <= 0.3), "{}: {errors:?}", method.name());
    }
    let limited = Rise::default().until(1e-6).samples(33).explain(&*model, &x)?;
    ensure!(limited.convergence().sampling.clone().context("no sampling")?.samples == [33; 2]);
    Ok(())
}

#[test]
fn guided_orders_are_exact_where_everything_adds_and_show_where_it_does_not() -> Result<()> {
    let x = noise(&[2, 30], 3)?;
    let method = ShapleyValues::default().joining(Joining::Guided { tolerance: 1e-9 }).samples(5);
    let adds = |x: &Tensor| x.sqr()?.sum_keepdim(1);
    let map = method.explain(&adds, (&x, 0))?;
    assert_near(map.values(), &x.sqr()?, EXACT, "additive")?;
    ensure!(map.convergence().sampling.is_none() && map.cost().forwards <= 2 * 62, "{:?}", map.cost());
    // The majority of three: nobody does anything alone, and nobody is missed, but together they bring 1.
    let majority = |x: &Tensor| {
        let (a, b, c) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, 1)?, x.narrow(1, 2, 1)?);
        let all = (((&a * &b)? * &c)? * 2.0)?;
        ((&a * &b)? + (&b * &c)? + (a * c)?)? - all
    };
    let map = method.explain(&majority, (&Tensor::ones((1, 30), DType::F64, &Device::Cpu)?, 0))?;
    let residual = map.convergence().completeness.clone().context("no efficiency")?.residual();
    ensure!((residual[0] - 1.0).abs() < EXACT, "{residual:?}");
    Ok(())
}

#[test]
fn superpixels_give_one_value_to_each_segment() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 2)?);
    let segmentation = Segmentation::slic(9);
    let method = Lime::default().features(Features::Superpixels(segmentation)).samples(50);
    let map = method.explain(&*model, &x)?;
    for row in 0..2 {
        let labels = segmentation.of(&x.get(row)?)?.flatten_all()?.to_vec1::<u32>()?;
        let found = values(&map.values().get(row)?)?;
        let mut known = std::collections::HashMap::new();
        for (label, value) in labels.iter().zip(found) {
            ensure!(*known.entry(label).or_insert(value) == value, "segment {label} of row {row}");
        }
    }
    let fit = map.convergence().fit.clone().context("no fit")?;
    ensure!(fit.explained.iter().all(|share| (0.0..=1.0).contains(share)), "{fit:?}");
    Ok(())
}

#[test]
fn first_order_indices_are_no_larger_than_total_ones() -> Result<()> {
    let x = table()?.narrow(0, 0, 1)?;
    let of = |share| SobolIndices::default().share(share).samples(512).explain(&game, (&x, 0));
    let (total, first) = (of(VarianceShare::Total)?, of(VarianceShare::First)?);
    let error = values(
        &(total.standard_error().context("no error")? + first.standard_error().context("no error")?)?,
    )?;
    for ((total, first), error) in values(total.values())?.into_iter().zip(values(first.values())?).zip(error)
    {
        ensure!(first <= total + 4.0 * error, "{first} {total} {error}");
    }
    Ok(())
}

#[test]
fn settings_of_samplers_that_make_no_sense_are_refused() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let line = |x: &Tensor| x.sum_keepdim(1);
    let wide = Tensor::zeros((1, 3000), DType::F64, &Device::Cpu)?;
    let image: [Box<dyn Explain>; 9] = [
        Box::new(Rise::default().cells(0)),
        Box::new(Rise::default().chance(1.0)),
        Box::new(Rise::default().samples(0)),
        Box::new(HsicIndices::default().samples(1)),
        Box::new(Lime::default().proximity(Proximity::Cosine(0.0))),
        Box::new(Lime::default().shrinkage(Shrinkage::Ridge(-1.0))),
        Box::new(ShapleyValues::default().joining(Joining::Exact)),
        Box::new(ShapleyValues::default().joining(Joining::Guided { tolerance: f64::NAN })),
        Box::new(SobolIndices::default().until(f64::NAN)),
    ];
    for method in image {
        let found = method.attribute(&*model, &Query::new(&x));
        ensure!(matches!(found, Err(Error::Setting { .. })), "{}: {found:?}", method.name());
    }
    for method in [Box::new(KernelShap::default()) as Box<dyn Explain>, Box::new(Lime::default())] {
        let found = method.attribute(&line, &Query::new(&wide));
        ensure!(matches!(found, Err(Error::Setting { .. })), "{}: {found:?}", method.name());
    }
    let given = Tensor::ones((4, 7), DType::F64, &Device::Cpu)?;
    for found in [
        Lime::default().given(given.clone()).explain(&game, &table()?),
        Rise::default().given(given.clone()).explain(&*model, &x),
        Rise::default().explain(&line, &wide),
        KernelShap::default().features(Features::Superpixels(Segmentation::default())).explain(&line, &wide),
        KernelShap::default().baseline(Baseline::Tensor(given)).explain(&line, &wide),
    ] {
        ensure!(matches!(found, Err(Error::Shape { .. })), "{found:?}");
    }
    Ok(())
}
