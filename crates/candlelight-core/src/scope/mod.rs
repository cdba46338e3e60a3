//! The ambient scope that layers report to, and what can be asked of it.
//!
//! A scope lives on one thread for the length of one closure. Every layer of [`nn`](crate::nn) and every
//! [`tap`] shows it a name, a kind and a tensor; the scope notes the name and, where somebody watches, keeps the
//! tensor, cuts the graph there or records the gradient that flows by. Without a scope a report costs one
//! thread-local look.

mod absent;
mod audience;
mod changes;
mod grid;
mod guard;
mod layers;
mod rules;
mod selector;
mod tape;
mod trace;

pub use grid::{TokenGrid, token_grid};
pub use layers::{LayerInfo, layers, layers_like};
pub use selector::Selector;
pub use tape::{Tape, Watched};

pub(crate) use absent::{to_present_keys, without_tokens};
pub(crate) use audience::{Audience, audience};
pub(crate) use changes::{Changes, KnownValues, Original, changes_of};
pub(crate) use layers::{bytes_held, first_not_finite, shown};
pub(crate) use rules::{Asking, Planned, Rules, account, obeys, rule_for, rules_inside};
pub(crate) use tape::{Watch, watch};
pub(crate) use trace::{Trace, leave, trace_of};

use crate::{Placement, behind};
use candle_core::{Result, Tensor, TensorId};
use candlelight_kernels::Window;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use tape::Mark;

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A convolution.
    Conv,
    /// A fully connected layer.
    Linear,
    /// A batch normalisation.
    BatchNorm,
    /// A layer normalisation.
    LayerNorm,
    /// An elementwise activation.
    Activation,
    /// A softmax outside attention.
    Softmax,
    /// A pool.
    Pool,
    /// The probabilities of an attention layer, `[N, heads, queries, keys]`.
    AttentionWeights,
    /// A residual add.
    Add,
    /// An explicit [`tap`]: a block, a stage.
    Tap,
}

impl Kind {
    /// Whether layers of this kind have weights that inputs are multiplied with.
    pub(crate) fn is_weighted(self) -> bool {
        matches!(self, Self::Conv | Self::Linear)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Shows `x` to whoever watches `name`; hand the result on in place of `x`.
///
/// # Errors
/// If candle fails to cut or join the graph.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{layers, tap};
///
/// let model = |x: &Tensor| tap("doubled", &(x * 2.0)?)?.sum(1);
/// let x = Tensor::zeros((1, 3), candle_core::DType::F32, &Device::Cpu)?;
/// assert_eq!(layers(&model, &x)?[0].name, "doubled");
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub fn tap(name: &str, x: &Tensor) -> Result<Tensor> {
    report(name, Kind::Tap, 0, x.clone())
}

/// Tells the scope that a window slides over maps of `from` (height, width) and makes maps of `to`.
pub(crate) fn slides(window: &Window, from: (usize, usize), to: (usize, usize)) {
    with_scope(|scope| {
        if let Some(placement) = scope.placements.get(from) {
            scope.placements.0.push((to, placement.under(window)));
        }
    });
}

/// Whether somebody watches one of these layers, has a rule for one, or wants all of them listed.
pub(crate) fn looks_into<'a, L: Iterator<Item = &'a (String, Kind)>>(layers: impl Fn() -> L) -> bool {
    with_scope(|scope| scope.watches_into(&layers) || scope.rules.look_into(&layers)).unwrap_or(false)
}

/// What stands in place of the output of `name`, if nobody needs it to run: what is to be shown in its name.
pub(crate) fn replacement(name: &str) -> Option<Tensor> {
    let replaced = |scope: &mut Scope| {
        let means = |(selector, _): &&(Selector, Watch)| selector.matches(name, Kind::Tap, 0);
        match scope.watches.iter().find(means) {
            Some((_, Watch::Replace(output))) => Some(output.clone()),
            Some((_, Watch::Fan(versions))) => versions.narrow(0, 0, 1).ok(),
            _ => None,
        }
    };
    with_scope(replaced).flatten()
}

/// Runs `f` and counts the bytes that its layers show or hold for the pass back.
pub(crate) fn weighed<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let (result, scope) = within(Scope { purpose: Purpose::Weigh, ..Scope::default() }, f);
    (result, scope.held)
}

/// Tells the scope of bytes that are held for the pass back and are no layer's output.
pub(crate) fn holds(bytes: usize) {
    with_scope(|scope| scope.held += bytes);
}

/// Runs `f` where nobody watches: on a worker that may be in the middle of something else.
pub(crate) fn unwatched<R>(f: impl FnOnce() -> R) -> R {
    let guard = guard::Guard::enter(None);
    let result = behind::apart(f);
    drop(guard);
    result
}

/// A layer's report: `macs` are the multiply-adds that made `x`. An empty name gets the kind and a number.
pub(crate) fn report(name: &str, kind: Kind, macs: u64, x: Tensor) -> Result<Tensor> {
    report_biased(name, kind, macs, x, |_| Ok(None))
}

/// The report of a layer that gives more than its derivative times its input: `bias` is the rest, in a shape that
/// broadcasts over `x`. It is computed only where somebody watches for it.
pub(crate) fn report_biased(
    name: &str,
    kind: Kind,
    macs: u64,
    x: Tensor,
    bias: impl FnOnce(&Tensor) -> Result<Option<Tensor>>,
) -> Result<Tensor> {
    match with_scope(|scope| scope.note(name, kind, macs, &x)) {
        Some(Some((Watch::Bias, slot))) => match bias(&x)? {
            Some(bias) => tape::record(slot, bias.broadcast_as(x.shape())?.detach(), x),
            None => Ok(x),
        },
        Some(Some((watch, slot))) => tape::apply(watch, slot, x),
        _ => Ok(x),
    }
}

/// Shows the model's input as what it is among the biases: the one that is not the model's.
pub(crate) fn source(x: &Tensor) -> Result<Tensor> {
    report_biased("input", Kind::Tap, 0, x.clone(), |x| Ok(Some(x.clone())))
}

/// What a scope is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Purpose {
    /// To watch some layers.
    #[default]
    Watch,
    /// To list all of them.
    List,
    /// To weigh what a pass holds, as it runs when nobody watches.
    Weigh,
}

#[derive(Default)]
pub(crate) struct Scope {
    purpose: Purpose,
    held: usize,
    watches: Vec<(Selector, Watch)>,
    rules: Rules,
    traces: HashMap<TensorId, Trace>,
    seen: Vec<LayerInfo>,
    marks: Vec<Mark>,
    grid: Option<TokenGrid>,
    placements: Placements,
    changes: Option<Changes>,
    absent: Option<absent::Absent>,
}

/// Where the cells of maps lie, by the maps' height and width: operations that keep a map's size keep its place, and
/// need not tell.
#[derive(Default)]
struct Placements(Vec<((usize, usize), Placement)>);

impl Placements {
    /// Those of a model that is given `x`.
    fn of(x: &Tensor) -> Self {
        match *x.dims() {
            [_, _, height, width] => Self(vec![((height, width), Placement::even(height, width))]),
            _ => Self::default(),
        }
    }

    /// Heights and widths, those of the image first.
    fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().map(|(size, _)| *size)
    }

    /// The latest for maps of this size.
    fn get(&self, size: (usize, usize)) -> Option<Placement> {
        self.0.iter().rfind(|(known, _)| *known == size).map(|(_, placement)| *placement)
    }
}

impl Scope {
    /// Whether somebody watches one of these layers, or wants all of them listed.
    fn watches_into<'a, L: Iterator<Item = &'a (String, Kind)>>(&self, layers: impl Fn() -> L) -> bool {
        let watches = |(selector, _): &(Selector, Watch)| selector.looks_into(layers());
        self.purpose == Purpose::List || self.watches.iter().any(watches) || self.leaves_out_keys(layers())
    }

    fn note(&mut self, name: &str, kind: Kind, macs: u64, x: &Tensor) -> Option<(Watch, tape::Slot)> {
        let name = self.name_of(name, kind);
        self.held += x.elem_count() * x.dtype().size_in_bytes();
        let layer = LayerInfo { name, kind, shape: x.dims().to_vec(), macs };
        let watch = self
            .watches
            .iter()
            .find(|(selector, _)| selector.matches(&layer.name, kind, 0))
            .map(|(_, watch)| watch.clone());
        let slot = watch.map(|watch| {
            let slot = tape::Slot::default();
            self.marks.push(Mark { layer: layer.clone(), slot: slot.clone() });
            (watch, slot)
        });
        self.seen.push(layer);
        slot
    }

    /// The name of a layer that reports next: its own, or its kind and a number.
    fn name_of(&self, name: &str, kind: Kind) -> String {
        if !name.is_empty() {
            return name.to_owned();
        }
        let earlier = self.seen.iter().filter(|layer| layer.kind == kind).count();
        format!("{}.{earlier}", kind.to_string().to_lowercase())
    }
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

fn with_scope<R>(f: impl FnOnce(&mut Scope) -> R) -> Option<R> {
    SCOPE.with_borrow_mut(|scope| scope.as_mut().map(f))
}

/// Runs `f` under `scope` and gives back both what `f` returned and what the scope noted. The rules of a scope hold in
/// the scopes inside it: a model that watches itself is still under them. What is held inside is held outside.
pub(crate) fn within<R>(mut scope: Scope, f: impl FnOnce() -> R) -> (R, Scope) {
    if let Some(rules) = with_scope(|outer| outer.rules.clone()).filter(|rules| !rules.is_empty()) {
        scope.rules = rules;
    }
    let guard = guard::Guard::enter(Some(scope));
    let result = f();
    let scope = guard.leave();
    holds(scope.held);
    (result, scope)
}
