//! Occlusion against its definition, and with reuse against without.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::Module;
use candlelight_core::{Attribution, Baseline, Budget, Explain, Occlusion, Query};
use candlelight_models::ResNetConfig;
use candlelight_models::resnet::Block;
use candlelight_tests::compare::{distance, values};

use crate::fixtures::{assert_near, golden, noise, random_resnet, vit};

/// What reuse may change: rounding in double and in single precision, relative L2.
const DOUBLE: f64 = 1e-10;
const SINGLE: f64 = 1e-4;

fn both(method: Occlusion, model: &dyn candlelight_core::Model, query: &Query) -> Result<[Attribution; 2]> {
    let whole = method.clone().without_reuse().attribute(model, query)?;
    Ok([method.attribute(model, query)?, whole])
}

/// ‖a − b‖ / ‖b‖.
fn relative(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (values(a)?, values(b)?);
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    Ok(norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()))
}

#[test]
fn reuse_changes_nothing_but_the_work() -> Result<()> {
    let config = ResNetConfig::imagenet(Block::Bottleneck, [2, 1, 1, 1], 7);
    for (dtype, tolerance) in [(DType::F64, DOUBLE), (DType::F32, SINGLE)] {
        let model = random_resnet(config.clone(), dtype, 5)?;
        let x = noise(&[2, 3, 96, 80], 3)?.to_dtype(dtype)?;
        for (window, stride) in [([8, 8], [8, 8]), ([5, 17], [5, 9])] {
            let method = Occlusion::default().window(window).stride(stride).baseline(Baseline::Mean);
            let [again, whole] = both(method, &model, &(&x, vec![3, 1]).into())?;
            let off = relative(again.values(), whole.values())?;
            ensure!(off <= tolerance, "{dtype:?}, window {window:?}: off by {off:.1e}");
            let reuse = again.reuse().context("nothing was reused")?;
            ensure!(reuse.reached <= reuse.done && reuse.done < reuse.whole, "{reuse:?}");
            // f(x) is made once more from what is known, to be rounded as the others.
            let rows = x.dim(0)?;
            ensure!(whole.reuse().is_none() && whole.cost().forwards + rows == again.cost().forwards);
        }
    }
    Ok(())
}

#[test]
fn the_budget_and_the_neighbours_change_no_bit_of_a_map_with_reuse() -> Result<()> {
    let model = random_resnet(ResNetConfig::scenes(), DType::F32, 2)?;
    let x = noise(&[2, 3, 64, 64], 8)?.to_dtype(DType::F32)?;
    let query = Query::from((&x, 1));
    let auto = Occlusion::default().attribute(&model, &query)?;
    ensure!(auto.reuse().is_some());
    let alone = Occlusion::default().attribute(&model, &(&x.narrow(0, 1, 1)?, 1).into())?;
    assert_near(alone.values(), &auto.values().narrow(0, 1, 1)?, 0.0, "a row alone")?;
    let few = Occlusion::default().attribute(&model, &query.budget(Budget::Rows(3)))?;
    ensure!(relative(few.values(), auto.values())? <= SINGLE);
    Ok(())
}

#[test]
fn models_that_cannot_reuse_anything_run_whole_and_say_so() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, golden()?.sample("hf_vit", DType::F64)?);
    ensure!(Occlusion::default().attribute(&*model, &(&x, 1).into())?.reuse().is_none(), "a transformer");
    let resnet = random_resnet(ResNetConfig::scenes(), DType::F64, 2)?;
    let x = noise(&[1, 3, 32, 32], 8)?;
    // What goes into the chains is another tensor than what came in.
    let scaled = |x: &Tensor| resnet.forward(&(x * 0.5)?);
    let [again, whole] = both(Occlusion::default(), &scaled, &(&x, 1).into())?;
    ensure!(again.reuse().is_none() && distance(again.values(), whole.values())? <= DOUBLE);
    Ok(())
}

#[test]
fn two_models_that_see_the_same_image_keep_what_they_know_apart() -> Result<()> {
    let models = [
        random_resnet(ResNetConfig::scenes(), DType::F64, 2)?,
        random_resnet(ResNetConfig::scenes(), DType::F64, 3)?,
    ];
    let both_of = |x: &Tensor| models[0].forward(x)? - models[1].forward(x)?;
    let x = noise(&[1, 3, 64, 64], 8)?;
    let [again, whole] = both(Occlusion::default(), &both_of, &(&x, 1).into())?;
    ensure!(again.reuse().is_some() && relative(again.values(), whole.values())? <= DOUBLE);
    Ok(())
}

#[test]
fn a_map_is_the_mean_loss_of_the_windows_that_cover_a_place() -> Result<()> {
    let x = noise(&[1, 2, 5, 7], 4)?;
    let model = |x: &Tensor| x.flatten_from(1)?.sqr()?.tanh()?.sum_keepdim(1)?.exp();
    let score = |x: &Tensor| -> Result<f64> { Ok(values(&model(x)?)?[0]) };
    let (window, stride) = ([2usize, 3], [1usize, 2]);
    let map = Occlusion::default().window(window).stride(stride).explain(&model, (&x, 0))?;
    let (mut sums, mut cover) = (vec![0.0; 35], vec![0.0; 35]);
    for top in 0..4 {
        for left in [0usize, 2, 4] {
            let covered = |place: usize| {
                let (row, column) = (place / 7, place % 7);
                (top..top + 2).contains(&row) && (left..left + 3).contains(&column)
            };
            let kept: Vec<f64> = (0..70).map(|i| f64::from(u8::from(!covered(i % 35)))).collect();
            let kept = Tensor::from_vec(kept, (1, 2, 5, 7), &Device::Cpu)?;
            let loss = score(&x)? - score(&(&x * kept)?)?;
            for place in (0..35).filter(|&place| covered(place)) {
                sums[place] += loss;
                cover[place] += 1.0;
            }
        }
    }
    let means: Vec<f64> = sums.iter().zip(&cover).map(|(sum, cover)| sum / cover).collect();
    assert_near(map.values(), &Tensor::from_vec(means, (1, 1, 5, 7), &Device::Cpu)?, 1e-12, "the mean")
}
