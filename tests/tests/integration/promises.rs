//! The axioms of attribution over the whole registry; who does not promise one is listed with the reason.
//!
//! Sensitivity, implementation invariance, linearity, symmetry, dummy and completeness are those of
//! [Sundararajan et al. 2017](https://arxiv.org/abs/1703.01365).

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use candlelight_core::{Attribution, METHODS, Method, Model, Query, Settings};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, noise};

/// Rounding of double precision.
const EXACT: f64 = 1e-12;
/// Seeds of the inputs and models that every axiom is tried on.
const SEEDS: std::ops::Range<u64> = 0..5;
/// The side of the images.
const SIDE: usize = 4;
/// Their pixels.
const PIXELS: usize = SIDE * SIDE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axiom {
    /// The map sums to a difference of scores.
    Completeness,
    /// The one pixel in which input and baseline differ gets something if the scores differ.
    Sensitivity,
    /// A layer replaced by an equal composition leaves the map as it is.
    Implementation,
    /// The map of a sum of scores is the sum of their maps.
    Linearity,
    /// Pixels that play the same part and have the same value get the same.
    Symmetry,
    /// A pixel that the model ignores gets nothing.
    Dummy,
}

use Axiom::{Completeness, Dummy, Implementation, Linearity, Sensitivity, Symmetry};

const ALL: &[Axiom] = &[Completeness, Sensitivity, Implementation, Linearity, Symmetry, Dummy];

/// Why methods of layers and neurons are tested elsewhere (`layers`).
const LAYER: &str = "needs a layer, and depends on which layers the model has";

/// Why class activation maps are tested elsewhere (`cams`).
const MAPS: &str = "a map of a layer: it explains no pixel, and depends on which layer the model has";
/// Why methods of attention are tested elsewhere (`attention`).
const ATTENTION: &str = "needs attention, and its map is of tokens, not of pixels";

/// Why methods of rules are tested elsewhere (`rules`).
const RULES: &str = "needs layers that take rules, and depends on which layers the model has";

/// Who does not promise what, and why.
const EXCEPT: &[(&str, &[Axiom], &str)] = &[
    ("lrp", ALL, RULES),
    ("deep-taylor", ALL, RULES),
    ("excitation-backprop", ALL, RULES),
    ("attn-lrp", ALL, RULES),
    (
        "saliency",
        &[Completeness, Sensitivity, Linearity],
        "a gradient at one point says nothing of a difference, and is 0 where the score has saturated; it is absolute",
    ),
    ("input-x-gradient", &[Completeness, Sensitivity], "a gradient at one point, as above"),
    (
        "smoothgrad",
        &[Completeness, Sensitivity, Symmetry],
        "gradients near one point; the noise differs from pixel to pixel",
    ),
    ("deep-lift", ALL, RULES),
    ("deep-lift-shap", ALL, RULES),
    ("cam", ALL, MAPS),
    ("grad-cam", ALL, MAPS),
    ("grad-cam-plus-plus", ALL, MAPS),
    ("xgrad-cam", ALL, MAPS),
    ("hires-cam", ALL, MAPS),
    ("layer-cam", ALL, MAPS),
    ("grad-cam-element-wise", ALL, MAPS),
    ("eigen-cam", ALL, MAPS),
    ("eigen-grad-cam", ALL, MAPS),
    ("score-cam", ALL, MAPS),
    ("ablation-cam", ALL, MAPS),
    ("full-grad", ALL, "needs images, and shares what biases bring out among pixels (`full_grad`)"),
    ("guided-grad-cam", ALL, "needs ReLUs and a layer, and what it gives is no derivative"),
    ("raw-attention", ALL, ATTENTION),
    ("gradient-attention", ALL, ATTENTION),
    ("attention-grad-cam", ALL, ATTENTION),
    ("attention-rollout", ALL, ATTENTION),
    ("gradient-attention-rollout", ALL, ATTENTION),
    ("attention-flow", ALL, ATTENTION),
    ("transformer-relevance", ALL, ATTENTION),
    ("occlusion", &[Completeness], "windows overlap, and what they do together is lost with each of them"),
    ("feature-ablation", &[Completeness], "what several features do together is lost with each of them"),
    (
        "rise",
        &[Completeness, Sensitivity, Linearity, Symmetry, Dummy],
        "a mean over masks that open many pixels together, by probabilities",
    ),
    (
        "lime",
        &[Completeness, Sensitivity, Symmetry, Dummy],
        "a fit to samples: within its error (`sampled`) they hold for a game that is linear",
    ),
    (
        "kernel-shap",
        &[Sensitivity, Symmetry, Dummy],
        "with some of the coalitions they hold within its error, with all of them to rounding (`sampled`)",
    ),
    ("shapley-values", &[Symmetry], "random orders treat nobody alike; exact values do (`sampled`)"),
    (
        "sobol-indices",
        &[Completeness, Linearity, Symmetry],
        "shares of a variance; pixels that play the same part are drawn by themselves",
    ),
    (
        "hsic-indices",
        &[Completeness, Sensitivity, Linearity, Symmetry, Dummy],
        "a dependence, not a difference; without bias, and so a little off 0 for a dummy (`sampled`)",
    ),
    ("guided-backprop", ALL, "needs ReLUs, and what it gives is no derivative"),
    ("deconvnet", ALL, "needs ReLUs, and what it gives is no derivative"),
    (
        "blur-integrated-gradients",
        &[Completeness, Symmetry],
        "complete as its steps get short; a pixel's neighbours decide what the blur makes of it",
    ),
    (
        "guided-integrated-gradients",
        &[Completeness, Linearity],
        "complete as its steps get short; the path depends on the score",
    ),
    ("idgi", &[Linearity], "the squared gradient shares a step out"),
    ("xrai", ALL, "pixels have the mean of a region that knows nothing of the model"),
    ("layer-gradient-x-activation", ALL, LAYER),
    ("layer-integrated-gradients", ALL, LAYER),
    ("layer-conductance", ALL, LAYER),
    ("internal-influence", ALL, LAYER),
    ("neuron-saliency", ALL, LAYER),
    ("neuron-integrated-gradients", ALL, LAYER),
    ("neuron-conductance", ALL, LAYER),
];

/// Every method that promises `axiom`.
fn promising(axiom: Axiom) -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(move |method| {
        !EXCEPT.iter().any(|(name, axioms, _)| *name == method.name && axioms.contains(&axiom))
    })
}

/// The map of `method`, with references around `around`.
fn explain(
    method: &Method,
    model: &dyn Model,
    x: &Tensor,
    class: usize,
    around: &Tensor,
) -> Result<Attribution> {
    let settings = Settings { references: Some(around.clone()), ..Settings::default() };
    let query = Query::from((x, class)).seed(3);
    method.with(&settings)?.attribute(model, &query).context(method.name)
}

/// Two images whose first two pixels are alike.
fn symmetric(seed: u64, rows: usize) -> Result<Tensor> {
    let x = noise(&[rows, 1, PIXELS], seed)?;
    let first = x.narrow(2, 0, 1)?;
    Ok(Tensor::cat(&[&first, &first, &x.narrow(2, 2, PIXELS - 2)?], 2)?.reshape((rows, 1, SIDE, SIDE))?)
}

/// A smooth model with two scores that treats the first two pixels alike and ignores the last.
fn smooth(seed: u64) -> Result<impl Fn(&Tensor) -> candle_core::Result<Tensor> + Sync> {
    let weights = noise(&[PIXELS, 3], seed ^ 0xabcd)?;
    let first = weights.narrow(0, 0, 1)?;
    let rest = weights.narrow(0, 2, PIXELS - 3)?;
    let weights = Tensor::cat(&[&first, &first, &rest, &first.zeros_like()?], 0)?;
    Ok(move |x: &Tensor| {
        let hidden = x.flatten_from(1)?.matmul(&weights)?.tanh()?;
        let (a, b) = (hidden.narrow(1, 0, 1)?, hidden.narrow(1, 1, 2)?.exp()?);
        Tensor::cat(&[(&a * b.narrow(1, 0, 1)?)?, (a.sin()? + b.narrow(1, 1, 1)?)?], 1)
    })
}

fn pixel(map: &Attribution, at: usize) -> Result<Tensor> {
    Ok(map.values().flatten_from(1)?.narrow(1, at, 1)?.contiguous()?)
}

#[test]
fn every_exception_names_a_method_of_the_registry() {
    for (name, axioms, reason) in EXCEPT {
        assert!(METHODS.iter().any(|method| method.name == *name), "{name} is no method");
        assert!(!axioms.is_empty() && !reason.is_empty());
    }
    ALL.iter().for_each(|axiom| assert!(promising(*axiom).count() > 1, "{axiom:?} is promised by nobody"));
}

#[test]
fn maps_are_complete() -> Result<()> {
    for seed in SEEDS {
        let (x, around, model) = (symmetric(seed, 2)?, symmetric(seed + 50, 3)?, smooth(seed)?);
        for method in promising(Completeness) {
            let map = explain(method, &model, &x, 0, &around)?;
            let found = map.convergence().completeness.as_ref().context(method.name)?;
            // Sampling leaves an error in the sum: of 16 values, each within a few standard errors.
            let sampled = match map.standard_error() {
                Some(error) => values(&error.flatten_from(1)?.sum(1)?)?,
                None => vec![0.0; 2],
            };
            for (row, residual) in found.residual().into_iter().enumerate() {
                let allowed = EXACT + 4.0 * sampled[row];
                ensure!(residual <= allowed, "{}: {residual:.1e}, allowed {allowed:.1e}", method.name);
            }
        }
    }
    Ok(())
}

#[test]
fn the_only_pixel_that_differs_gets_the_whole_difference_even_where_the_score_has_saturated() -> Result<()> {
    // f = 1 - relu(1 - x) of pixel 5: flat from 1 on, where the gradient is 0.
    let saturated = |x: &Tensor| {
        let pixel = x.flatten_from(1)?.narrow(1, 5, 1)?;
        1.0 - (1.0 - pixel)?.relu()?
    };
    let baseline = Tensor::zeros((1, 1, SIDE, SIDE), candle_core::DType::F64, &Device::Cpu)?;
    let mut x = vec![0.0; PIXELS];
    x[5] = 2.0;
    let x = Tensor::from_vec(x, (1, 1, SIDE, SIDE), &Device::Cpu)?;
    for method in promising(Sensitivity) {
        let map = explain(method, &saturated, &x, 0, &baseline)?;
        let (found, all) = (values(&pixel(&map, 5)?)?[0], values(map.values())?);
        ensure!((found - 1.0).abs() < 0.2, "{}: {found} for a difference of 1", method.name);
        ensure!(all.iter().filter(|value| **value != 0.0).count() == 1, "{}: {all:?}", method.name);
    }
    Ok(())
}

#[test]
fn an_equal_composition_in_place_of_a_layer_leaves_the_map_as_it_is() -> Result<()> {
    for seed in SEEDS {
        let (a, b, c) = (noise(&[PIXELS, 7], seed)?, noise(&[7, 5], seed + 10)?, noise(&[5, 2], seed + 20)?);
        let product = a.matmul(&b)?;
        let one = |x: &Tensor| x.flatten_from(1)?.matmul(&product)?.tanh()?.matmul(&c);
        // The same: the product as two layers, and tanh by its definition.
        let two = |x: &Tensor| {
            let twice = (x.flatten_from(1)?.matmul(&a)?.matmul(&b)? * 2.0)?.exp()?;
            ((&twice - 1.0)? / (twice + 1.0)?)?.matmul(&c)
        };
        let (x, around) = (symmetric(seed, 2)?, symmetric(seed + 50, 3)?);
        for method in promising(Implementation) {
            let maps = (explain(method, &one, &x, 1, &around)?, explain(method, &two, &x, 1, &around)?);
            assert_near(maps.1.values(), maps.0.values(), 1e3 * EXACT, method.name)?;
        }
    }
    Ok(())
}

#[test]
fn the_map_of_a_sum_of_scores_is_the_sum_of_their_maps() -> Result<()> {
    for seed in SEEDS {
        let (x, around, model) = (symmetric(seed, 2)?, symmetric(seed + 50, 3)?, smooth(seed)?);
        let sum = |x: &Tensor| {
            let scores = model(x)?;
            (scores.narrow(1, 0, 1)? * 2.0)? - (scores.narrow(1, 1, 1)? * 3.0)?
        };
        for method in promising(Linearity) {
            let of = |class| explain(method, &model, &x, class, &around);
            let parts = ((of(0)?.values() * 2.0)? - (of(1)?.values() * 3.0)?)?;
            let whole = explain(method, &sum, &x, 0, &around)?;
            assert_near(whole.values(), &parts, 1e3 * EXACT, method.name)?;
        }
    }
    Ok(())
}

#[test]
fn pixels_that_play_the_same_part_get_the_same() -> Result<()> {
    for seed in SEEDS {
        let (x, around, model) = (symmetric(seed, 2)?, symmetric(seed + 50, 3)?, smooth(seed)?);
        for method in promising(Symmetry) {
            let map = explain(method, &model, &x, 1, &around)?;
            assert_near(&pixel(&map, 0)?, &pixel(&map, 1)?, EXACT, method.name)?;
            ensure!(values(&pixel(&map, 0)?)?.iter().all(|value| *value != 0.0), "{}", method.name);
        }
    }
    Ok(())
}

#[test]
fn a_pixel_that_the_model_ignores_gets_nothing() -> Result<()> {
    for seed in SEEDS {
        let (x, around, model) = (symmetric(seed, 2)?, symmetric(seed + 50, 3)?, smooth(seed)?);
        for method in promising(Dummy) {
            let map = explain(method, &model, &x, 0, &around)?;
            let last = values(&pixel(&map, PIXELS - 1)?)?;
            ensure!(last.iter().all(|value| *value == 0.0), "{}: {last:?}", method.name);
        }
    }
    Ok(())
}
