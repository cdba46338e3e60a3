//! Baselines as values: what each of them is, and what methods make of them.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{
    Baseline, Bounds, Error, ExpectedGradients, Explain, IntegratedGradients, Query, References,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, images, noise};

/// Rounding of double precision.
const EXACT: f64 = 1e-12;
const LOW: [f64; 3] = [-2.0, -1.5, -1.0];
const HIGH: [f64; 3] = [2.0, 2.5, 3.0];

fn bounds() -> Bounds {
    Bounds::Channels(LOW.into_iter().zip(HIGH).collect())
}

/// Two images of three channels, within the bounds.
fn photos() -> Result<Tensor> {
    noise(&[2, 3, 6, 5], 3)
}

/// The sum of all pixels: its map is x − x′, whatever the steps.
fn sum(x: &Tensor) -> candle_core::Result<Tensor> {
    x.flatten_from(1)?.sum_keepdim(1)
}

/// x′ of every row.
fn seen(references: impl Into<References>, x: &Tensor, seed: u64) -> Result<Tensor> {
    let method = IntegratedGradients::default().steps(1).baseline(references).draws(1);
    let map = method.explain(&sum, Query::new(x).seed(seed))?;
    Ok((x - map.values())?)
}

/// Values of channel `c` of all rows.
fn channel(x: &Tensor, c: usize) -> Result<Vec<f64>> {
    values(&x.narrow(1, c, 1)?)
}

#[test]
fn black_white_and_colours_are_the_same_everywhere_in_a_channel() -> Result<()> {
    let x = photos()?;
    let cases = [
        (Baseline::Lowest(bounds()), LOW),
        (Baseline::Highest(bounds()), HIGH),
        (Baseline::Colour(vec![0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]),
        (Baseline::Colour(vec![0.5]), [0.5; 3]),
        (Baseline::Constant(0.25), [0.25; 3]),
        (Baseline::Highest(Bounds::Channels(vec![(-1.0, 4.0)])), [4.0; 3]),
    ];
    for (baseline, expected) in cases {
        let found = seen(baseline.clone(), &x, 0)?;
        for (c, expected) in expected.into_iter().enumerate() {
            let off = channel(&found, c)?.into_iter().map(|value| (value - expected).abs());
            ensure!(off.fold(0.0, f64::max) < EXACT, "{baseline:?}, channel {c}");
        }
    }
    Ok(())
}

#[test]
fn bounds_of_the_row_are_its_own_smallest_and_largest_value() -> Result<()> {
    let x = photos()?;
    let found = seen(Baseline::Lowest(Bounds::OfRow), &x, 0)?;
    for row in 0..2 {
        let smallest = values(&x.get(row)?)?.into_iter().fold(f64::INFINITY, f64::min);
        ensure!(values(&found.get(row)?)?.iter().all(|value| (value - smallest).abs() < EXACT));
    }
    Ok(())
}

#[test]
fn the_baseline_of_maximum_distance_is_the_further_bound_of_every_value() -> Result<()> {
    let x = photos()?;
    let found = seen(Baseline::MaxDistance(bounds()), &x, 0)?;
    for c in 0..3 {
        for (x, found) in channel(&x, c)?.into_iter().zip(channel(&found, c)?) {
            let expected = if x - LOW[c] > HIGH[c] - x { LOW[c] } else { HIGH[c] };
            ensure!((found - expected).abs() < EXACT, "{found} for {x}");
        }
    }
    Ok(())
}

#[test]
fn the_mean_and_a_wide_blur_are_the_mean_of_each_channel_and_a_blur_of_nothing_is_the_image() -> Result<()> {
    /// A blur far wider than the image, mirrored at its edges, has the mean but for ripples.
    const RIPPLES: f64 = 1e-3;
    let x = photos()?;
    let mean = x.mean_keepdim((2, 3))?.broadcast_as(x.shape())?;
    assert_near(&seen(Baseline::Mean, &x, 0)?, &mean, EXACT, "mean")?;
    assert_near(&seen(Baseline::Blurred(30.0), &x, 0)?, &mean, RIPPLES, "wide blur")?;
    assert_near(&seen(Baseline::Blurred(0.0), &x, 0)?, &x, EXACT, "no blur")
}

#[test]
fn noise_stays_within_the_bounds_and_has_the_spread_that_was_asked_for() -> Result<()> {
    /// 3 x 40 x 40 numbers have a spread within a few per cent of the distribution's.
    const SPREAD: f64 = 0.05;
    let x = (noise(&[1, 3, 40, 40], 8)? * 0.1)?;
    let within = |x: &Tensor| -> Result<bool> {
        let inside =
            |c: usize| Ok(channel(x, c)?.iter().all(|v| (LOW[c] - EXACT..=HIGH[c] + EXACT).contains(v)));
        Ok((0..3).map(inside).collect::<Result<Vec<_>>>()?.into_iter().all(|inside| inside))
    };
    let deviation = |numbers: &[f64]| {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        (numbers.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / numbers.len() as f64).sqrt()
    };
    // A narrow bell, one that the bounds cut to all but a uniform distribution, and that itself; every range is 4.
    for (references, expected) in [
        (References::Gaussian { sigma: 0.05, bounds: bounds() }, 0.2),
        (References::Gaussian { sigma: 50.0, bounds: bounds() }, 4.0 / 12f64.sqrt()),
        (References::Uniform(bounds()), 4.0 / 12f64.sqrt()),
    ] {
        let found = seen(references.clone(), &x, 4)?;
        ensure!(within(&found)?, "{references:?} leaves the bounds");
        let around = (&found - &x)?;
        let spread =
            if expected == 0.2 { deviation(&values(&around)?) } else { deviation(&channel(&found, 1)?) };
        ensure!((spread / expected - 1.0).abs() < SPREAD, "{references:?}: {spread} for {expected}");
        ensure!(
            values(&seen(references.clone(), &x, 5)?)? != values(&found)?,
            "another seed, the same noise"
        );
    }
    Ok(())
}

/// A smooth model with two scores.
fn bent(x: &Tensor) -> candle_core::Result<Tensor> {
    let x = x.flatten_from(1)?;
    Tensor::cat(&[x.sin()?.sum_keepdim(1)?, x.sqr()?.sum_keepdim(1)?.tanh()?], 1)
}

#[test]
fn integrated_gradients_over_a_distribution_are_the_mean_over_its_baselines() -> Result<()> {
    let (x, samples) = (photos()?, noise(&[3, 3, 6, 5], 9)?);
    let from = |baseline: Baseline| IntegratedGradients::default().baseline(baseline).explain(&bent, (&x, 0));
    let mut total = x.zeros_like()?;
    for k in 0..3 {
        total = (total + from(Baseline::Tensor(samples.narrow(0, k, 1)?))?.values())?;
    }
    let of_samples = (total / 3.0)?;
    let method = IntegratedGradients::default().baseline(References::Samples(samples.clone()));
    let map = method.explain(&bent, (&x, 0))?;
    assert_near(map.values(), &of_samples, EXACT, "samples")?;
    ensure!(map.convergence().worst() < EXACT && map.convergence().sampling.is_none());

    let black = Baseline::Lowest(bounds());
    let parts = vec![References::Samples(samples), black.clone().into()];
    let mixed =
        IntegratedGradients::default().baseline(References::Mixture(parts)).explain(&bent, (&x, 0))?;
    let expected = ((of_samples + from(black)?.values())? * 0.5)?;
    assert_near(mixed.values(), &expected, EXACT, "each part of a mixture has the same chance")?;
    ensure!(mixed.convergence().worst() < EXACT, "{:?}", mixed.convergence());
    Ok(())
}

#[test]
fn integrated_gradients_over_noise_are_complete_and_tell_their_sampling_error() -> Result<()> {
    let method = IntegratedGradients::default().baseline(References::Uniform(bounds())).draws(8);
    let map = method.explain(&bent, (&photos()?, 0))?;
    let completeness = map.convergence().completeness.as_ref().context("no completeness")?;
    ensure!(completeness.relative().iter().all(|residual| *residual < EXACT), "{completeness:?}");
    let sampling = map.convergence().sampling.as_ref().context("no sampling error")?;
    ensure!(sampling.samples == [8, 8] && sampling.standard_error.iter().all(|error| *error > 0.0));
    ensure!(map.standard_error().context("no error")?.dims() == map.values().dims());
    ensure!(map.convergence().steps.as_deref() == Some(&[400, 400]), "{:?}", map.convergence().steps);
    Ok(())
}

#[test]
fn expected_gradients_of_one_baseline_tend_to_its_integrated_gradients() -> Result<()> {
    let (x, black) = (photos()?, Baseline::Lowest(bounds()));
    let path = IntegratedGradients::default().baseline(black.clone()).explain(&bent, (&x, 0))?;
    let sampled = ExpectedGradients::default().references(black).samples(4000).explain(&bent, (&x, 0))?;
    let told = sampled.convergence().sampling.as_ref().context("no sampling error")?.standard_error[0];
    assert_near(sampled.values(), path.values(), 6.0 * told, "the mean of 4000 draws")?;
    let differences = |map: &candlelight_core::Attribution| -> Result<Vec<f64>> {
        Ok(map.convergence().completeness.as_ref().context("no completeness")?.difference.clone())
    };
    for (a, b) in differences(&sampled)?.iter().zip(differences(&path)?) {
        ensure!((a - b).abs() < EXACT * b.abs(), "{a} and {b}");
    }
    Ok(())
}

#[test]
fn baselines_that_make_no_sense_are_refused() -> Result<()> {
    let x = images(DType::F64)?;
    let rows = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
    let refused = |references: References, x: &Tensor| -> Result<()> {
        for method in [
            Box::new(IntegratedGradients::default().baseline(references.clone())) as Box<dyn Explain>,
            Box::new(ExpectedGradients::default().references(references.clone())),
        ] {
            let found = method.attribute(&sum, &Query::new(x));
            ensure!(
                matches!(found, Err(Error::Setting { .. } | Error::Shape { .. })),
                "{references:?}: {found:?}"
            );
        }
        Ok(())
    };
    let swapped = || Bounds::Channels(vec![(1.0, 0.0)]);
    refused(Baseline::Colour(vec![0.0; 2]).into(), &x)?;
    refused(Baseline::Colour(vec![f64::NAN]).into(), &x)?;
    refused(Baseline::Highest(swapped()).into(), &x)?;
    refused(Baseline::MaxDistance(Bounds::Channels(vec![(0.0, 1.0); 4])).into(), &x)?;
    refused(Baseline::Blurred(-1.0).into(), &x)?;
    refused(Baseline::Blurred(1.0).into(), &rows)?;
    refused(Baseline::Mean.into(), &rows)?;
    refused(References::Uniform(swapped()), &x)?;
    refused(References::Gaussian { sigma: f64::INFINITY, bounds: bounds() }, &x)?;
    refused(References::Mixture(Vec::new()), &x)?;
    refused(References::Mixture(vec![Baseline::Constant(f64::NAN).into()]), &x)
}
