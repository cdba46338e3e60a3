//! What a model is made of, seen by running it once.

use super::selector::matches;
use super::{Kind, Purpose, Rules, Scope, Selector, Watch, watch, within};
use crate::error::nearest;
use crate::schedule::not_finite;
use crate::{Error, Model, Result};
use candle_core::{Tensor, Var};

/// One layer as it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name: the prefix of its parameters, or what a tap was given.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The shape of its output.
    pub shape: Vec<usize>,
    /// Multiply-adds of its forward pass; 0 where elementwise work is all there is.
    pub macs: u64,
}

/// Lists the layers of a model in the order in which they run on `x`.
///
/// Layers of [`nn`](crate::nn) and [`tap`](crate::tap)s show themselves; operations of candle do not.
///
/// # Errors
/// Whatever the model returns.
pub fn layers(model: &dyn Model, x: &Tensor) -> Result<Vec<LayerInfo>> {
    let scope = Scope { purpose: Purpose::List, ..Scope::default() };
    let (output, scope) = within(scope, || model.forward(&x.detach()));
    output?;
    Ok(scope.seen)
}

/// The layers among `seen` that a name or a pattern means: in a pattern `*` stands for any part of a name between two
/// dots, and `**` for any part at all.
///
/// # Errors
/// [`Error::UnknownLayer`] if there is none, with the nearest names.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{layers, layers_like, tap};
///
/// let model = |x: &Tensor| tap("stage2.add", &tap("stage1.add", x)?)?.sum(1);
/// let seen = layers(&model, &Tensor::zeros((1, 3), candle_core::DType::F32, &Device::Cpu)?)?;
/// assert_eq!(layers_like("stage*.add", &seen)?.len(), 2);
/// assert!(layers_like("stage*", &seen).is_err());
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub fn layers_like<'a>(pattern: &str, seen: &'a [LayerInfo]) -> Result<Vec<&'a LayerInfo>> {
    match seen.iter().filter(|layer| matches(pattern, &layer.name)).collect::<Vec<_>>() {
        none if none.is_empty() => Err(shown(pattern, seen)),
        meant => Ok(meant),
    }
}

/// Bytes that a forward pass under `rules` holds for its pass back, as far as the layers show; 0 if there are none.
pub(crate) fn bytes_held(rules: &Rules, model: &dyn Model, x: &Tensor) -> Result<usize> {
    let scope = Scope { purpose: Purpose::Weigh, rules: rules.clone(), ..Scope::default() };
    let x = Var::from_tensor(&x.detach())?;
    let (output, scope) = within(scope, || model.forward(&x));
    output?;
    Ok(scope.held)
}

/// A layer that was asked for by name and never ran, as an error with the names that did.
pub(crate) fn shown(name: &str, seen: &[LayerInfo]) -> Error {
    Error::UnknownLayer { name: name.to_owned(), seen: nearest(name, seen.iter().map(|l| l.name.clone())) }
}

/// The first layer whose output holds a NaN or an infinity.
pub(crate) fn first_not_finite(model: &dyn Model, x: &Tensor) -> Option<String> {
    let tape = watch(model, &x.detach(), vec![(Selector::Every, Watch::Observe)]).ok()?;
    let bad = |activation: &Tensor| not_finite(activation).is_ok_and(|count| count > 0);
    tape.watched()
        .iter()
        .find(|watched| bad(watched.activation()))
        .map(|watched| watched.layer().name.clone())
}
