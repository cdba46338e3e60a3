//! A model that remembers, beside the same model without memory.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candlelight_core::nn::Module;
use candlelight_core::{
    Baseline, Budget, Error, Explain, Family, FeatureAblation, FeaturePermutation, Features, KernelShap,
    Lime, METHODS, Occlusion, Query, Remembered, Saliency, ShapleyValues,
};
use candlelight_models::ResNetConfig;

use crate::fixtures::{assert_near, images, model_for, noise, random_resnet, settings, vit};

/// What rows that go through in other company may change: rounding in double and in single precision.
const DOUBLE: f64 = 1e-10;
const SINGLE: f64 = 1e-4;
/// Methods over nine features, of which samplers ask all coalitions.
const FEATURES: Features = Features::Grid { rows: 3, columns: 3 };

fn scenes(dtype: DType) -> Result<(impl Module + Sync, Tensor)> {
    let resnet = random_resnet(ResNetConfig::scenes(), dtype, 2)?;
    Ok((resnet, noise(&[1, 3, 32, 32], 8)?.to_dtype(dtype)?))
}

/// One query whose budget needs no row weighed.
fn about(x: &Tensor, class: usize) -> Query {
    Query::from((x, class)).budget(Budget::Rows(16))
}

#[test]
fn every_method_has_the_map_that_it_has_without_memory() -> Result<()> {
    let x = images(DType::F64)?;
    for method in METHODS {
        let (model, explainer) = (model_for(method, DType::F64)?, method.with(&settings(&x)?)?);
        let remembered = Remembered::new(&*model);
        for class in [3, 1] {
            let alone = explainer.attribute(&*model, &(&x, class).into())?;
            let shared = explainer.attribute(&remembered, &(&x, class).into())?;
            assert_near(shared.values(), alone.values(), DOUBLE, method.name)?;
            ensure!(shared.cost() == alone.cost(), "{}: {:?}", method.name, shared.cost());
        }
    }
    Ok(())
}

#[test]
fn a_second_target_of_a_method_of_perturbation_costs_no_pass() -> Result<()> {
    let x = images(DType::F64)?;
    for method in METHODS.iter().filter(|method| method.family == Family::Perturbation) {
        let (model, explainer) = (model_for(method, DType::F64)?, method.with(&settings(&x)?)?);
        let model = Remembered::new(&*model);
        explainer.attribute(&model, &about(&x, 3))?;
        let (asked, computed) = (model.asked(), model.computed());
        explainer.attribute(&model, &about(&x, 1))?;
        ensure!(model.asked() > asked, "{}", method.name);
        // Whether the transformer can compute a part alone is tried for each of the four rows: it cannot.
        let tried = if ["occlusion", "feature-ablation"].contains(&method.name) { 4 } else { 0 };
        ensure!(model.computed() == computed + tried, "{}: {}", method.name, model.computed() - computed);
    }
    Ok(())
}

#[test]
fn methods_over_the_same_features_share_coalitions() -> Result<()> {
    let (model, x) = scenes(DType::F64)?;
    // What goes into the chains is another tensor than what came in: every evaluation is a whole one.
    let model = |x: &Tensor| model.forward(&(x * 0.5)?);
    let remembered = Remembered::new(&model);
    let methods: [Box<dyn Explain>; 4] = [
        Box::new(KernelShap::default().features(FEATURES)),
        Box::new(Lime::default().features(FEATURES)),
        Box::new(ShapleyValues::default().features(FEATURES).samples(100)),
        Box::new(FeatureAblation::of(FEATURES)),
    ];
    for (index, method) in methods.iter().enumerate() {
        let map = method.attribute(&remembered, &about(&x, 2))?;
        assert_near(map.values(), method.attribute(&model, &about(&x, 2))?.values(), DOUBLE, &method.name())?;
        // All coalitions of nine features; one tells Feature Ablation that nothing can be reused.
        let most = if index == 3 { 513 } else { 512 };
        ensure!(remembered.computed() == most, "{}: {}", method.name(), remembered.computed());
    }
    Ok(())
}

#[test]
fn evaluations_that_compute_a_part_alone_are_remembered_to_the_last_bit() -> Result<()> {
    let (model, x) = scenes(DType::F32)?;
    let methods: [Box<dyn Explain>; 2] =
        [Box::new(Occlusion::default().baseline(Baseline::Mean)), Box::new(FeatureAblation::default())];
    for method in methods {
        let remembered = Remembered::new(&model);
        let first = method.attribute(&remembered, &about(&x, 3))?;
        let alone = method.attribute(&model, &about(&x, 3))?;
        ensure!(first.reuse().is_some() && first.reuse() == alone.reuse(), "{:?}", first.reuse());
        assert_near(first.values(), alone.values(), 0.0, "the first target")?;
        let computed = remembered.computed();
        let second = method.attribute(&remembered, &about(&x, 1))?;
        assert_near(second.values(), method.attribute(&model, &about(&x, 1))?.values(), 0.0, "the second")?;
        ensure!(remembered.computed() == computed, "{}: computed again", method.name());
    }
    Ok(())
}

#[test]
fn windows_that_are_partly_known_are_computed_in_part() -> Result<()> {
    let (model, x) = scenes(DType::F64)?;
    let remembered = Remembered::new(&model);
    let wide = Occlusion::default().window([8, 8]).stride([8, 8]);
    wide.attribute(&remembered, &about(&x, 3))?;
    let computed = remembered.computed();
    let close = Occlusion::default().window([8, 8]).stride([4, 4]);
    let shared = close.attribute(&remembered, &about(&x, 3))?;
    let alone = close.attribute(&model, &about(&x, 3))?;
    assert_near(shared.values(), alone.values(), DOUBLE, "every second window known")?;
    // 49 windows, of which 16 are known; f(x) is known in both ways.
    ensure!(remembered.computed() == computed + 49 - 16, "{} computed", remembered.computed() - computed);
    ensure!(shared.reuse().is_some_and(|reuse| reuse.done < reuse.whole), "{:?}", shared.reuse());
    Ok(())
}

#[test]
fn removed_tokens_and_shuffled_features_pass() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let remembered = Remembered::new(&*model);
    let methods: [Box<dyn Explain>; 2] =
        [Box::new(FeatureAblation::of(Features::Tokens)), Box::new(FeaturePermutation::default())];
    for method in methods {
        for class in [1, 2] {
            let alone = method.attribute(&*model, &(&x, class).into())?;
            let shared = method.attribute(&remembered, &(&x, class).into())?;
            assert_near(shared.values(), alone.values(), DOUBLE, &method.name())?;
        }
    }
    Ok(())
}

#[test]
fn a_small_memory_forgets_and_stays_right() -> Result<()> {
    let (model, x) = scenes(DType::F64)?;
    let method = KernelShap::default().features(FEATURES);
    let alone = method.explain(&model, about(&x, 2))?;
    // Room for no row, for some, and for all of 512 with ten outputs.
    for (bytes, computed) in [(100, 1024), (100_000, 1024), (1_000_000, 512)] {
        let remembered = Remembered::new(&model).within(bytes);
        method.explain(&remembered, about(&x, 3))?;
        let map = method.explain(&remembered, about(&x, 2))?;
        assert_near(map.values(), alone.values(), DOUBLE, "forgotten")?;
        ensure!(remembered.computed() == computed, "{bytes} bytes: {}", remembered.computed());
    }
    Ok(())
}

#[test]
fn what_has_no_more_room_is_forgotten_with_all_before_it() -> Result<()> {
    let model = |x: &Tensor| x.sum_keepdim(1);
    // Ten rows take about five kilobytes.
    let remembered = Remembered::new(&model).within(12_000);
    let batch = |seed| noise(&[10, 3], seed);
    for (seed, computed) in [(1, 10), (2, 20), (1, 20), (2, 20), (3, 30), (3, 30), (1, 40), (3, 40), (2, 50)]
    {
        let x = batch(seed)?;
        assert_near(&remembered.forward(&x)?, &model(&x)?, 0.0, "from memory")?;
        ensure!(remembered.computed() == computed, "{} for {computed}", remembered.computed());
    }
    Ok(())
}

#[test]
fn threads_share_a_memory() -> Result<()> {
    let (model, x) = scenes(DType::F32)?;
    let (remembered, method) = (Remembered::new(&model), KernelShap::default().features(FEATURES));
    let explain = |class: usize| -> Result<()> {
        let shared = method.explain(&remembered, about(&x, class))?;
        assert_near(shared.values(), method.explain(&model, about(&x, class))?.values(), SINGLE, "a thread")
    };
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..4).map(|class| threads.spawn(move || explain(class))).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => anyhow::bail!("a thread panicked"),
        })
    })?;
    ensure!(remembered.asked() == 4 * 512 && remembered.computed() >= 512);
    let before = remembered.computed();
    explain(5)?;
    ensure!(remembered.computed() == before);
    Ok(())
}

#[test]
fn rows_are_known_by_type_shape_and_every_bit() -> Result<()> {
    let model = |x: &Tensor| x.flatten_from(1)?.sum(1);
    let remembered = Remembered::new(&model);
    let x = Tensor::new(&[[1.0f32, 0.0], [1.0, 0.0], [2.0, 0.0]], &Device::Cpu)?;
    ensure!(remembered.forward(&x)?.to_vec1::<f32>()? == [1.0, 1.0, 2.0] && remembered.computed() == 2);
    for other in [x.to_dtype(DType::F64)?, x.to_dtype(DType::BF16)?, x.unsqueeze(1)?, x.neg()?.neg()?.neg()?]
    {
        let before = remembered.computed();
        let sums = remembered.forward(&other)?;
        ensure!(sums.dtype() == other.dtype() && remembered.computed() == before + 2, "{other}");
    }
    // A view whose rows lie apart.
    let turned = x.t()?.contiguous()?.t()?;
    let before = remembered.computed();
    ensure!(remembered.forward(&turned)?.to_vec1::<f32>()? == [1.0, 1.0, 2.0]);
    ensure!(remembered.computed() == before);
    Ok(())
}

#[test]
fn gradients_of_inputs_and_of_trained_weights_are_the_model_s() -> Result<()> {
    let weight = Var::new(&[[2.0f64], [3.0]], &Device::Cpu)?;
    let model = |x: &Tensor| x.sqr()?.matmul(&weight);
    let remembered = Remembered::new(&model);
    let x = Tensor::new(&[[1.0f64, 2.0], [1.0, 2.0]], &Device::Cpu)?;
    for _ in 0..2 {
        let map = Saliency::signed().explain(&remembered, (&x, 0))?;
        ensure!(map.values().to_vec2::<f64>()? == [[4.0, 12.0], [4.0, 12.0]]);
        let gradients = remembered.forward(&x)?.sum_all()?.backward()?;
        let of_weight = gradients.get(&weight).map(Tensor::to_vec2::<f64>).transpose()?;
        ensure!(of_weight == Some(vec![vec![2.0], vec![8.0]]), "{of_weight:?}");
    }
    weight.set(&Tensor::new(&[[1.0f64], [0.0]], &Device::Cpu)?)?;
    ensure!(
        remembered.forward(&x)?.to_vec2::<f64>()? == [[1.0], [1.0]],
        "an output before the step of training"
    );
    Ok(())
}

#[test]
fn what_is_wrong_with_a_model_comes_through() -> Result<()> {
    let x = Tensor::ones((3, 2), DType::F64, &Device::Cpu)?;
    let one = |x: &Tensor| x.narrow(0, 0, 1)?.sum_keepdim(1);
    let refused = FeatureAblation::default().explain(&Remembered::new(&one), &x);
    ensure!(matches!(&refused, Err(Error::Shape { found, .. }) if *found == [1, 1]), "{refused:?}");
    let nan = |x: &Tensor| (x.sum_keepdim(1)? - 2.0)?.log();
    let (remembered, query) = (Remembered::new(&nan), Query::from((&x, 0)));
    for _ in 0..2 {
        let refused = FeatureAblation::default().attribute(&remembered, &query);
        ensure!(matches!(refused, Err(Error::NonFinite { count: 3, .. })), "{refused:?}");
    }
    Ok(())
}
