//! Class activation maps: how they are tied to each other, to the score, and to the layers that they are made at.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::{self, Activation, Module};
use candlelight_core::{
    AblationCam, Attribution, Augmented, Budget, Cam, EigenCam, EigenGradCam, Error, Explain, GradCam,
    GuidedBackprop, GuidedGradCam, HiResCam, LayerCam, Model, Placement, Query, Saliency, ScoreCam, place,
    tap,
};
use candlelight_tests::compare::values;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::fixtures::{assert_near, golden, noise};

/// Rounding of double precision through a small network.
const EXACT: f64 = 1e-10;
/// The stages of the committed ResNet, from the second to the last with a spatial extent of its own.
const STAGES: [&str; 2] = ["resnet.encoder.stages.1", "resnet.encoder.stages.3"];

fn resnet() -> Result<(Box<dyn Model + Send>, Tensor)> {
    let folder = golden()?;
    Ok((folder.model("hf_resnet_basic", DType::F64)?, folder.sample("hf_resnet_basic", DType::F64)?))
}

/// Maps of 3 channels and 4 x 4 cells with both signs, and a head of 2 classes behind a global pool of them.
fn pooled(x: &Tensor) -> candle_core::Result<Tensor> {
    let weight = Tensor::new(&[[0.5f64, -1.0], [2.0, 1.0], [-0.25, 3.0]], x.device())?;
    (tap("maps", x)?.mean((2, 3))?.matmul(&weight)? + 0.75)?.contiguous()
}

fn maps() -> Result<Tensor> {
    noise(&[2, 3, 4, 4], 5)
}

fn over_largest(map: &Attribution, row: usize, size: (usize, usize)) -> Result<Tensor> {
    let map_of_row = map.values().narrow(0, row, 1)?;
    let largest = values(&map_of_row)?.into_iter().map(f64::abs).fold(0.0, f64::max);
    let placement = map.placement().context("no placement")?;
    Ok((place(&map_of_row, placement, size.0, size.1)? / largest)?)
}

#[test]
fn several_layers_are_the_mean_of_their_maps_on_the_image_each_over_its_largest_value() -> Result<()> {
    let (model, x) = resnet()?;
    let (rows, _, height, width) = x.dims4()?;
    let both = GradCam::at(STAGES[0]).and(STAGES[1]).explain(&*model, &x)?;
    let alone = [GradCam::at(STAGES[0]).explain(&*model, &x)?, GradCam::at(STAGES[1]).explain(&*model, &x)?];
    ensure!(both.values().dims() == [rows, 1, height, width] && both.cost() == alone[0].cost());
    ensure!(both.placement() == Some(Placement::even(height, width)));
    ensure!(both.layer() == Some("resnet.encoder.stages.1, resnet.encoder.stages.3"), "{:?}", both.layer());
    for row in 0..rows {
        let [a, b] = [0, 1].map(|layer| over_largest(&alone[layer], row, (height, width)));
        let mean = ((a? + b?)? / 2.0)?;
        assert_near(&both.values().narrow(0, row, 1)?, &mean, EXACT, "mean")?;
    }
    Ok(())
}

#[test]
fn a_pattern_means_the_layers_that_it_fits_in_the_order_in_which_they_run() -> Result<()> {
    let (model, x) = resnet()?;
    let stages = GradCam::at("resnet.encoder.stages.*").explain(&*model, &x)?;
    let named = (0..4).map(|stage| format!("resnet.encoder.stages.{stage}"));
    let named = named.fold(GradCam::default(), GradCam::and).explain(&*model, &x)?;
    ensure!(stages.layer() == named.layer(), "{:?}", stages.layer());
    assert_near(stages.values(), named.values(), EXACT, "pattern")?;
    let found = GradCam::at("resnet.encoder.stage.*").explain(&*model, &x);
    ensure!(matches!(found, Err(Error::UnknownLayer { .. })), "{found:?}");
    Ok(())
}

#[test]
fn the_mean_of_a_class_activation_map_is_the_score_less_the_bias() -> Result<()> {
    for class in 0..2 {
        let map = Cam::at("maps").explain(&pooled, (&maps()?, class))?;
        for (mean, score) in values(&map.values().mean((1, 2, 3))?)?.iter().zip(map.scores()) {
            ensure!((mean + 0.75 - score).abs() < EXACT, "{mean} {score}");
        }
        let grad_cam = GradCam::at("maps").explain(&pooled, (&maps()?, class))?;
        assert_near(map.values(), &(grad_cam.values() * 16.0)?, EXACT, "Grad-CAM times the cells")?;
    }
    Ok(())
}

#[test]
fn weights_of_the_class_are_refused_where_more_than_a_pool_and_a_layer_follows() -> Result<()> {
    let flat = |x: &Tensor| tap("maps", x)?.flatten_from(1)?.narrow(1, 3, 4)?.contiguous();
    let rectified = |x: &Tensor| Activation::Relu.at("out").forward(&(pooled(x)? - 0.5)?);
    let above_rectifier = |x: &Tensor| pooled(&Activation::Relu.at("act").forward(&tap("below", x)?)?);
    for found in [
        Cam::at("maps").explain(&flat, (&maps()?, 0)),
        Cam::at("maps").explain(&rectified, (&maps()?, 0)),
        Cam::at("below").explain(&above_rectifier, (&maps()?, 0)),
    ] {
        ensure!(matches!(found, Err(Error::NotPooled { .. })), "{found:?}");
    }
    Cam::at("act").explain(&above_rectifier, (&maps()?, 0))?;
    Ok(())
}

#[test]
fn behind_a_pool_and_a_linear_layer_ablation_and_gradients_say_the_same() -> Result<()> {
    let x = maps()?.abs()?;
    let grad_cam = GradCam::at("maps").explain(&pooled, (&x, 1))?;
    let hires = HiResCam::at("maps").explain(&pooled, (&x, 1))?;
    assert_near(hires.values(), grad_cam.values(), EXACT, "HiResCAM")?;
    // What is lost with a channel is its weight times its mean.
    let ablation = AblationCam::at("maps").explain(&pooled, (&x, 1))?;
    let weights = Tensor::new(&[-1.0f64, 1.0, 3.0], &Device::Cpu)?.reshape((1, 3, 1, 1))?;
    let lost = x.mean_keepdim((2, 3))?.broadcast_mul(&weights)?;
    assert_near(ablation.values(), &x.broadcast_mul(&lost)?.sum_keepdim(1)?, EXACT, "Ablation-CAM")
}

#[test]
fn a_channel_is_taken_away_above_the_layer_and_what_lies_below_runs_once_for_a_batch() -> Result<()> {
    let (below, above) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let model = |x: &Tensor| {
        below.fetch_add(x.dim(0)?, Ordering::Relaxed);
        let maps = tap("squares", &x.sqr()?)?;
        above.fetch_add(maps.dim(0)?, Ordering::Relaxed);
        pooled(&maps.tanh()?)
    };
    let x = maps()?.narrow(0, 0, 1)?;
    let query = Query::from((&x, 1)).budget(Budget::Rows(8));
    let map = AblationCam::at("squares").explain(&model, query)?;
    let (below, above) = (below.into_inner(), above.into_inner());
    // The list of layers and the prediction are a row each; so is what lies below the one batch of three channels.
    ensure!((below, above) == (3, 5), "{below} rows below, {above} above");
    ensure!(map.cost().forwards == 4, "{:?}", map.cost());
    Ok(())
}

#[test]
fn a_map_of_a_named_layer_costs_one_pass_of_every_row_in_batches_that_the_budget_allows() -> Result<()> {
    let batches = Mutex::new(Vec::new());
    let model = |x: &Tensor| {
        batches.lock().unwrap_or_else(PoisonError::into_inner).push(x.dim(0)?);
        pooled(x)
    };
    let x = noise(&[12, 3, 4, 4], 5)?;
    let run = |budget| -> Result<Vec<usize>> {
        GradCam::at("maps").explain(&model, Query::from((&x, 1)).budget(budget))?;
        Ok(std::mem::take(&mut *batches.lock().unwrap_or_else(PoisonError::into_inner)))
    };
    // One row shows what it holds: 2 · (2 · 384) bytes of maps and input, and 8 · 384 of copies.
    ensure!(run(Budget::Bytes(4 * 4608))? == [1, 4, 4, 3]);
    ensure!(run(Budget::Bytes(1))? == [1; 12]);
    ensure!(run(Budget::Auto)? == [8, 4]);
    ensure!(run(Budget::Rows(5))? == [5, 5, 2]);
    Ok(())
}

#[test]
fn ablation_is_that_of_the_definition_where_a_residual_goes_around_the_layer() -> Result<()> {
    // The branch times a mask; ones for the model that is explained.
    let masked = |mask: [f64; 3]| {
        move |x: &Tensor| {
            let mask = Tensor::new(&mask, x.device())?.reshape((1, 3, 1, 1))?;
            let branch = tap("branch", &(x * 1.5)?.tanh()?)?.broadcast_mul(&mask)?;
            pooled(&nn::add(x, &branch, "sum")?.sqr()?)
        }
    };
    let (x, model) = (maps()?, masked([1.0; 3]));
    let map = AblationCam::at("branch").explain(&model, (&x, 1))?;
    let branch = (&x * 1.5)?.tanh()?;
    let mut expected = x.zeros_like()?.narrow(1, 0, 1)?;
    for channel in 0..3 {
        let without = masked([0, 1, 2].map(|k| if k == channel { 0.0 } else { 1.0 }));
        let lost = (model(&x)? - without(&x)?)?.narrow(1, 1, 1)?.reshape((2, 1, 1, 1))?;
        expected = (expected + branch.narrow(1, channel, 1)?.broadcast_mul(&lost)?)?;
    }
    assert_near(map.values(), &expected, EXACT, "definition")?;
    ensure!(map.cost().forwards == 2 * 4, "{:?}", map.cost());
    Ok(())
}

#[test]
fn score_cam_weighs_maps_by_what_is_left_of_the_score_under_them() -> Result<()> {
    // Class 1 sees the left half, and the first channel lies there alone.
    let halves = |x: &Tensor| {
        let maps = tap("maps", x)?;
        let sums = |from| maps.narrow(3, from, 2)?.sum((1, 2, 3));
        Tensor::stack(&[sums(2)?, sums(0)?], 1)
    };
    let column = Tensor::new(&[[1.0f64, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]], &Device::Cpu)?;
    let x = column.reshape((1, 2, 1, 4))?.broadcast_as((1, 2, 4, 4))?.contiguous()?;
    for class in 0..2 {
        let map = ScoreCam::at("maps").explain(&halves, (&x, class))?.values().mean((0, 1, 2))?;
        // Eight pixels of the class's own half are left under its own channel, none under the other.
        let own = 1.0 / (1.0 + (-8.0f64).exp());
        let expected = [[1.0 - own, 1.0 - own, own, own], [own, own, 1.0 - own, 1.0 - own]][class];
        for (found, expected) in values(&map)?.iter().zip(expected) {
            ensure!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
    Ok(())
}

#[test]
fn eigen_maps_are_components_of_the_maps_and_of_their_products_with_the_gradient() -> Result<()> {
    let (model, x) = resnet()?;
    let smooth = HiResCam::at(STAGES[0]).eigen_smooth().explain(&*model, (&x, 1))?;
    let eigen_grad = EigenGradCam::at(STAGES[0]).explain(&*model, (&x, 1))?;
    assert_near(smooth.values(), eigen_grad.values(), 0.0, "HiResCAM, smoothed")?;
    let eigen = EigenCam::at(STAGES[0]).explain(&*model, (&x, 1))?;
    ensure!(eigen.cost().backwards == 0 && smooth.cost().backwards == x.dim(0)?);
    for map in [eigen, smooth] {
        let mean = values(&map.values().mean((1, 2, 3))?)?;
        ensure!(mean.iter().all(|mean| mean.abs() < EXACT), "components are centred: {mean:?}");
    }
    Ok(())
}

#[test]
fn guided_grad_cam_is_guided_backpropagation_where_the_map_is_positive() -> Result<()> {
    let (model, x) = resnet()?;
    let (_, _, height, width) = x.dims4()?;
    let cam = GradCam::at(STAGES[0]).explain(&*model, (&x, 1))?;
    let guided = GuidedBackprop.explain(&*model, (&x, 1))?;
    let map = place(&cam.values().relu()?, cam.placement().context("none")?, height, width)?;
    let both = GuidedGradCam::at(STAGES[0]).explain(&*model, (&x, 1))?;
    assert_near(both.values(), &guided.values().broadcast_mul(&map)?, EXACT, "product")?;
    ensure!(both.cost().backwards == 2 * x.dim(0)? && both.layer().is_none());
    Ok(())
}

#[test]
fn an_augmented_map_is_the_mean_of_the_copies_maps_each_turned_back() -> Result<()> {
    let (model, x) = resnet()?;
    let (_, _, height, width) = x.dims4()?;
    let mirrored = x.flip(&[3])?;
    let explain = |method: &dyn Explain, x: &Tensor| -> Result<Tensor> {
        let map = method.attribute(&*model, &(x, 3).into())?;
        match map.placement() {
            Some(_) => Ok(map.plane(height, width)?.unsqueeze(1)?),
            None => Ok(map.values().clone()),
        }
    };
    let mean = |method: &dyn Explain| -> Result<Tensor> {
        let back = |map: Tensor| map.flip(&[3]);
        let one = (explain(method, &x)? + back(explain(method, &mirrored)?)?)?;
        let two = (explain(method, &(&x * 0.5)?)? + back(explain(method, &(&mirrored * 0.5)?)?)?)?;
        Ok(((one + two)? / 4.0)?)
    };
    let augmented = Augmented::over(LayerCam::at(STAGES[0])).factors([1.0, 0.5]).explain(&*model, (&x, 3))?;
    assert_near(augmented.values(), &mean(&LayerCam::at(STAGES[0]))?, EXACT, "of a layer")?;
    ensure!(augmented.values().dims()[1..] == [1, height, width] && augmented.layer() == Some(STAGES[0]));
    let pixels = Augmented::over(Saliency::signed()).factors([1.0, 0.5]).explain(&*model, (&x, 3))?;
    assert_near(pixels.values(), &mean(&Saliency::signed())?, EXACT, "of the input")?;
    let found = Augmented::over(Saliency::default()).factors([]).explain(&*model, &x);
    ensure!(matches!(found, Err(Error::Setting { .. })), "{found:?}");
    Ok(())
}
