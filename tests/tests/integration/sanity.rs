//! Whether maps depend on what a model has learned
//! ([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292)).

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    AttnLrp, Composite, DeepLift, Explain, GuidedBackprop, Kind, Lrp, Model, Query, Rule, STABILISER,
};
use candlelight_models::scenes::Scene;
use candlelight_models::{ModelBytes, ResNet, ResNetConfig, ViT, ViTConfig, bundled};
use candlelight_tests::compare::values;

use crate::fixtures::{Weights, builder, noise};

/// How much of a map may be left, as a correlation of magnitudes, when layers with weights are random.
const FORGOTTEN: f64 = 0.5;
/// What Guided Backpropagation keeps at least of its map when the upper half of them is.
const KEPT: f64 = 0.7;

/// `weights` with those of `layers` drawn anew, as spread out as they were.
fn redrawn(weights: &Weights, layers: &[String]) -> Result<Weights> {
    let mut weights = weights.clone();
    for (seed, layer) in layers.iter().enumerate() {
        let name = format!("{layer}.weight");
        let weight = weights.get(&name).with_context(|| format!("no weight `{name}`"))?;
        let spread = values(&weight.sqr()?.mean_all()?)?[0].sqrt();
        let drawn = (noise(weight.dims(), 900 + seed as u64)? * (3.0f64.sqrt() * spread))?;
        weights.insert(name, drawn.to_dtype(weight.dtype())?);
    }
    Ok(weights)
}

/// The correlation of the magnitudes of two maps, channels added up.
fn correlation(a: &Tensor, b: &Tensor) -> Result<f64> {
    let magnitudes = |map: &Tensor| -> Result<Vec<f64>> {
        let values = values(&map.abs()?.sum(1)?)?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Ok(values.into_iter().map(|value| value - mean).collect())
    };
    let (a, b) = (magnitudes(a)?, magnitudes(b)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok(dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt())
}

/// What is left of the map of each method when layers are drawn anew one after the other, from the last to the first.
fn left_over(
    model: ModelBytes,
    build: fn(&Weights) -> Result<Box<dyn Model>>,
    methods: &[Box<dyn Explain>],
) -> Result<Vec<Vec<f64>>> {
    let weights: Weights = candle_core::safetensors::load_buffer(&model.weights[0], &Device::Cpu)?;
    let scenes = [3, 4, 5].map(|seed| Scene::single(seed).tensor(&Device::Cpu));
    let x =
        Tensor::cat(&scenes.into_iter().collect::<candle_core::Result<Vec<_>>>()?, 0)?.affine(2.0, -1.0)?;
    let trained = build(&weights)?;
    let classes = trained.forward(&x)?.argmax(1)?.to_vec1::<u32>()?;
    let query = Query::from((&x, classes.into_iter().map(|class| class as usize).collect::<Vec<_>>()));
    let order = candlelight_core::layers(&*trained, &x)?.into_iter().rev();
    let order: Vec<String> =
        order.filter(|l| matches!(l.kind, Kind::Conv | Kind::Linear)).map(|layer| layer.name).collect();
    let before = methods.iter().map(|method| method.attribute(&*trained, &query));
    let before = before.collect::<Result<Vec<_>, _>>()?;
    let mut left = vec![Vec::new(); methods.len()];
    for count in 1..=order.len() {
        let random = build(&redrawn(&weights, &order[..count])?)?;
        for ((method, before), left) in methods.iter().zip(&before).zip(&mut left) {
            left.push(correlation(method.attribute(&*random, &query)?.values(), before.values())?);
        }
    }
    Ok(left)
}

#[test]
fn maps_of_rules_forget_what_weights_are_drawn_anew_and_guided_backpropagation_does_not() -> Result<()> {
    let resnet = |weights: &Weights| -> Result<Box<dyn Model>> {
        Ok(Box::new(ResNet::new(ResNetConfig::scenes(), builder(weights, DType::F32))?))
    };
    let epsilon = Rule::epsilon(STABILISER);
    let methods: [Box<dyn Explain>; 3] = [
        Box::new(Lrp::new(Composite::by_kind(epsilon.clone(), epsilon))),
        Box::new(GuidedBackprop),
        Box::new(DeepLift::default()),
    ];
    let left = left_over(bundled::resnet_bytes(), resnet, &methods)?;
    let vit = |weights: &Weights| -> Result<Box<dyn Model>> {
        Ok(Box::new(ViT::new(ViTConfig::scenes(), builder(weights, DType::F32))?))
    };
    let attention = left_over(bundled::vit_bytes(), vit, &[Box::new(AttnLrp::default())])?;
    let [rules, guided, differences, attention] = [&left[0], &left[1], &left[2], &attention[0]];
    let (half, all) = (rules.len() / 2, rules.len() - 1);
    ensure!(rules[half] < FORGOTTEN && rules[all] < FORGOTTEN, "LRP: {rules:.2?}");
    ensure!(differences[half] < FORGOTTEN && differences[all] < FORGOTTEN, "DeepLIFT: {differences:.2?}");
    ensure!(attention[attention.len() - 1] < FORGOTTEN, "AttnLRP: {attention:.2?}");
    ensure!(guided[half] > KEPT, "guided backpropagation is sane: {guided:.2?}");
    Ok(())
}
