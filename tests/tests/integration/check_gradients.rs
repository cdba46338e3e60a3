//! `check_gradients` finds what is severed, and passes what is sound.

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use candlelight_core::{Error, Model, check_gradients};
use candlelight_models::{ResNet, ResNetConfig, ViTConfig};
use candlelight_tests::Folder;
use candlelight_tests::folders::{Place, places};

use crate::fixtures::{builder, images, noise, random_resnet, random_vit};
use crate::rivals::{photos, resnet_weights, resnets, their_vit};

const BOTH: [DType; 2] = [DType::F32, DType::F64];
/// The largest difference on a sound model in double precision, as a share of the change. Measured: 4e-10.
const SOUND_F64: f64 = 1e-7;
/// The same in single precision: rounding, and kinks within a step. Measured: 0.03.
const SOUND_F32: f64 = 0.045;

fn sound(name: &str, model: &dyn Model, x: &Tensor) -> Result<()> {
    let worst = check_gradients(model, x)?.worst;
    println!("{name} {:?}: {worst:.1e}", x.dtype());
    let allowed = if x.dtype() == DType::F64 { SOUND_F64 } else { SOUND_F32 };
    ensure!(worst <= allowed, "{name} {:?}: off by {worst:.1e}", x.dtype());
    Ok(())
}

#[test]
fn it_passes_on_every_model_of_the_reference_data() -> Result<()> {
    let found = places().into_iter().filter_map(|place| match place {
        Place::Found(folder) => Some(folder),
        Place::Metrics(_) | Place::Missing(_) | Place::Absent(_) => None,
    });
    for folder in found {
        let folder = Folder::open(&folder)?;
        for id in folder.models() {
            for dtype in BOTH {
                let x = folder.sample(id, dtype)?;
                for row in 0..x.dim(0)? {
                    let name = format!("{}/{id} row {row}", folder.label());
                    sound(&name, &*folder.model(id, dtype)?, &x.narrow(0, row, 1)?)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn it_passes_on_random_models_of_the_bundled_sizes() -> Result<()> {
    for dtype in BOTH {
        for seed in 0..3 {
            let x = noise(&[1, 3, 64, 64], seed)?.to_dtype(dtype)?;
            sound("scenes resnet", &random_resnet(ResNetConfig::scenes(), dtype, seed)?, &x)?;
            sound("scenes vit", &random_vit(ViTConfig::scenes(), dtype, seed)?, &x)?;
        }
    }
    Ok(())
}

#[test]
fn it_passes_on_our_resnets_where_it_refuses_those_of_candle_transformers() -> Result<()> {
    for (name, config, theirs) in resnets() {
        let weights = resnet_weights(&config, DType::F32)?;
        let x = photos(DType::F32)?;
        sound(name, &ResNet::new(config, builder(&weights, DType::F32))?, &x)?;
        let theirs = theirs(10, builder(&weights, DType::F32))?;
        let error = check_gradients(&theirs, &x).expect_err("their max pool has no backward pass");
        ensure!(matches!(error, Error::NotDifferentiable { .. }), "{error:?}");
        ensure!(error.to_string().contains("maxpool2d"), "{error}");
    }
    Ok(())
}

/// Fails unless the check says that gradients are missing, and which operations to look for.
fn severed(name: &str, model: &dyn Model, x: &Tensor) -> Result<()> {
    let Err(error) = check_gradients(model, x) else { anyhow::bail!("{name} {:?} passes", x.dtype()) };
    println!("{name} {:?}: {error}", x.dtype());
    ensure!(matches!(error, Error::NoGradient { .. } | Error::WrongGradient { .. }), "{error:?}");
    let message = error.to_string();
    ensure!(message.contains("layer_norm") && message.contains("softmax_last_dim"), "{message}");
    Ok(())
}

#[test]
fn it_names_what_severs_the_vit_of_candle_transformers() -> Result<()> {
    let theirs = their_vit()?;
    severed("vit", &|x: &Tensor| theirs.forward(x), &images(DType::F32)?)
}

/// Tokens `[N, T, features]` through a linear map, a residual block with `branch`, and a head.
fn residual(
    dtype: DType,
    branch: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor> + Sync,
) -> Result<impl Fn(&Tensor) -> candle_core::Result<Tensor> + Sync> {
    let weight = |seed| -> Result<Tensor> { Ok((noise(&[16, 16], seed)? * 0.43)?.to_dtype(dtype)?) };
    let (first, inner, head) = (weight(1)?, weight(2)?, weight(3)?);
    Ok(move |x: &Tensor| {
        let h = x.broadcast_matmul(&first)?.contiguous()?;
        let h = (&h + branch(&h, &inner)?)?;
        h.broadcast_matmul(&head)?.tanh()?.mean(1)
    })
}

fn tokens(dtype: DType) -> Result<Tensor> {
    Ok((noise(&[1, 12, 16], 5)? * 1.7)?.to_dtype(dtype)?)
}

#[test]
fn a_branch_that_ends_in_a_fused_softmax_counts_as_severed() -> Result<()> {
    for dtype in BOTH {
        let model =
            residual(dtype, |h, w| candle_nn::ops::softmax_last_dim(&(h.broadcast_matmul(w)? * 2.0)?))?;
        severed("x + softmax(xW)", &model, &tokens(dtype)?)?;
    }
    Ok(())
}

/// In single precision only: candle's fused layer norm refuses double.
#[test]
fn a_branch_behind_a_fused_layer_norm_counts_as_severed() -> Result<()> {
    let (weight, bias) =
        (Tensor::ones(16, DType::F32, &Device::Cpu)?, noise(&[16], 9)?.to_dtype(DType::F32)?);
    let model = residual(DType::F32, move |h, w| {
        candle_nn::ops::layer_norm(h, &weight, &bias, 1e-5)?.broadcast_matmul(w)
    })?;
    severed("x + norm(x)W", &model, &tokens(DType::F32)?)
}

#[test]
fn attention_whose_values_stay_alive_counts_as_severed_when_its_softmax_is_fused() -> Result<()> {
    let attention = |h: &Tensor, w: &Tensor, softmax: fn(&Tensor) -> candle_core::Result<Tensor>| {
        let scores = h.broadcast_matmul(w)?.matmul(&h.transpose(1, 2)?)?;
        softmax(&(scores * 0.5)?)?.matmul(&h.contiguous()?)
    };
    for dtype in BOTH {
        let fused = residual(dtype, |h, w| attention(h, w, candle_nn::ops::softmax_last_dim))?;
        severed("x + attention(x)", &fused, &tokens(dtype)?)?;
        let whole = residual(dtype, |h, w| attention(h, w, |x| candle_nn::ops::softmax(x, D::Minus1)))?;
        sound("x + attention(x)", &whole, &tokens(dtype)?)?;
    }
    Ok(())
}

#[test]
fn a_pool_whose_gradient_candle_scales_counts_as_wrong() -> Result<()> {
    for dtype in BOTH {
        let model = |x: &Tensor| x.max_pool2d(2)?.sqr()?.sum((1, 2, 3))?.unsqueeze(1);
        let error = check_gradients(&model, &photos(dtype)?).expect_err("candle divides by the window");
        ensure!(matches!(error, Error::WrongGradient { .. }), "{error:?}");
    }
    Ok(())
}

#[test]
fn a_constant_model_and_an_input_of_zeros_pass() -> Result<()> {
    let x = photos(DType::F32)?;
    let constant = |x: &Tensor| (x - 100.0)?.relu()?.sum((1, 2, 3))?.unsqueeze(1);
    ensure!(check_gradients(&constant, &x)?.worst == 0.0);
    let smooth = |x: &Tensor| (x + 1.0)?.sin()?.sum((1, 2, 3))?.unsqueeze(1);
    sound("sin(1 + x) at 0", &smooth, &x.zeros_like()?)
}
