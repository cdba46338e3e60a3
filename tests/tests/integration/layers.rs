//! Methods at a layer and of a neuron: what they sum to, how they fit together, and what they refuse.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Attribution, Error, Explain, InputXGradient, IntegratedGradients, InternalInfluence, LayerConductance,
    LayerGradientXActivation, LayerIntegratedGradients, Model, Neuron, NeuronConductance, Saliency, tap,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, images, vit};

/// Rounding of double precision through a small network.
const EXACT: f64 = 1e-10;

/// A smooth network of layers in a row, and its inputs.
fn perceptron() -> Result<(Box<dyn Model + Send>, Tensor)> {
    let folder = golden()?;
    Ok((folder.model("mlp_tanh", DType::F64)?, folder.sample("mlp_tanh", DType::F64)?))
}

fn residual(map: &Attribution) -> f64 {
    map.convergence()
        .completeness
        .as_ref()
        .map_or(f64::NAN, |it| it.relative().into_iter().fold(0.0, f64::max))
}

#[test]
fn a_layer_that_nothing_goes_around_holds_the_whole_difference() -> Result<()> {
    let (model, x) = perceptron()?;
    let integrated = LayerIntegratedGradients::at("act1").steps(50).explain(&*model, &x)?;
    ensure!(residual(&integrated) < 1e-12, "{}", residual(&integrated));
    let conductance = |steps| LayerConductance::at("act1").steps(steps).explain(&*model, &x);
    let (few, many) = (residual(&conductance(10)?), residual(&conductance(100)?));
    ensure!(
        many < few / 50.0 && many < 1e-3,
        "an error that falls with the square of the steps: {few} {many}"
    );
    for map in [integrated, conductance(400)?] {
        let sums = values(&map.values().flatten_from(1)?.sum(1)?)?;
        let difference = &map.convergence().completeness.as_ref().context("none")?.difference;
        let start = values(&model.forward(&x.zeros_like()?)?)?;
        for ((sum, difference), (row, score)) in
            sums.iter().zip(difference).zip(map.scores().iter().enumerate())
        {
            let classes = start.len() / x.dim(0)?;
            let expected = score - start[row * classes + map.classes()[row]];
            ensure!((difference - expected).abs() < EXACT && (sum - expected).abs() < 1e-4 * expected.abs());
        }
    }
    Ok(())
}

#[test]
fn integrated_gradients_at_a_layer_are_complete_where_a_residual_goes_around_it() -> Result<()> {
    let layer = "vit.encoder.layer.2.layernorm_before";
    let map =
        LayerIntegratedGradients::at(layer).steps(100).explain(&*vit(DType::F64)?, &images(DType::F64)?)?;
    ensure!(residual(&map) < 1e-6, "{}", residual(&map));
    ensure!(map.layer() == Some(layer) && map.values().dims()[1..] == [17, 32]);
    ensure!(map.maps().dims()[1..] == [32, 4, 4], "tokens are laid out: {:?}", map.maps().dims());
    let tokens = map.values().narrow(1, 1, 16)?.sum(2)?.reshape((4, 4, 4))?;
    assert_near(&map.plane(4, 4)?, &tokens, EXACT, "the plane is the sum over channels of each patch")
}

#[test]
fn neuron_conductances_sum_to_the_layer_s_and_to_integrated_gradients() -> Result<()> {
    let (model, x) = perceptron()?;
    let x = x.narrow(0, 0, 2)?;
    let (layer, steps) = (LayerConductance::at("act1").steps(2000).explain(&*model, &x)?, 60);
    let mut total = x.zeros_like()?;
    for unit in 0..layer.values().dim(1)? {
        let method = NeuronConductance::default().at("act1").unit([unit]).steps(steps);
        let map = method.explain(&*model, &x)?;
        total = (total + map.values())?;
        let through = layer.values().narrow(1, unit, 1)?.squeeze(1)?;
        assert_near(&map.values().sum(1)?, &through, 1e-4, "a unit's map sums to its conductance")?;
    }
    let whole = IntegratedGradients::default().steps(steps).explain(&*model, &x)?;
    assert_near(&total, whole.values(), EXACT, "the units' maps sum to the whole")
}

#[test]
fn at_a_layer_that_is_linear_in_the_score_every_method_says_the_same() -> Result<()> {
    let weight = Tensor::new(&[[1.0f64, -2.0], [0.5, 3.0], [-1.0, 0.25]], &Device::Cpu)?;
    let model = |x: &Tensor| tap("squares", &x.sqr()?)?.matmul(&weight);
    let x = Tensor::new(&[[1.0f64, 2.0, -3.0]], &Device::Cpu)?;
    let expected = (x.sqr()? * weight.narrow(1, 1, 1)?.t()?)?;
    let methods: [&dyn Explain; 3] = [
        &LayerGradientXActivation::at("squares"),
        &LayerIntegratedGradients::at("squares").steps(3),
        &LayerConductance::at("squares").steps(3),
    ];
    for method in methods {
        let map = method.attribute(&model, &(&x, 1).into())?;
        assert_near(map.values(), &expected, EXACT, &method.name())?;
    }
    let influence = InternalInfluence::at("squares").explain(&model, (&x, 1))?;
    assert_near(influence.values(), &weight.narrow(1, 1, 1)?.t()?, EXACT, "influence")
}

#[test]
fn a_neuron_is_explained_as_a_score_is() -> Result<()> {
    let inner = |x: &Tensor| x.sqr()?.broadcast_mul(&Tensor::new(&[1.0f64, 2.0, 4.0], x.device())?);
    let model = |x: &Tensor| tap("hidden", &inner(x)?)?.sum(1);
    let x = Tensor::new(&[[1.0f64, 2.0, -3.0], [4.0, 0.5, 1.0]], &Device::Cpu)?;
    for unit in 0..3 {
        for (over, alone) in [
            (Neuron::over(InputXGradient), InputXGradient.explain(&inner, (&x, unit))?),
            (Neuron::over(Saliency::default()), Saliency::default().explain(&inner, (&x, unit))?),
        ] {
            let map = over.at("hidden").unit([unit]).explain(&model, &x)?;
            assert_near(map.values(), alone.values(), EXACT, "neuron")?;
            ensure!(map.classes().is_empty() && map.scores() == alone.scores());
        }
    }
    let loudest = Neuron::over(InputXGradient).at("hidden").explain(&model, &x)?;
    let expected = Tensor::new(&[[0.0f64, 0.0, 72.0], [32.0, 0.0, 0.0]], &Device::Cpu)?;
    assert_near(loudest.values(), &expected, EXACT, "each row has its own loudest unit")
}

#[test]
fn units_and_layers_that_are_not_there_are_refused() -> Result<()> {
    let (model, x) = perceptron()?;
    for index in [vec![99], vec![0, 0], vec![]] {
        let found = Neuron::default().at("act1").unit(index).explain(&*model, &x);
        ensure!(matches!(found, Err(Error::Shape { what: "the index of the unit", .. })), "{found:?}");
    }
    let methods: [Box<dyn Explain>; 5] = [
        Box::new(LayerGradientXActivation::at("akt1")),
        Box::new(LayerIntegratedGradients::at("akt1")),
        Box::new(LayerConductance::at("akt1")),
        Box::new(InternalInfluence::at("akt1")),
        Box::new(Neuron::default().at("akt1")),
    ];
    for method in methods {
        let found = method.attribute(&*model, &(&x).into());
        let Err(Error::UnknownLayer { seen, .. }) = found else {
            anyhow::bail!("{}: {found:?}", method.name())
        };
        ensure!(seen[0] == "act1", "{seen:?}");
    }
    Ok(())
}

#[test]
fn a_layer_that_runs_twice_is_refused() -> Result<()> {
    let model = |x: &Tensor| tap("twice", &tap("twice", &x.sqr()?)?.sqr()?)?.sum(1);
    let x = Tensor::new(&[[1.0f64, 2.0]], &Device::Cpu)?;
    let methods: [Box<dyn Explain>; 3] = [
        Box::new(LayerIntegratedGradients::at("twice")),
        Box::new(LayerConductance::at("twice")),
        Box::new(NeuronConductance::default().at("twice")),
    ];
    for method in methods {
        let found = method.attribute(&model, &(&x).into());
        ensure!(matches!(found, Err(Error::AmbiguousLayer { times: 2, .. })), "{}: {found:?}", method.name());
    }
    Ok(())
}

#[test]
fn positions_that_do_not_ascend_are_refused() -> Result<()> {
    let (model, x) = perceptron()?;
    for positions in [vec![], vec![0.5], vec![0.0, 0.0], vec![0.5, 0.25], vec![0.0, 1.5], vec![0.0, f64::NAN]]
    {
        let found = LayerConductance::at("act1").positions(positions).explain(&*model, &x);
        ensure!(matches!(found, Err(Error::Setting { .. })), "{found:?}");
    }
    Ok(())
}
