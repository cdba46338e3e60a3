//! Tokens that are removed, against the same model on a shorter sequence.

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use candlelight_core::{
    Error, Explain, FeatureAblation, FeaturePermutation, Features, TokenGrid, nn, token_grid,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, images, noise, vit};

/// Sums of a few more or fewer terms in double precision.
const EXACT: f64 = 1e-12;
/// Channels of a token.
const SIZE: usize = 6;

/// Two blocks of attention with a class token, on the patches that `kept` names; all unless it does.
struct Tiny {
    weights: [Tensor; 4],
    kept: Option<Vec<u32>>,
}

/// What of the tokens the score reads.
#[derive(Clone, Copy)]
enum Read {
    Class,
    Mean,
}

impl Tiny {
    fn new() -> Result<Self> {
        let weight = |seed| noise(&[SIZE, SIZE], seed);
        Ok(Self { weights: [weight(1)?, weight(2)?, weight(3)?, weight(4)?], kept: None })
    }

    fn without(self, patch: u32) -> Self {
        Self { kept: Some((0..6).filter(|&kept| kept != patch).collect()), ..self }
    }

    /// Scores of `x` `[N, SIZE, 2, 3]`, every pixel a patch.
    fn forward(&self, x: &Tensor, read: Read) -> candle_core::Result<Tensor> {
        token_grid(TokenGrid { prefix: 1, rows: 2, columns: 3 });
        let places = Tensor::arange(0.0, (6 * SIZE) as f64, &Device::Cpu)?.sin()?.reshape((6, SIZE))?;
        let patches = x.flatten_from(2)?.transpose(1, 2)?.broadcast_add(&places)?.contiguous()?;
        let patches = match &self.kept {
            Some(kept) => patches.index_select(&Tensor::new(&kept[..], &Device::Cpu)?, 1)?,
            None => patches,
        };
        let class = Tensor::ones((x.dim(0)?, 1, SIZE), DType::F64, &Device::Cpu)?;
        let mut tokens = Tensor::cat(&[&class, &patches], 1)?;
        for block in 0..2 {
            let of = |weight: &Tensor| tokens.broadcast_matmul(weight)?.unsqueeze(1);
            let [q, k, v, out] = &self.weights;
            let mixed = nn::attention(&of(q)?, &of(k)?, &of(v)?, 0.4, &format!("attention.{block}"))?;
            tokens = (&tokens + mixed.squeeze(1)?.broadcast_matmul(out)?.tanh()?)?;
        }
        match read {
            Read::Class => tokens.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
            Read::Mean => tokens.mean(D::Minus2),
        }
    }
}

#[test]
fn a_removed_token_is_a_shorter_sequence() -> Result<()> {
    let (x, model) = (noise(&[2, SIZE, 2, 3], 9)?, Tiny::new()?);
    let whole = |x: &Tensor| model.forward(x, Read::Class);
    let map = FeatureAblation::of(Features::Tokens).explain(&whole, (&x, 2))?;
    ensure!(map.values().dims() == [2, 1, 2, 3]);
    let of_class = |scores: Tensor| -> Result<Vec<f64>> { values(&scores.narrow(1, 2, 1)?.contiguous()?) };
    let full = of_class(whole(&x)?)?;
    for patch in 0..6 {
        let shorter = of_class(Tiny::new()?.without(patch as u32).forward(&x, Read::Class)?)?;
        for row in 0..2 {
            let found = values(&map.values().get(row)?)?[patch];
            ensure!(
                (found - (full[row] - shorter[row])).abs() < EXACT,
                "patch {patch} of row {row}: {found}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_score_that_reads_removed_tokens_is_refused() -> Result<()> {
    let (x, model) = (noise(&[1, SIZE, 2, 3], 9)?, Tiny::new()?);
    let mean = |x: &Tensor| model.forward(x, Read::Mean);
    let refused = FeatureAblation::of(Features::Tokens).explain(&mean, (&x, 2));
    ensure!(matches!(refused, Err(Error::TokensRead { .. })), "{refused:?}");
    Ok(())
}

#[test]
fn models_without_attention_and_methods_of_the_input_have_no_tokens() -> Result<()> {
    let x = golden()?.sample("hf_resnet_basic", DType::F64)?;
    let resnet = golden()?.model("hf_resnet_basic", DType::F64)?;
    let refused = FeatureAblation::of(Features::Tokens).explain(&*resnet, (&x, 1));
    ensure!(matches!(refused, Err(Error::MissingLayer { what: "attention", .. })), "{refused:?}");
    let shuffled = FeaturePermutation::of(Features::Tokens).explain(&*resnet, (&x, 1));
    ensure!(matches!(shuffled, Err(Error::Setting { .. })), "{shuffled:?}");
    Ok(())
}

#[test]
fn blocks_that_run_as_one_operation_leave_removed_tokens_out_as_well() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let map = FeatureAblation::of(Features::Tokens).explain(&*model, (&x, 1))?;
    ensure!(values(map.values())?.iter().all(|value| *value != 0.0), "a token that nobody misses");
    let alone = FeatureAblation::of(Features::Tokens).explain(&*model, (&x.narrow(0, 2, 1)?, 1))?;
    assert_near(alone.values(), &map.values().narrow(0, 2, 1)?, 1e-10, "a row alone")
}
