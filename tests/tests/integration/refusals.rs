//! Bad questions get an error that names the place, and no panic; for every method.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    AttentionRollout, Baseline, Error, ExpectedGradients, Explain, GradCam, IntegratedGradients, METHODS,
    Method, Model, Noise, Query, References, Saliency, Settings, SmoothGrad, Target, method,
};
use candlelight_models::{Loader, ModelBytes};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fixtures::{NEED_RELUS, STEPS, golden, images, model_for, settings, suits_transformers, vit};

/// The error of a method on this question.
fn error(method: &Method, model: &dyn Model, query: &Query) -> Result<Error> {
    let settings = Settings { steps: Some(STEPS), ..Settings::default() };
    let found = method.with(&settings)?.attribute(model, query);
    found.err().with_context(|| format!("{} answers", method.name))
}

/// The error of every method on this question about the model that suits it.
fn errors(query: &Query) -> Result<Vec<(&'static str, Error)>> {
    let error =
        |method: &'static Method| Ok((method.name, error(method, &*model_for(method, DType::F32)?, query)?));
    METHODS.iter().map(error).collect()
}

fn all_are(query: &Query, right: impl Fn(&Error) -> bool) -> Result<()> {
    for (name, error) in errors(query)? {
        ensure!(right(&error), "{name}: {error:?}");
    }
    Ok(())
}

#[test]
fn a_class_that_the_model_does_not_have_is_refused() -> Result<()> {
    let x = images(DType::F32)?;
    for target in [
        Target::Class(10),
        Target::PerRow(vec![0, 1, 2, 10]),
        Target::Contrast { class: 0, against: 10 },
        Target::Contrast { class: 10, against: 0 },
    ] {
        let out = |error: &Error| matches!(error, Error::TargetOutOfRange { class: 10, classes: 10 });
        all_are(&Query::new(&x).target(target), out)?;
    }
    Ok(())
}

#[test]
fn a_list_of_targets_of_another_length_is_refused() -> Result<()> {
    let query = Query::from((&images(DType::F32)?, vec![1, 2]));
    all_are(&query, |error| matches!(error, Error::Shape { what: "the list of targets", .. }))
}

#[test]
fn a_score_function_of_another_shape_is_refused() -> Result<()> {
    let query = Query::new(&images(DType::F32)?).target(Target::Score(Arc::new(|y: &Tensor| Ok(y.clone()))));
    all_are(&query, |error| matches!(error, Error::Shape { what: "the result of the score function", .. }))
}

#[test]
fn inputs_with_nan_or_infinity_are_refused_and_counted() -> Result<()> {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let x = images(DType::F32)?;
        let speck = Tensor::full(bad as f32, (4, 1, 1, 1), &Device::Cpu)?;
        let x = x.slice_assign(&[0..4, 0..1, 5..6, 7..8], &speck)?;
        let counted = |error: &Error| matches!(error, Error::NonFinite { what: "the input", count: 4, .. });
        all_are(&Query::new(&x), counted)?;
    }
    Ok(())
}

#[test]
fn inputs_of_another_rank_or_dtype_or_without_rows_are_refused() -> Result<()> {
    let shape = |error: &Error| matches!(error, Error::Shape { what: "the input", .. });
    all_are(&Query::new(&Tensor::zeros(7, DType::F32, &Device::Cpu)?), shape)?;
    all_are(&Query::new(&Tensor::zeros((0, 3, 32, 32), DType::F32, &Device::Cpu)?), shape)?;
    let bytes = Tensor::zeros((1, 3, 32, 32), DType::U8, &Device::Cpu)?;
    all_are(&Query::new(&bytes), |error| matches!(error, Error::DType { found: DType::U8, .. }))
}

#[test]
fn images_of_another_size_are_refused_with_both_sizes() -> Result<()> {
    let x = Tensor::zeros((1, 3, 40, 40), DType::F32, &Device::Cpu)?;
    for method in METHODS {
        let message = error(method, &*vit(DType::F32)?, &Query::new(&x))?.to_string();
        ensure!(message.contains("32x32") && message.contains("40x40"), "{}: {message}", method.name);
    }
    Ok(())
}

#[test]
fn outputs_of_another_shape_are_refused() -> Result<()> {
    let flat = |x: &Tensor| x.flatten_all()?.unsqueeze(0);
    let wrong = Saliency::default().explain(&flat, &images(DType::F32)?);
    ensure!(matches!(wrong, Err(Error::Shape { what: "the model's output", .. })), "{wrong:?}");
    Ok(())
}

/// The bytes of the committed transformer, one number in the second block's query weight replaced.
fn damaged(value: f32) -> Result<ModelBytes> {
    let folder = golden()?.model_folder("hf_vit")?;
    let path = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    let name = "vit.encoder.layer.1.attention.attention.query.weight";
    let weight = tensors.get(name).context("no such weight")?;
    let speck = Tensor::full(value, (1, 1), &Device::Cpu)?;
    tensors.insert(name.into(), weight.slice_assign(&[3..4, 4..5], &speck)?);
    let config = std::fs::read_to_string(folder.join("config.json"))?;
    let bytes = safetensors::serialize(&tensors, None)?;
    Ok(ModelBytes { name: "damaged".into(), config, preprocessor: None, weights: vec![bytes] })
}

#[test]
fn a_weight_that_is_nan_is_refused_when_the_model_is_loaded() -> Result<()> {
    let error = Loader::default().load(damaged(f32::NAN)?).err().context("it loads")?;
    ensure!(error.to_string().contains("vit.encoder.layer.1.attention.attention.query.weight"), "{error}");
    Ok(())
}

#[test]
fn a_model_that_gives_nan_is_refused_with_the_first_layer_that_does() -> Result<()> {
    let model = Loader::default().load(damaged(3e38)?)?.model;
    let x = (images(DType::F32)? * 1e3)?;
    let suited = METHODS.iter().filter(|method| suits_transformers(method));
    for method in suited {
        let error = error(method, &model, &Query::new(&x))?;
        ensure!(matches!(error, Error::NonFinite { .. }), "{}: {error:?}", method.name);
        let message = error.to_string();
        ensure!(message.contains("`vit.encoder.layer.1.attention.attention"), "{}: {message}", method.name);
    }
    Ok(())
}

#[test]
fn an_unknown_layer_is_refused_with_the_nearest_names_first() -> Result<()> {
    let at = GradCam::at("vit.encoder.layer.2.layernorm_befor");
    let error = at.explain(&*vit(DType::F32)?, &images(DType::F32)?).err().context("it answers")?;
    let Error::UnknownLayer { seen, .. } = &error else { anyhow::bail!("{error:?}") };
    ensure!(seen[0] == "vit.encoder.layer.2.layernorm_before", "{seen:?}");
    ensure!(error.to_string().contains("vit.encoder.layer.2.layernorm_before"), "{error}");
    Ok(())
}

#[test]
fn a_layer_without_a_spatial_extent_is_refused_for_grad_cam() -> Result<()> {
    let error = GradCam::at("classifier").explain(&*vit(DType::F32)?, &images(DType::F32)?).err();
    let message = error.context("it answers")?.to_string();
    ensure!(message.contains("classifier"), "{message}");
    Ok(())
}

#[test]
fn rollout_without_attention_is_refused() -> Result<()> {
    let folder = golden()?;
    let (model, x) = (folder.model("convnet", DType::F32)?, folder.sample("convnet", DType::F32)?);
    let found = AttentionRollout::default().explain(&*model, &x);
    ensure!(matches!(found, Err(Error::MissingLayer { .. })), "{found:?}");
    Ok(())
}

#[test]
fn methods_of_relus_refuse_models_without_one_and_name_what_was_seen() -> Result<()> {
    let x = images(DType::F32)?;
    let functional = |x: &Tensor| x.relu()?.flatten_from(1)?.narrow(1, 0, 10);
    for name in NEED_RELUS {
        let found = error(method(name)?, &functional, &Query::new(&x))?;
        ensure!(matches!(&found, Error::NoRuleFired { passed_by } if passed_by.is_empty()), "{found:?}");
        let found = error(method(name)?, &*vit(DType::F32)?, &Query::new(&x))?;
        ensure!(matches!(&found, Error::NoRuleFired { passed_by } if passed_by.len() == 3), "{found:?}");
        ensure!(found.to_string().contains("(Gelu)"), "{found}");
    }
    Ok(())
}

#[test]
fn an_unknown_method_is_refused_with_the_nearest_names_first() -> Result<()> {
    let Err(Error::UnknownMethod { nearest, .. }) = method("integrated-gradient") else {
        anyhow::bail!("it is known")
    };
    ensure!(nearest[0] == "integrated-gradients", "{nearest:?}");
    Ok(())
}

#[test]
fn settings_that_make_no_sense_are_refused() -> Result<()> {
    let (model, x) = (vit(DType::F32)?, images(DType::F32)?);
    let methods: [Box<dyn Explain>; 8] = [
        Box::new(IntegratedGradients::default().steps(0)),
        Box::new(IntegratedGradients::default().baseline(Baseline::Constant(f64::NAN))),
        Box::new(IntegratedGradients::default().baseline(Baseline::Tensor(x.narrow(2, 0, 5)?))),
        Box::new(ExpectedGradients::default().samples(0)),
        Box::new(ExpectedGradients::default().references(References::Samples(x.narrow(3, 0, 5)?))),
        Box::new(SmoothGrad::default().noise(Noise::Absolute(-1.0))),
        Box::new(SmoothGrad::default().samples(0)),
        Box::new(AttentionRollout::default().discard(1.5)),
    ];
    for method in methods {
        let found = method.attribute(&*model, &Query::new(&x));
        ensure!(
            matches!(found, Err(Error::Setting { .. } | Error::Shape { .. })),
            "{}: {found:?}",
            method.name()
        );
    }
    Ok(())
}

#[test]
fn a_cancelled_run_says_how_far_it_was() -> Result<()> {
    for method in METHODS {
        let model = model_for(method, DType::F32)?;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let query = Query::new(&images(DType::F32)?).budget(candlelight_core::Budget::Rows(1));
        let query = query.on_progress(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        });
        let found = method.with(&Settings::default())?.attribute(&*model, &query);
        let Err(Error::Cancelled { done, of }) = found else { anyhow::bail!("{}: {found:?}", method.name) };
        ensure!(done == 2 && of >= 4, "{}: {done} of {of}", method.name);
        ensure!(calls.load(Ordering::Relaxed) == 2);
    }
    Ok(())
}

#[test]
fn progress_ends_at_what_was_promised() -> Result<()> {
    let settings = settings(&images(DType::F32)?)?;
    for method in METHODS {
        let last = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let seen = last.clone();
        let query = Query::new(&images(DType::F32)?).on_progress(move |progress| {
            seen.0.store(progress.done, Ordering::Relaxed);
            seen.1.store(progress.of, Ordering::Relaxed);
            ControlFlow::Continue(())
        });
        method.with(&settings)?.attribute(&*model_for(method, DType::F32)?, &query)?;
        let (done, of) = (last.0.load(Ordering::Relaxed), last.1.load(Ordering::Relaxed));
        ensure!(done == of && of > 0, "{}: {done} of {of}", method.name);
    }
    Ok(())
}
