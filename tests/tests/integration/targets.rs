//! What is explained: the top class, classes, contrasts and free scores.

use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{Explain, Query, Saliency, Target};
use std::sync::Arc;

use crate::fixtures::{assert_near, class_methods, images, settings, vit};

/// The same sums in another order, in double precision.
const ROUNDING: f64 = 1e-9;

fn explain(method: &dyn Explain, target: Target) -> Result<Tensor> {
    let query = Query::new(&images(DType::F64)?).target(target).seed(3);
    Ok(method.attribute(&*vit(DType::F64)?, &query)?.values().clone())
}

/// Every method whose map is linear in the score: all that the class moves, the absolute gradient made signed.
fn linear_methods() -> Result<Vec<Box<dyn Explain>>> {
    let settings = settings(&images(DType::F64)?)?;
    let methods = class_methods().filter(|method| method.name != "saliency");
    let mut methods = methods.map(|method| method.with(&settings)).collect::<Result<Vec<_>, _>>()?;
    methods.push(Box::new(Saliency::signed()));
    Ok(methods)
}

#[test]
fn a_contrast_is_the_difference_of_two_explanations() -> Result<()> {
    for method in linear_methods()? {
        let contrast = explain(&*method, Target::Contrast { class: 2, against: 6 })?;
        let difference = (explain(&*method, Target::Class(2))? - explain(&*method, Target::Class(6))?)?;
        assert_near(&contrast, &difference, ROUNDING, &method.name())?;
    }
    Ok(())
}

#[test]
fn a_score_function_that_picks_a_class_explains_that_class() -> Result<()> {
    let pick = |outputs: &Tensor| outputs.narrow(1, 5, 1)?.squeeze(1);
    for method in linear_methods()? {
        let free = explain(&*method, Target::Score(Arc::new(pick)))?;
        assert_near(&free, &explain(&*method, Target::Class(5))?, ROUNDING, &method.name())?;
    }
    Ok(())
}

#[test]
fn the_top_class_is_the_class_of_the_largest_logit() -> Result<()> {
    let logits = vit(DType::F64)?.forward(&images(DType::F64)?)?;
    let top = logits.argmax(1)?.to_vec1::<u32>()?;
    let classes: Vec<usize> = top.iter().map(|&class| class as usize).collect();
    for method in linear_methods()? {
        let named = explain(&*method, Target::PerRow(classes.clone()))?;
        assert_near(&explain(&*method, Target::Top)?, &named, 0.0, &method.name())?;
    }
    Ok(())
}

#[test]
fn attention_rollout_is_the_same_for_every_class() -> Result<()> {
    let method = candlelight_core::AttentionRollout::default();
    assert_near(&explain(&method, Target::Class(1))?, &explain(&method, Target::Class(2))?, 0.0, "rollout")
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
