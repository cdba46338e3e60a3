//! What is explained: the top class, classes, contrasts and free scores.

use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{Explain, Method, Query, Saliency, Target, method};
use std::sync::Arc;

use crate::fixtures::{KNOW_NO_CLASS, assert_near, class_methods, images, model_for, settings, vit};

/// The same sums in another order, in double precision.
const ROUNDING: f64 = 1e-9;

fn explain(method: &Method, target: Target) -> Result<Tensor> {
    let x = images(DType::F64)?;
    let query = Query::new(&x).target(target).seed(3);
    let map = method.with(&settings(&x)?)?.attribute(&*model_for(method, DType::F64)?, &query)?;
    Ok(map.values().clone())
}

/// Methods whose map is not linear in the score, and those that choose a unit by it.
const NOT_LINEAR: [&str; 21] = [
    "gradient-attention",
    "gradient-attention-rollout",
    "transformer-relevance",
    "guided-integrated-gradients",
    "idgi",
    "xrai",
    "saliency",
    "guided-backprop",
    "deconvnet",
    "neuron-saliency",
    "neuron-integrated-gradients",
    "neuron-conductance",
    "grad-cam-plus-plus",
    "layer-cam",
    "grad-cam-element-wise",
    "eigen-grad-cam",
    "score-cam",
    "guided-grad-cam",
    "rise",
    "sobol-indices",
    "hsic-indices",
];

/// A method that reads the probability of a class, and a score function as it is.
const OF_PROBABILITIES: &str = "rise";

#[test]
fn a_contrast_is_the_difference_of_two_explanations() -> Result<()> {
    for method in class_methods().filter(|method| !NOT_LINEAR.contains(&method.name)) {
        let contrast = explain(method, Target::Contrast { class: 2, against: 6 })?;
        let difference = (explain(method, Target::Class(2))? - explain(method, Target::Class(6))?)?;
        assert_near(&contrast, &difference, ROUNDING, method.name)?;
    }
    Ok(())
}

#[test]
fn a_score_function_that_picks_a_class_explains_that_class() -> Result<()> {
    let pick = |outputs: &Tensor| outputs.narrow(1, 5, 1)?.squeeze(1);
    let probable = move |outputs: &Tensor| pick(&candle_nn::ops::softmax(outputs, 1)?);
    for method in class_methods() {
        let free = match method.name == OF_PROBABILITIES {
            true => explain(method, Target::Score(Arc::new(probable)))?,
            false => explain(method, Target::Score(Arc::new(pick)))?,
        };
        assert_near(&free, &explain(method, Target::Class(5))?, ROUNDING, method.name)?;
    }
    Ok(())
}

#[test]
fn the_top_class_is_the_class_of_the_largest_logit() -> Result<()> {
    for method in class_methods() {
        let logits = model_for(method, DType::F64)?.forward(&images(DType::F64)?)?;
        let top = logits.argmax(1)?.to_vec1::<u32>()?;
        let classes: Vec<usize> = top.iter().map(|&class| class as usize).collect();
        let named = explain(method, Target::PerRow(classes))?;
        assert_near(&explain(method, Target::Top)?, &named, 0.0, method.name)?;
    }
    Ok(())
}

#[test]
fn attention_without_gradients_is_the_same_for_every_class() -> Result<()> {
    for name in KNOW_NO_CLASS {
        let method = method(name)?;
        assert_near(&explain(method, Target::Class(1))?, &explain(method, Target::Class(2))?, 0.0, name)?;
    }
    Ok(())
}

#[test]
fn a_score_function_has_no_classes_and_its_own_scores() -> Result<()> {
    let margin = |outputs: &Tensor| outputs.max(1)? - outputs.mean(1)?;
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let map = Saliency::default().explain(&*model, Query::new(&x).target(Target::Score(Arc::new(margin))))?;
    let expected = margin(&model.forward(&x)?)?.to_vec1::<f64>()?;
    ensure!(map.classes().is_empty());
    ensure!(map.scores().iter().zip(&expected).all(|(a, b)| (a - b).abs() < ROUNDING));
    Ok(())
}
