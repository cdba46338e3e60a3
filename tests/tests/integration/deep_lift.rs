//! DeepLIFT: complete on every model, and what its rules promise beside that.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::{self, Activation, Module};
use candlelight_core::{
    Attribution, Baseline, DeepLift, DeepLiftShap, Error, Explain, Model, References, Saliency,
};
use candlelight_models::bundled;
use candlelight_tests::Folder;
use candlelight_tests::compare::values;
use candlelight_tests::folders::{Place, places};

use crate::fixtures::{assert_near, noise};

/// What may be missing of f(x) − f(x′), as a share of it, in double precision: rounding of some dozen layers, on
/// differences that may be a hundredth of the scores.
const COMPLETE: f64 = 1e-9;
/// Rounding of double precision.
const EXACT: f64 = 1e-12;

/// Every way to run it.
fn methods(reference: &Tensor) -> [(&'static str, Box<dyn Explain>); 4] {
    let other = Baseline::Tensor(reference.clone());
    [
        ("from zero", Box::new(DeepLift::default())),
        ("from a reference", Box::new(DeepLift::default().baseline(other.clone()))),
        ("by RevealCancel", Box::new(DeepLift::default().baseline(other).reveal_cancel())),
        (
            "over references",
            Box::new(DeepLiftShap::default().references(References::Samples(reference.clone()))),
        ),
    ]
}

/// Fails unless every way is complete on this model.
fn assert_complete(what: &str, model: &dyn Model, x: &Tensor) -> Result<()> {
    let reference = (noise(x.dims(), 5)? * 0.7)?.narrow(0, 0, 1)?;
    let classes = Vec::from_iter(0..x.dims()[0]);
    for (how, method) in methods(&reference) {
        let map = method.explain(model, (x, classes.clone())).with_context(|| format!("{what} {how}"))?;
        let missing = missing(&map)?;
        ensure!(missing < COMPLETE, "{what} {how}: {missing:.1e} of the difference is missing");
        ensure!(values(map.values())?.iter().any(|value| *value != 0.0), "{what} {how}: nothing");
    }
    Ok(())
}

/// The largest share of a difference that its row misses.
fn missing(map: &Attribution) -> Result<f64> {
    let completeness = map.convergence().completeness.as_ref().context("no completeness")?;
    Ok(completeness.relative().into_iter().fold(0.0, f64::max))
}

#[test]
fn it_is_complete_on_every_model_of_the_reference_data() -> Result<()> {
    for place in places() {
        let Place::Found(root) = place else { continue };
        let folder = Folder::open(&root)?;
        for id in folder.models() {
            let x = folder.sample(id, DType::F64)?;
            assert_complete(id, &*folder.model(id, DType::F64)?, &x.narrow(0, 0, x.dim(0)?.min(2))?)?;
        }
    }
    Ok(())
}

#[test]
fn it_is_complete_on_the_bundled_models() -> Result<()> {
    for name in bundled::NAMES {
        let model = bundled::by_name(name, DType::F64, &Device::Cpu).context("bundled")??.model;
        assert_complete(name, &model, &noise(&[2, 3, 64, 64], 9)?)?;
    }
    Ok(())
}

/// Weights of a linear layer.
fn linear(inputs: usize, outputs: usize, seed: u64) -> Result<nn::Linear> {
    Ok(nn::Linear::new(noise(&[outputs, inputs], seed)?, Some((noise(&[outputs], seed + 1)? * 0.3)?)))
}

/// Weights of a 3x3 convolution.
fn conv(inputs: usize, outputs: usize, seed: u64) -> Result<nn::Conv2d> {
    let config = nn::Conv2dConfig { padding: 1, ..Default::default() };
    let weight = (noise(&[outputs, inputs, 3, 3], seed)? * 0.5)?;
    Ok(nn::Conv2d::new(weight, Some((noise(&[outputs], seed + 1)? * 0.3)?), config))
}

#[test]
fn it_is_complete_where_one_relu_runs_again_and_again_as_a_layer_or_a_function() -> Result<()> {
    let (a, b, c) = (linear(6, 8, 1)?, linear(8, 8, 3)?, linear(8, 4, 5)?);
    let relu = Activation::Relu.at("relu");
    let reused = |x: &Tensor| c.forward(&relu.forward(&b.forward(&relu.forward(&a.forward(x)?)?)?)?);
    let functional = |x: &Tensor| c.forward(&nn::relu(&b.forward(&nn::relu(&a.forward(x)?)?)?)?);
    let residual = |x: &Tensor| {
        let hidden = nn::relu(&a.forward(x)?)?;
        c.forward(&nn::relu(&nn::add(&hidden, &nn::relu(&b.forward(&hidden)?)?, "add")?)?)
    };
    let x = noise(&[3, 6], 7)?;
    let models: [(&str, &dyn Model); 3] =
        [("a reused ReLU", &reused), ("a functional ReLU", &functional), ("a residual add", &residual)];
    models.into_iter().try_for_each(|(what, model)| assert_complete(what, model, &x))
}

#[test]
fn it_is_complete_behind_pools_of_every_kind_next_to_a_relu() -> Result<()> {
    let (a, b) = (conv(2, 4, 1)?, linear(4, 3, 3)?);
    let pools: [(&str, Box<dyn Model>); 4] = [
        ("a max pool", Box::new(nn::MaxPool2d::new(2, 2, 0))),
        ("an overlapping max pool", Box::new(nn::MaxPool2d::new(3, 2, 1))),
        ("an adaptive max pool", Box::new(nn::AdaptiveMaxPool2d::new(3, 2))),
        ("an average pool", Box::new(nn::AvgPool2d::new(3, 2, 1))),
    ];
    for (what, pool) in &pools {
        let model = |x: &Tensor| {
            let pooled = pool.forward(&nn::relu(&a.forward(x)?)?).map_err(candle_core::Error::wrap)?;
            b.forward(&nn::GlobalAvgPool::default().forward(&pooled)?)
        };
        assert_complete(what, &model, &noise(&[3, 2, 8, 8], 5)?)?;
    }
    Ok(())
}

/// A layer as a function.
type Step<'a> = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Sync + 'a;

#[test]
fn it_is_complete_through_every_activation_norm_softmax_and_attention() -> Result<()> {
    let (a, b) = (linear(6, 8, 1)?, linear(8, 4, 3)?);
    let prelu = nn::PReLU::new((noise(&[8], 5)? * 0.2)?, false);
    let norm = nn::LayerNorm::new((noise(&[8], 6)? + 1.5)?, noise(&[8], 7)?, 1e-5);
    let rms = nn::RmsNorm::new((noise(&[8], 8)? + 1.5)?, 1e-5);
    let group = nn::GroupNorm::new((noise(&[8], 8)? + 1.5)?, noise(&[8], 9)?, 8, 2, 1e-5)?;
    let attention = |x: &Tensor| {
        let heads = x.reshape((x.dim(0)?, 2, 2, 2))?;
        nn::attention(&heads, &(&heads * 1.3)?, &(&heads - 0.2)?, 0.7, "attention")?.flatten_from(1)
    };
    let gate = |x: &Tensor| Tensor::cat(&[x, x], 1).and_then(|x| Activation::Swiglu.forward(&x));
    let layers: [(&str, Box<Step>); 7] = [
        ("PReLU", Box::new(|x: &Tensor| prelu.forward(x))),
        ("a layer norm", Box::new(|x: &Tensor| norm.forward(x))),
        ("an RMS norm", Box::new(|x: &Tensor| rms.forward(x))),
        ("a group norm", Box::new(|x: &Tensor| group.forward(&x.unsqueeze(2)?)?.squeeze(2))),
        ("a softmax", Box::new(|x: &Tensor| nn::softmax(x, 1))),
        ("attention", Box::new(attention)),
        ("a gate", Box::new(gate)),
    ];
    let activations = [
        Activation::Gelu,
        Activation::NewGelu,
        Activation::Relu2,
        Activation::Relu6,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::HardSigmoid,
        Activation::Mish,
        Activation::HardSwish,
        Activation::Elu(0.7),
        Activation::LeakyRelu(0.1),
        Activation::Tanh,
    ];
    let between = |what: &str, step: &Step| -> Result<()> {
        let model = |x: &Tensor| b.forward(&step(&a.forward(x)?)?);
        assert_complete(what, &model, &noise(&[3, 6], 11)?)?;
        let probabilities = |x: &Tensor| nn::softmax_last_dim(&model(x)?);
        assert_complete(&format!("{what} under a softmax"), &probabilities, &noise(&[3, 6], 11)?)
    };
    layers.iter().try_for_each(|(what, step)| between(what, step))?;
    activations
        .iter()
        .try_for_each(|act| between(&format!("{act:?}"), &|x: &Tensor| act.forward(&(x * 3.0)?)))
}

#[test]
fn two_inputs_whose_minimum_counts_share_it_by_reveal_cancel_and_do_not_by_rescale() -> Result<()> {
    // min(a, b) = a − relu(a − b): the example of the paper.
    let difference = nn::Linear::new(Tensor::new(&[[1.0f64, -1.0]], &Device::Cpu)?, None);
    let minimum = |x: &Tensor| x.narrow(1, 0, 1)? - nn::relu(&difference.forward(x)?)?;
    let x = Tensor::new(&[[3.0f64, 1.0], [1.0, 3.0]], &Device::Cpu)?;
    let check = |method: DeepLift, expected: [[f64; 2]; 2]| -> Result<()> {
        let expected = Tensor::new(&expected, &Device::Cpu)?;
        assert_near(method.explain(&minimum, (&x, 0))?.values(), &expected, EXACT, "the minimum")
    };
    check(DeepLift::default(), [[0.0, 1.0], [1.0, 0.0]])?;
    check(DeepLift::default().reveal_cancel(), [[0.5, 0.5], [0.5, 0.5]])
}

#[test]
fn deep_shap_is_the_mean_of_deep_lift_over_its_references() -> Result<()> {
    let (a, b) = (linear(6, 8, 1)?, linear(8, 4, 3)?);
    let model = |x: &Tensor| b.forward(&nn::gelu(&a.forward(x)?)?);
    let (x, samples) = (noise(&[3, 6], 7)?, noise(&[5, 6], 8)?);
    let from = |baseline: Baseline| -> Result<Tensor> {
        Ok(DeepLift::default().baseline(baseline).explain(&model, (&x, 1))?.values().clone())
    };
    let each = (0..5).map(|k| from(Baseline::Tensor(samples.narrow(0, k, 1)?)));
    let mean = Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?.mean(0)?;
    let over = |references: References| -> Result<Tensor> {
        Ok(DeepLiftShap::default().references(references).explain(&model, (&x, 1))?.values().clone())
    };
    assert_near(&over(References::Samples(samples.clone()))?, &mean, EXACT, "samples")?;
    // Half of the weight on zero, whatever the number of samples.
    let mixture = References::Mixture(vec![Baseline::Zero.into(), References::Samples(samples)]);
    let expected = ((from(Baseline::Zero)? + mean)? * 0.5)?;
    assert_near(&over(mixture)?, &expected, EXACT, "a mixture")
}

#[test]
fn draws_stop_at_the_error_that_is_asked_for_and_sum_to_the_difference_from_what_was_drawn() -> Result<()> {
    let (a, b) = (linear(6, 8, 1)?, linear(8, 4, 3)?);
    let model = |x: &Tensor| b.forward(&nn::relu(&a.forward(x)?)?);
    let map = DeepLiftShap::default().until(0.1).explain(&model, (&noise(&[2, 6], 7)?, 1))?;
    let sampling = map.convergence().sampling.as_ref().context("it draws")?;
    ensure!(sampling.standard_error.iter().all(|error| *error <= 0.1), "{sampling:?}");
    ensure!(missing(&map)? < COMPLETE && map.standard_error().is_some());
    Ok(())
}

#[test]
fn what_the_model_ignores_gets_nothing_and_what_it_treats_alike_gets_the_same() -> Result<()> {
    let weights = noise(&[5, 6], 1)?;
    let (first, zeros) = (weights.narrow(1, 0, 1)?, Tensor::zeros((5, 1), DType::F64, &Device::Cpu)?);
    let weights = Tensor::cat(&[&first, &first, &weights.narrow(1, 2, 3)?, &zeros], 1)?;
    let (a, b) = (nn::Linear::new(weights, None), linear(5, 2, 3)?);
    let model = |x: &Tensor| b.forward(&nn::silu(&a.forward(x)?)?);
    let x = Tensor::new(&[[0.7f64, 0.7, -0.2, 0.4, 1.0, 5.0]], &Device::Cpu)?;
    for (how, method) in methods(&Tensor::new(&[[0.1f64, 0.1, 0.3, 0.0, -1.0, 2.0]], &Device::Cpu)?) {
        let found = values(method.explain(&model, (&x, 0))?.values())?;
        ensure!(found[5] == 0.0 && found[0] != 0.0, "{how}: {found:?}");
        ensure!((found[0] - found[1]).abs() < EXACT, "{how}: {found:?}");
    }
    Ok(())
}

#[test]
fn close_to_its_reference_it_is_the_gradient_times_the_difference() -> Result<()> {
    let (a, b) = (linear(6, 8, 1)?, linear(8, 4, 3)?);
    let norm = nn::LayerNorm::new((noise(&[8], 6)? + 1.5)?, noise(&[8], 7)?, 1e-5);
    let model = |x: &Tensor| {
        let hidden = nn::gelu(&norm.forward(&a.forward(x)?)?)?;
        nn::softmax_last_dim(&b.forward(&hidden)?)
    };
    let x = noise(&[2, 6], 7)?;
    let step = (noise(&[2, 6], 8)? * 1e-6)?;
    let reference = Baseline::Tensor((&x - &step)?);
    let map = DeepLift::default().baseline(reference).explain(&model, (&x, 1))?;
    let expected = (Saliency::signed().explain(&model, (&x, 1))?.values() * step)?;
    assert_near(map.values(), &expected, 1e-5, "gradient times difference")
}

#[test]
fn a_model_without_layers_that_take_rules_and_what_makes_no_sense_are_refused() -> Result<()> {
    let x = noise(&[2, 6], 7)?;
    let functional = |x: &Tensor| x.relu()?.sum(1);
    let found = DeepLift::default().explain(&functional, &x);
    ensure!(matches!(found, Err(Error::NoRuleFired { .. })), "{found:?}");
    let a = linear(6, 8, 1)?;
    let wrong = Baseline::Tensor(noise(&[1, 5], 1)?);
    let found = DeepLift::default().baseline(wrong).explain(&a, (&x, 0));
    ensure!(matches!(found, Err(Error::Shape { what: "the baseline", .. })), "{found:?}");
    for method in [DeepLiftShap::default().until(-1.0), DeepLiftShap::default().samples(0)] {
        let found = method.explain(&a, (&x, 0));
        ensure!(matches!(found, Err(Error::Setting { .. })), "{found:?}");
    }
    Ok(())
}
