//! LeNet: two convolutions and three fully connected layers, for images of digits.

use candle_core::{Result, Tensor};
use candlelight_core::nn::{self, Activation, Chain, Module, Part, VarBuilder};
use candlelight_core::tap;

use crate::path;

/// Height and width of the images that it takes.
pub const IMAGE_SIZE: (usize, usize) = (28, 28);

/// Channels behind the two convolutions.
const CHANNELS: [usize; 2] = [6, 16];
/// Values that the fully connected layers take and give, but for the classes.
const WIDTHS: [usize; 3] = [256, 120, 84];

/// A LeNet (<https://doi.org/10.1109/5.726791>) with rectifiers and max pools, as its descendants have it: the network of
/// [Quantus'](https://github.com/understandable-machine-intelligence-lab/Quantus) tutorials, with the names of its
/// weights.
///
/// Every layer is a tap: `conv_1`, `relu_1`, `pool_1`, `conv_2`, `relu_2`, `pool_2`, `flatten`, `fc_1`, `relu_3`, `fc_2`,
/// `relu_4`, `fc_3`.
#[derive(Clone, Debug)]
pub struct LeNet {
    features: Features,
    hidden: [(nn::Linear, nn::Act); 2],
    head: nn::Linear,
    classes: usize,
    last_activation: String,
}

/// The convolutions with what follows each.
#[derive(Clone, Debug)]
struct Features {
    units: [(nn::Conv2d, nn::Act, nn::MaxPool2d); 2],
    chain: Option<Chain>,
}

impl LeNet {
    /// A network for grey images of 28 x 28 pixels whose weights come from `vb`.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape.
    pub fn new(classes: usize, vb: VarBuilder) -> Result<Self> {
        let act = |name: &str| Activation::Relu.at(path(&vb, name));
        let [flat, first, second] = WIDTHS;
        Ok(Self {
            features: Features::new(&vb)?,
            hidden: [
                (nn::linear(flat, first, vb.pp("fc_1"))?, act("relu_3")),
                (nn::linear(first, second, vb.pp("fc_2"))?, act("relu_4")),
            ],
            head: nn::linear(second, classes, vb.pp("fc_3"))?,
            classes,
            last_activation: path(&vb, "relu_2"),
        })
    }

    /// The number of logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The last activation of the features.
    pub fn last_activation(&self) -> &str {
        &self.last_activation
    }
}

impl Module for LeNet {
    /// Logits `[N, classes]` of images `[N, 1, 28, 28]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = tap("flatten", &nn::run_parts(&[&self.features], x)?.flatten_from(1)?)?;
        let x = self.hidden.iter().try_fold(x, |x, (linear, act)| act.forward(&linear.forward(&x)?))?;
        self.head.forward(&x)
    }
}

impl Features {
    fn new(vb: &VarBuilder) -> Result<Self> {
        let unit = |number: usize, inputs: usize, outputs: usize| {
            let name = |what: &str| format!("{what}_{number}");
            let conv = nn::conv2d(inputs, outputs, 5, nn::Conv2dConfig::default(), vb.pp(name("conv")))?;
            let pool = nn::MaxPool2d::new(2, 2, 0).at(path(vb, &name("pool")));
            Ok::<_, candle_core::Error>((conv, Activation::Relu.at(path(vb, &name("relu"))), pool))
        };
        let units = [unit(1, 1, CHANNELS[0])?, unit(2, CHANNELS[0], CHANNELS[1])?];
        let chain = Chain::record(|chain| {
            units.iter().try_fold(chain.input(), |x, (conv, act, pool)| {
                let x = chain.conv(x, conv, None)?;
                let x = chain.act(x, act)?;
                chain.max_pool(x, pool)
            })
        });
        Ok(Self { units, chain })
    }
}

impl Part for Features {
    fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    fn layers(&self, x: &Tensor) -> Result<Tensor> {
        let unit = |x: Tensor, (conv, act, pool): &(nn::Conv2d, nn::Act, nn::MaxPool2d)| {
            pool.forward(&act.forward(&conv.forward(&x)?)?)
        };
        self.units.iter().try_fold(x.clone(), unit)
    }
}
