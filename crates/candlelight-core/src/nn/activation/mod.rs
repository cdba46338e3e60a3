//! Activations with exact derivatives; at a kink the derivative is PyTorch's.

mod by_candle;
mod curve;
mod prelu;
mod secant;

pub use prelu::{PReLU, prelu};

use super::Module;
use crate::rules::rescale::product_of_pairs;
use crate::rules::{Form, Rule};
use crate::scope::{Asking, Kind, report_biased, rule_for};
use candle_core::{D, Result, Tensor};
use curve::Curve;
use serde::{Deserialize, Serialize};

/// An activation, under candle_nn's names. As a [`Module`] it has no name; [`at`](Self::at) gives it one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// x·Φ(x) with the exact error function ([paper](https://arxiv.org/abs/1606.08415)); candle's
    /// `Tensor::gelu_erf`, PyTorch's default.
    #[default]
    Gelu,
    /// [`GeluPytorchTanh`](Self::GeluPytorchTanh) under the name that GPT-2 has for it.
    #[serde(alias = "gelu_new")]
    NewGelu,
    /// max(x, 0), with derivative 0 at 0.
    Relu,
    /// max(x, 0)².
    Relu2,
    /// min(max(x, 0), 6), with derivative 0 at 0 and at 6.
    Relu6,
    /// x·σ(x).
    Silu,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x/6 + 1/2, held between 0 and 1; derivative 0 at both ends.
    HardSigmoid,
    /// SiLU of the first half of the last axis times the second half ([paper](https://arxiv.org/abs/2002.05202)): the
    /// one activation that is not elementwise.
    Swiglu,
    /// [`Silu`](Self::Silu) by its other name.
    Swish,
    /// x·tanh(ln(1 + eˣ)) ([paper](https://arxiv.org/abs/1908.08681)).
    Mish,
    /// x times [`HardSigmoid`](Self::HardSigmoid) ([paper](https://arxiv.org/abs/1905.02244)); derivative 0 at −3 and 1
    /// at 3.
    HardSwish,
    /// x for x > 0, else α(eˣ − 1) ([paper](https://arxiv.org/abs/1511.07289)).
    Elu(f64),
    /// x for x > 0, else x times this slope, which is also the derivative at 0.
    LeakyRelu(f64),
    /// x/2·(1 + tanh(√(2/π)(x + 0.044715·x³))); candle's `Tensor::gelu`, PyTorch's `approximate="tanh"`.
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluPytorchTanh,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The same activation, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Act {
        Act { activation: self, name: name.into() }
    }

    /// Runs the activation as the layer `name`.
    fn run(self, name: &str, x: &Tensor) -> Result<Tensor> {
        let form = self.curve().map_or(Form::Gate, Curve::form);
        let rule = rule_for(Asking { name, kind: Kind::Activation, form, what: &self });
        let y = match self.curve() {
            Some(curve) => curve.apply(x, rule)?,
            None => swiglu(x, rule)?,
        };
        report_biased(name, Kind::Activation, 0, y, |y| {
            self.curve().map_or(Ok(None), |curve| curve.beyond(&x.detach(), &y.detach()))
        })
    }

    /// The function of one number that it is; nothing if it is none.
    fn curve(self) -> Option<Curve> {
        Some(match self {
            Self::Swiglu => return None,
            Self::Gelu => Curve::Gelu,
            Self::NewGelu | Self::GeluPytorchTanh => Curve::TanhGelu,
            Self::Relu => Curve::Relu,
            Self::Relu2 => Curve::Relu2,
            Self::Relu6 => Curve::Relu6,
            Self::Silu | Self::Swish => Curve::Silu,
            Self::Sigmoid => Curve::Sigmoid,
            Self::HardSigmoid => Curve::HardSigmoid,
            Self::Mish => Curve::Mish,
            Self::HardSwish => Curve::HardSwish,
            Self::Elu(alpha) => Curve::Elu(alpha),
            Self::LeakyRelu(slope) => Curve::LeakyRelu(slope),
            Self::Tanh => Curve::Tanh,
        })
    }
}

fn swiglu(x: &Tensor, rule: Option<Rule>) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if !width.is_multiple_of(2) {
        candle_core::bail!("SwiGLU halves the last axis, which has {width} elements")
    }
    let half = |index: usize| x.narrow(D::Minus1, index * width / 2, width / 2);
    let pairs = rule.filter(Rule::is_of_pairs);
    let (gate, value) = (Curve::Silu.apply(&half(0)?, pairs.clone())?, half(1)?);
    match pairs {
        Some(_) => product_of_pairs(&gate, &value),
        None => gate * value,
    }
}

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run("", x)
    }
}

/// An [`Activation`] with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    activation: Activation,
    name: String,
}

impl Act {
    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Module for Act {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.activation.run(&self.name, x)
    }
}

macro_rules! functions {
    ($($name:ident => $activation:ident),*) => { $(
        #[doc = concat!("[`Activation::", stringify!($activation), "`] as a function.\n\n# Errors\nIf candle fails.")]
        pub fn $name(x: &Tensor) -> Result<Tensor> {
            Activation::$activation.forward(x)
        }
    )* };
}
functions!(
    relu => Relu,
    relu6 => Relu6,
    gelu => Gelu,
    gelu_tanh => GeluPytorchTanh,
    silu => Silu,
    mish => Mish,
    hard_swish => HardSwish,
    hard_sigmoid => HardSigmoid,
    tanh => Tanh,
    sigmoid => Sigmoid
);

/// [`Activation::Elu`] as a function.
///
/// # Errors
/// If candle fails.
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    Activation::Elu(alpha).forward(x)
}

/// [`Activation::LeakyRelu`] as a function.
///
/// # Errors
/// If candle fails.
pub fn leaky_relu(x: &Tensor, negative_slope: f64) -> Result<Tensor> {
    Activation::LeakyRelu(negative_slope).forward(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn names_stand_for_what_they_stand_for_in_candle_nn() -> Result<()> {
        use candle_nn::Activation as Theirs;
        let pairs = [
            (Activation::Gelu, Theirs::Gelu),
            (Activation::NewGelu, Theirs::NewGelu),
            (Activation::Relu, Theirs::Relu),
            (Activation::Relu2, Theirs::Relu2),
            (Activation::Relu6, Theirs::Relu6),
            (Activation::Silu, Theirs::Silu),
            (Activation::Sigmoid, Theirs::Sigmoid),
            (Activation::HardSigmoid, Theirs::HardSigmoid),
            (Activation::Swiglu, Theirs::Swiglu),
            (Activation::Swish, Theirs::Swish),
            (Activation::Mish, Theirs::Mish),
            (Activation::HardSwish, Theirs::HardSwish),
            (Activation::Elu(0.7), Theirs::Elu(0.7)),
            (Activation::LeakyRelu(0.2), Theirs::LeakyRelu(0.2)),
            (Activation::GeluPytorchTanh, Theirs::GeluPytorchTanh),
        ];
        let values: Vec<f64> = (-60..60).map(|i| f64::from(i) * 0.13).collect();
        let x = Tensor::from_vec(values, (4, 30), &Device::Cpu)?;
        for (ours, theirs) in pairs {
            let apart = (ours.forward(&x)? - theirs.forward(&x)?)?.abs()?.max_all()?.to_scalar::<f64>()?;
            assert!(apart < 1e-9, "{ours:?}: {apart:e}");
            let name = serde_json::to_string(&theirs).expect("a name");
            assert_eq!(serde_json::from_str::<Activation>(&name).expect("the same name"), ours);
        }
        Ok(())
    }
}
