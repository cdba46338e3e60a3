//! Methods that take parts of the input away.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{
    Attribution, Baseline, Coverage, FeatureAblation, Features, Joining, KernelShap, Lime, Occlusion,
    Proximity, Rise, ShapleyValues, Shrinkage,
};

use crate::methods::{Outputs, Setup, one};

pub fn feature_ablation(setup: &Setup) -> Result<Outputs> {
    let mask = setup.inputs.get(setup.case.text("feature_mask")?, DType::I64)?;
    let method = FeatureAblation::of(Features::Mask(mask)).baseline(baseline(setup)?);
    everywhere(setup, &setup.explain(&method)?)
}

pub fn occlusion(setup: &Setup) -> Result<Outputs> {
    let method = Occlusion::default().window(sizes(setup, "window")?).stride(sizes(setup, "stride")?);
    everywhere(setup, &setup.explain(&method.baseline(baseline(setup)?))?)
}

/// One size for every axis of a row.
fn sizes(setup: &Setup, name: &str) -> Result<Vec<usize>> {
    let sizes = setup.case.params[name].as_array().with_context(|| format!("no list `{name}`"))?;
    let size = |size: &serde_json::Value| size.as_u64().map(|size| size as usize);
    sizes.iter().map(size).collect::<Option<_>>().with_context(|| format!("`{name}` has no sizes"))
}

/// The peer's map has the input's shape: what our map says of all channels together, it says of each.
fn everywhere(setup: &Setup, map: &Attribution) -> Result<Outputs> {
    let map: Tensor = map.values().broadcast_as(setup.x.shape())?.contiguous()?;
    Ok(one("attribution", map))
}

/// A number, or the name of a tensor.
fn baseline(setup: &Setup) -> Result<Baseline> {
    match setup.case.params["baseline"].as_f64() {
        Some(value) => Ok(Baseline::Constant(value)),
        None => Ok(Baseline::Tensor(setup.input(setup.case.text("baseline")?)?)),
    }
}

/// The peer copies the value of a group to each of its elements, as we do.
pub fn shapley(setup: &Setup) -> Result<Outputs> {
    let method = ShapleyValues::default().features(features(setup)?).joining(Joining::Exact);
    everywhere(setup, &setup.explain(&method.baseline(baseline(setup)?))?)
}

pub fn shapley_and_kernel(setup: &Setup) -> Result<Outputs> {
    let (features, baseline) = (features(setup)?, baseline(setup)?);
    let exact = ShapleyValues::default().features(features.clone()).joining(Joining::Exact);
    let kernel = KernelShap::default().features(features).baseline(baseline.clone()).samples(254);
    let kernel = setup.explain(&kernel)?;
    ensure!(kernel.convergence().sampling.is_none(), "254 coalitions of 8 features are not all");
    let exact = of_groups(setup, &setup.explain(&exact.baseline(baseline))?)?;
    let all = |index: usize| (0..8).map(|group| (index >> group & 1) as f64).collect::<Vec<_>>();
    let all: Vec<f64> = (0..256).flat_map(all).collect();
    Ok(vec![
        ("shapley".into(), exact),
        ("kernel_shap".into(), of_groups(setup, &kernel)?),
        ("values".into(), scores_of(setup, &Tensor::from_vec(all, (256, 8), setup.x.device())?)?),
    ])
}

pub fn lime(setup: &Setup) -> Result<Outputs> {
    let (samples, alpha) = (setup.input(setup.case.text("masks")?)?, setup.case.number("alpha")?);
    let method = Lime::default()
        .features(features(setup)?)
        .baseline(baseline(setup)?)
        .given(samples.clone())
        .proximity(Proximity::Absent(0.35))
        .shrinkage(Shrinkage::Ridge(alpha));
    let map = setup.explain(&method)?;
    let fit = map.convergence().fit.clone().context("no fit")?;
    Ok(vec![
        ("coef".into(), of_groups(setup, &map)?),
        ("intercept".into(), Tensor::new(fit.intercept, setup.x.device())?),
        ("values".into(), scores_of(setup, &samples)?),
    ])
}

pub fn rise(setup: &Setup) -> Result<Outputs> {
    let masks = setup.input(setup.case.text("masks")?)?;
    let method = Rise::default().given(masks).chance(setup.case.number("p")?);
    let map = |coverage| Ok(setup.explain(&method.clone().coverage(coverage))?.values().squeeze(1)?);
    let expected: Result<Tensor> = map(Coverage::Expected);
    Ok(vec![("saliency".into(), expected?), ("saliency_coverage".into(), map(Coverage::Sampled)?)])
}

fn labels(setup: &Setup) -> Result<Tensor> {
    setup.inputs.get(setup.case.text("feature_mask")?, DType::I64)
}

fn features(setup: &Setup) -> Result<Features> {
    Ok(Features::Mask(labels(setup)?))
}

/// What the map says of each group, `[N, groups]`.
fn of_groups(setup: &Setup, map: &Attribution) -> Result<Tensor> {
    let labels = labels(setup)?.flatten_all()?.to_vec1::<i64>()?;
    let groups = labels.iter().max().context("no labels")? + 1;
    let first = |group| labels.iter().position(|label| *label == group).context("a group is missing");
    let places: Vec<u32> = (0..groups).map(|g| Ok(first(g)? as u32)).collect::<Result<_>>()?;
    Ok(map.values().flatten_from(1)?.index_select(&Tensor::new(places, setup.x.device())?, 1)?)
}

/// The target logit of every row with the groups present that `present`, `[samples, groups]`, says: `[N, samples]`.
fn scores_of(setup: &Setup, present: &Tensor) -> Result<Tensor> {
    let labels = labels(setup)?;
    let shape = [&[present.dim(0)?], &labels.dims()[1..]].concat();
    let index = labels.flatten_all()?;
    let masks = present.to_dtype(setup.dtype)?.index_select(&index, 1)?.reshape(shape)?;
    let b = setup.input(setup.case.text("baseline")?)?;
    let row = |(row, class): (usize, u32)| -> Result<Tensor> {
        let points = (setup.x.narrow(0, row, 1)? - &b)?.broadcast_mul(&masks)?.broadcast_add(&b)?;
        Ok(setup.model.forward(&points)?.narrow(1, class as usize, 1)?.squeeze(1)?)
    };
    let rows = setup.classes().into_iter().enumerate().map(row).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&rows, 0)?)
}
