//! The rows of the audit that have a derivative: each layer in every setting.

use crate::harness::{Found, wave};
use candle_core::{Module, ModuleT, Result, Tensor};
use candlelight_core::nn;

/// One row: a layer, what is varied, and the check.
pub type Row = (&'static str, &'static str, fn(&mut Found) -> Result<()>);

pub const ROWS: &[Row] = &[
    ("`Linear`", "rank 2 and 3, bias", linear),
    ("`Embedding`", "table", embedding),
    ("`BatchNorm`", "evaluation, rank 2 to 4", batch_norm),
    ("`BatchNorm`", "training, batches of 2 and 5", batch_norm_in_training),
    ("`LayerNorm`", "bias, rank 2 and 3", layer_norm),
    ("`RmsNorm`", "rank 2 and 3", rms_norm),
    ("`GroupNorm`", "groups 1, c/2, c; rank 3 and 4", group_norm),
    ("`softmax`, `softmax_last_dim`", "every axis", softmax),
    ("`ops::log_softmax`", "every axis, batches of 1 and 5", log_softmax),
    ("`attention`", "gradients of queries, keys, values", attention),
    ("`rotary_emb`", "`rope`, `rope_i`, `rope_thd`", rope),
    ("`add`", "both sides", add),
    ("`LSTM`, `GRU`", "one layer, three steps, batches of 1 and 5", recurrent),
    ("`Dropout`", "evaluation", dropout),
    ("`ops`", "pixel shuffle and unshuffle, replication pad, identity; batches of 1 and 5", shapes),
    ("`Activation`", "every variant, away from its kinks", activations),
    ("`PReLU`", "one weight, one per channel", prelu),
];

/// Batches of every row that has one.
pub const BATCHES: [usize; 3] = [0, 1, 5];

fn linear(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for shape in [vec![n, 5], vec![n, 3, 5]] {
            found.layer(&shape, |vb| nn::linear(5, 4, vb), |linear, x| linear.forward(x))?;
            found.layer(&shape, |vb| nn::linear_b(5, 1, false, vb), |linear, x| linear.forward(x))?;
        }
    }
    Ok(())
}

fn embedding(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        let tokens: Vec<u32> = (0..3 * n as u32).map(|i| i * i % 4).collect();
        let tokens = Tensor::from_vec(tokens, (n, 3), &candle_core::Device::Cpu)?;
        found.layer(
            &[n, 3, 2],
            |vb| nn::embedding(4, 2, vb),
            |table, x| {
                // Side by side: candle's product of empty tensors forgets its second factor.
                Tensor::cat(&[&table.forward(&tokens)?, x], 2)
            },
        )?;
    }
    Ok(())
}

fn batch_norm(found: &mut Found) -> Result<()> {
    let bare = nn::BatchNormConfig { affine: false, ..Default::default() };
    for n in BATCHES {
        for shape in [vec![n, 3], vec![n, 3, 5], vec![n, 3, 4, 2]] {
            found.layer(&shape, |vb| nn::batch_norm(3, 1e-5, vb), |norm, x| norm.forward_t(x, false))?;
            found.layer(&shape, |vb| nn::batch_norm(3, bare, vb), |norm, x| norm.forward_t(x, false))?;
        }
    }
    Ok(())
}

fn batch_norm_in_training(found: &mut Found) -> Result<()> {
    let off_centre = nn::BatchNormConfig { remove_mean: false, eps: 1e-3, ..Default::default() };
    for shape in [[2, 3, 4, 2], [5, 3, 3, 3]] {
        for config in [off_centre, 1e-3.into()] {
            found.layer(&shape, |vb| nn::batch_norm(3, config, vb), |norm, x| norm.forward_train(x))?;
        }
    }
    Ok(())
}

fn layer_norm(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for shape in [vec![n, 6], vec![n, 3, 7]] {
            let width = shape[shape.len() - 1];
            found.layer(&shape, |vb| nn::layer_norm(width, 1e-5, vb), |norm, x| norm.forward(x))?;
            found.layer(&shape, |vb| nn::layer_norm_no_bias(width, 1e-5, vb), |norm, x| norm.forward(x))?;
        }
    }
    Ok(())
}

fn rms_norm(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for shape in [vec![n, 6], vec![n, 3, 7]] {
            let width = shape[shape.len() - 1];
            found.layer(&shape, |vb| nn::rms_norm(width, 1e-5, vb), |norm, x| norm.forward(x))?;
        }
    }
    Ok(())
}

fn group_norm(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for groups in [1, 2, 4] {
            for shape in [vec![n, 4, 5], vec![n, 4, 3, 2]] {
                found.layer(&shape, |vb| nn::group_norm(groups, 4, 1e-3, vb), |norm, x| norm.forward(x))?;
            }
        }
    }
    Ok(())
}

fn softmax(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        found.function(&[n, 3, 4], nn::softmax_last_dim)?;
        for axis in if n == 0 { 1..3 } else { 0..3 } {
            found.function(&[n, 3, 4], |x| nn::ops::softmax(x, axis))?;
        }
    }
    Ok(())
}

fn log_softmax(found: &mut Found) -> Result<()> {
    for n in [1, 5] {
        for axis in 0..3 {
            found.function(&[n, 3, 4], |x| nn::ops::log_softmax(x, axis))?;
        }
    }
    Ok(())
}

fn attention(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for turn in 0..3 {
            found.function(&[n, 2, 4, 3], |x| {
                let mut parts = [x.clone(), wave(&[n, 2, 4, 3], 0.8), wave(&[n, 2, 4, 3], 0.6)];
                parts.rotate_right(turn);
                nn::attention(&parts[0], &parts[1], &parts[2], 0.6, "attention")
            })?;
        }
    }
    Ok(())
}

fn rope(found: &mut Found) -> Result<()> {
    let (cos, sin) = (wave(&[5, 2], 0.3).cos()?, wave(&[5, 2], 0.3).sin()?);
    for n in BATCHES {
        found.function(&[n, 2, 5, 4], |x| nn::rotary_emb::rope(x, &cos, &sin))?;
        found.function(&[n, 2, 5, 4], |x| nn::rotary_emb::rope_i(x, &cos, &sin))?;
        found.function(&[n, 5, 2, 4], |x| nn::rotary_emb::rope_thd(x, &cos, &sin))?;
    }
    Ok(())
}

fn add(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        found.function(&[n, 3], |x| nn::add(x, &x.sqr()?, "sum"))?;
    }
    Ok(())
}

fn recurrent(found: &mut Found) -> Result<()> {
    use nn::RNN;
    for n in [1, 5] {
        let lstm = |vb: nn::VarBuilder| nn::lstm(3, 4, nn::LSTMConfig::default(), vb);
        found.layer(&[n, 3, 3], lstm, |lstm, x| lstm.states_to_tensor(&lstm.seq(x)?))?;
        let gru = |vb: nn::VarBuilder| nn::gru(3, 4, nn::GRUConfig::default(), vb);
        found.layer(&[n, 3, 3], gru, |gru, x| gru.states_to_tensor(&gru.seq(x)?))?;
    }
    Ok(())
}

fn dropout(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        found.function(&[n, 3], |x| nn::Dropout::new(0.5).forward_t(x, false))?;
    }
    Ok(())
}

fn shapes(found: &mut Found) -> Result<()> {
    for n in [1, 5] {
        found.function(&[n, 4, 3, 2], |x| nn::ops::pixel_shuffle(x, 2))?;
        found.function(&[n, 1, 4, 6], |x| nn::ops::pixel_unshuffle(x, 2))?;
        found.function(&[n, 1, 3, 4], |x| nn::ops::replication_pad2d(x, 1))?;
        found.function(&[n, 2], |x| nn::ops::Identity::new().forward(x))?;
    }
    Ok(())
}

fn activations(found: &mut Found) -> Result<()> {
    use nn::Activation::*;
    let all = [
        Gelu,
        NewGelu,
        Relu,
        Relu2,
        Relu6,
        Silu,
        Sigmoid,
        HardSigmoid,
        Swiglu,
        Swish,
        Mish,
        HardSwish,
        Elu(0.7),
        LeakyRelu(0.2),
        GeluPytorchTanh,
        Tanh,
    ];
    for n in BATCHES {
        for activation in all {
            found.function(&[n, 6], |x| activation.forward(&(x * 4.0)?))?;
        }
        found.function(&[n, 6], |x| nn::ops::selu(x, 1.67, 1.05))?;
    }
    Ok(())
}

fn prelu(found: &mut Found) -> Result<()> {
    for n in BATCHES {
        for channels in [None, Some(3)] {
            for shape in [vec![n, 3], vec![n, 3, 2, 4]] {
                found.layer(&shape, |vb| nn::prelu(channels, vb), |prelu, x| prelu.forward(x))?;
            }
        }
    }
    Ok(())
}
