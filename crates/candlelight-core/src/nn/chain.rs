//! Layers that run as one operation while nobody watches inside.

use super::changed::{self, Knowable};
use super::elements::{has_kernels, lend, widened, with_element};
use super::recorder::{Recorder, folded};
use super::{BatchNorm, Conv2d, chain_rules, multiply};
use crate::scope::{self, Kind, slides};
use crate::vjp::vjp_of_fresh;
use candle_core::{DType, Result, Tensor};
use candlelight_kernels::chain::{self as kernels, Keep, Maps, Order, Value};

/// Frozen layers that run as one operation: convolutions with their batch norms, rectifiers, residual adds and max
/// pools; or the blocks of a transformer.
///
/// candle pays for every operation of a graph with fresh memory and a sum of gradients; a chain pays once. It is the
/// same layers, and agrees with them to rounding. Layers are the truth: as soon as somebody watches one that lies
/// inside, or wants them listed, [`run_parts`] leaves the work to them; and so it does under rules that chains do not
/// know.
///
/// # Example
/// Residual blocks that are one operation unless somebody looks into them:
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use candlelight_core::nn::{self, Activation, Chain, Conv2d, Module};
///
/// struct Block { first: Conv2d, second: Conv2d, act: nn::Act, chain: Option<Chain> }
///
/// impl Block {
///     fn new(first: Conv2d, second: Conv2d, act: nn::Act) -> Self {
///         let chain = Chain::record(|chain| {
///             let x = chain.input();
///             let y = chain.conv(x, &first, None)?;
///             let y = chain.act(y, &act)?;
///             let y = chain.conv(y, &second, None)?;
///             let y = chain.add(x, y, "block.add")?;
///             chain.act(y, &act)
///         });
///         Self { first, second, act, chain: chain.map(|chain| chain.shown_as("block")) }
///     }
/// }
///
/// impl nn::Part for Block {
///     fn chain(&self) -> Option<&Chain> {
///         self.chain.as_ref()
///     }
///
///     fn layers(&self, x: &Tensor) -> Result<Tensor> {
///         let y = self.act.forward(&self.first.forward(x)?)?;
///         let y = self.act.forward(&nn::add(x, &self.second.forward(&y)?, "block.add")?)?;
///         candlelight_core::tap("block", &y)
///     }
/// }
///
/// let weight = Tensor::randn(0f64, 0.3, (2, 2, 3, 3), &Device::Cpu)?;
/// let conv = |name| {
///     let config = nn::Conv2dConfig { padding: 1, ..Default::default() };
///     Conv2d::new(weight.clone(), None, config).at(name)
/// };
/// let block = Block::new(conv("block.first"), conv("block.second"), Activation::Relu.at("block.act"));
/// assert!(block.chain.is_some());
/// let x = Tensor::ones((1, 2, 5, 5), DType::F64, &Device::Cpu)?;
/// assert_eq!(nn::run_parts(&[&block], &x)?.dims(), [1, 2, 5, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) links: Links,
    pub(super) layers: Vec<(String, Kind)>,
    /// The convolutions with the batch norms behind them.
    pub(super) convs: Vec<(Conv2d, Option<BatchNorm>)>,
    output: Option<String>,
}

/// A part of a model that runs as layers or, where there is a chain of them, as one operation.
pub trait Part {
    /// The chain of the layers, if they can be one.
    fn chain(&self) -> Option<&Chain>;

    /// Runs the layers.
    ///
    /// # Errors
    /// Theirs.
    fn layers(&self, x: &Tensor) -> Result<Tensor>;
}

/// Runs `parts` one after the other: as one operation as far as they are chains that nobody looks into, and as layers
/// where somebody does. Parts whose result is replaced do not run.
///
/// # Errors
/// Those of the layers.
pub fn run_parts(parts: &[&dyn Part], x: &Tensor) -> Result<Tensor> {
    let (mut x, mut rest) = match replaced(parts) {
        Some((name, shown, rest)) => (scope::tap(name, &shown)?, rest),
        None => (x.clone(), parts),
    };
    while let [first, ..] = rest {
        let chains = unwatched(rest);
        let ran = match run(&chains, &x)? {
            Some(y) => {
                x = y;
                chains.len()
            }
            None => {
                x = alone(*first, &x)?;
                1
            }
        };
        rest = &rest[ran..];
    }
    Ok(x)
}

/// Runs one part that somebody looks into: as one operation under rules that chains know, else as layers.
fn alone(part: &dyn Part, x: &Tensor) -> Result<Tensor> {
    let ran = part.chain().map(|chain| chain_rules::run(chain, x)).transpose()?.flatten();
    ran.map_or_else(|| part.layers(x), Ok)
}

/// The last of the first parts whose output is replaced while nobody looks at those before it: its name, what to show in
/// it, and the parts behind it.
fn replaced<'a, 'p>(parts: &'a [&'p dyn Part]) -> Option<(&'p str, Tensor, &'a [&'p dyn Part])> {
    let chains = unwatched(parts);
    let name = chains.last()?.output.as_deref()?;
    Some((name, scope::replacement(name)?, &parts[chains.len()..]))
}

/// The chains of the first parts, up to one that is looked into or whose output is watched.
fn unwatched<'a>(parts: &[&'a dyn Part]) -> Vec<&'a Chain> {
    let mut chains = Vec::new();
    for chain in parts.iter().map_while(|part| part.chain()) {
        if scope::looks_into(|| chain.layers.iter()) {
            break;
        }
        chains.push(chain);
        let output: Vec<_> = chain.output.iter().map(|name| (name.clone(), Kind::Tap)).collect();
        if scope::looks_into(|| output.iter()) {
            break;
        }
    }
    chains
}

/// Runs `chains` as one operation, on half precision in single; nothing if they cannot run on `x`.
fn run(chains: &[&Chain], x: &Tensor) -> Result<Option<Tensor>> {
    let Some(last) = chains.last().filter(|_| x.device().is_cpu()) else { return Ok(None) };
    let y = run_wide(chains, &widened(x)?)?;
    y.map(|y| last.shown(y.to_dtype(x.dtype())?)).transpose()
}

fn run_wide(chains: &[&Chain], x: &Tensor) -> Result<Option<Tensor>> {
    let Some((order, from)) = maps_of(x) else { return Ok(None) };
    match has_kernels(x) {
        true => with_element!(x, T => run_as::<T>(chains, (order, from), x)),
        false => Ok(None),
    }
}

/// Images `[N, C, H, W]` and tokens `[N, T, D]` as chains have them.
pub(super) fn maps_of(x: &Tensor) -> Option<(Order, Maps)> {
    match *x.dims() {
        [images, channels, height, width] => {
            Some((Order::ChannelsFirst, Maps { images, height, width, channels }))
        }
        [images, height, channels] => {
            Some((Order::ChannelsLast, Maps { images, height, width: 1, channels }))
        }
        _ => None,
    }
}

#[derive(Clone, Debug)]
pub(super) enum Links {
    F32(kernels::Chain<f32>),
    F64(kernels::Chain<f64>),
}

/// Evaluates an expression for the chain of either type.
macro_rules! of_links {
    ($links:expr, $chain:ident => $body:expr) => {
        match $links {
            Links::F32($chain) => $body,
            Links::F64($chain) => $body,
        }
    };
}
pub(super) use of_links;

impl Chain {
    /// The chain that `layers` records, which gives the value recorded last; `None` as soon as a layer cannot be part
    /// of it.
    ///
    /// Convolutions must have one group, frozen weights of float32 or float64 on the CPU, batch norms and rectifiers
    /// must follow a convolution or an add directly, and an add must follow one of its addends directly.
    pub fn record(layers: impl FnOnce(&mut Recorder) -> Option<Value>) -> Option<Self> {
        let links = Links::F32(kernels::Chain::new(multiply::wanted()));
        let mut recorder = Recorder(Self { links, layers: Vec::new(), convs: Vec::new(), output: None });
        let output = layers(&mut recorder)?;
        let last = of_links!(&recorder.0.links, chain => !chain.is_empty() && chain.output() == output);
        last.then_some(recorder.0)
    }

    /// The same chain, its output shown to the scope under a name.
    pub fn shown_as(self, name: impl Into<String>) -> Self {
        Self { output: Some(name.into()), ..self }
    }

    /// The weight of the convolution at this place among them, with its batch norm folded in, as one row.
    pub(super) fn weight(&self, index: usize) -> Result<Tensor> {
        let (conv, norm) = &self.convs[index];
        folded(conv, norm.as_ref())?.0.flatten_all()
    }

    /// Its output `y`, shown to the scope if it has a name.
    pub(super) fn shown(&self, y: Tensor) -> Result<Tensor> {
        match &self.output {
            Some(name) => scope::tap(name, &y),
            None => Ok(y),
        }
    }

    pub(super) fn dtype(&self) -> DType {
        match self.links {
            Links::F32(_) => DType::F32,
            Links::F64(_) => DType::F64,
        }
    }
}

/// A type of number that there are chains of.
pub(super) trait Linked: super::elements::Number {
    fn links(chain: &Chain) -> Option<&kernels::Chain<Self>>;
}

impl Linked for f32 {
    fn links(chain: &Chain) -> Option<&kernels::Chain<Self>> {
        match &chain.links {
            Links::F32(links) => Some(links),
            Links::F64(_) => None,
        }
    }
}

impl Linked for f64 {
    fn links(chain: &Chain) -> Option<&kernels::Chain<Self>> {
        match &chain.links {
            Links::F64(links) => Some(links),
            Links::F32(_) => None,
        }
    }
}

fn run_as<T: Knowable>(
    chains: &[&Chain],
    (order, from): (Order, Maps),
    x: &Tensor,
) -> Result<Option<Tensor>> {
    if let Some(changes) = scope::changes_of(x)
        && let Some((y, to)) = changed::run::<T>(chains, (order, from), x, &changes)?
    {
        return shaped(y, order, to, x).map(Some);
    }
    let Some(links) = chains.iter().map(|chain| T::links(chain)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let keep = if x.track_op() { Keep::ForBack } else { Keep::Nothing };
    let ran = lend(x, |x| kernels::run(&links, (order, from), x, keep))?;
    let Some((y, passed)) = ran else { return Ok(None) };
    tell_windows(&links, from);
    scope::holds(passed.bytes());
    let y = shaped(y, order, passed.output(), x)?;
    if !x.track_op() {
        return Ok(Some(y));
    }
    let shape = x.shape().clone();
    let chains: Vec<Chain> = chains.iter().map(|&chain| chain.clone()).collect();
    let pullback = move |_: &Tensor, g: &Tensor| {
        let links: Vec<_> = chains.iter().filter_map(T::links).collect();
        let dx = lend(g, |g| kernels::input_gradient(&links, &passed, g))?;
        Ok(vec![Some(Tensor::from_vec(dx, &shape, g.device())?)])
    };
    vjp_of_fresh(&[x], y, pullback).map(Some)
}

/// What came out as a tensor beside `x`.
pub(super) fn shaped<T: Linked>(y: Vec<T>, order: Order, maps: Maps, x: &Tensor) -> Result<Tensor> {
    let Maps { images, height, width, channels } = maps;
    match order {
        Order::ChannelsFirst => Tensor::from_vec(y, (images, channels, height, width), x.device()),
        Order::ChannelsLast => Tensor::from_vec(y, (images, height * width, channels), x.device()),
    }
}

/// Tells the scope where the windows lie, as the layers would.
pub(super) fn tell_windows<T: Linked>(links: &[&kernels::Chain<T>], from: Maps) {
    links.iter().try_fold(from, |from, links| {
        links.windows(from)?.iter().for_each(|(window, from, to)| slides(window, *from, *to));
        links.maps(from)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{Selector, Watch, watch};
    use candle_core::Device;

    /// A chain that fits no input of this test, and layers that fail.
    struct Unfit(Chain);

    impl Part for Unfit {
        fn chain(&self) -> Option<&Chain> {
            Some(&self.0)
        }

        fn layers(&self, _: &Tensor) -> Result<Tensor> {
            candle_core::bail!("it ran")
        }
    }

    fn unfit(name: &str) -> Result<Unfit> {
        let weight = Tensor::ones((2, 7, 1, 1), DType::F64, &Device::Cpu)?;
        let conv =
            Conv2d::new(weight, None, super::super::Conv2dConfig::default()).at(format!("{name}.conv"));
        let chain = Chain::record(|chain| chain.conv(chain.input(), &conv, None));
        chain.map(|chain| Unfit(chain.shown_as(name))).ok_or_else(|| candle_core::Error::msg("no chain"))
    }

    #[test]
    fn parts_whose_result_is_replaced_do_not_run() -> crate::Result<()> {
        let (first, second) = (unfit("first")?, unfit("second")?);
        let model = |x: &Tensor| run_parts(&[&first, &second], x);
        let x = Tensor::zeros((1, 3, 4, 4), DType::F64, &Device::Cpu)?;
        let versions = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((3, 2, 1, 1))?;
        let with = |name: &str, mark: Watch| watch(&model, &x, vec![(Selector::Name(name.to_owned()), mark)]);
        for mark in [Watch::Replace(versions.clone()), Watch::Fan(versions.clone())] {
            let tape = with("second", mark.clone())?;
            assert_eq!(tape.output().flatten_all()?.to_vec1::<f64>()?, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(tape.only()?.activation().dims(), [3, 2, 1, 1]);
            assert!(with("first", mark.clone()).is_err(), "what lies above runs");
            assert!(with("first.conv", mark).is_err(), "what is watched runs");
        }
        assert!(with("second", Watch::Observe).is_err());
        Ok(())
    }
}
