//! Activations and gradients at watched layers.

use super::{LayerInfo, Placements, Scope, Selector, TokenGrid, layers, shown, within};
use crate::vjp::vjp;
use crate::{Error, Model, Placement, Result};
use candle_core::{Tensor, Var};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to the graph at a watched layer.
#[derive(Clone, Debug)]
pub(crate) enum Watch {
    /// The output is kept; gradients are not wanted.
    Observe,
    /// The output is kept and the gradient that flows through it is recorded.
    Through,
    /// As [`Watch::Through`], and nothing below is differentiated.
    Cut,
    /// As [`Watch::Cut`], and the activation that is kept hangs in the graph below.
    Split,
    /// As [`Watch::Cut`], with this in place of the layer's own output.
    Replace(Tensor),
    /// As [`Watch::Through`] at layers that have a bias, which is kept in place of the output.
    Bias,
    /// The layer's one row is replaced by these: versions of it. Nothing is differentiated.
    Fan(Tensor),
}

/// The activation of a mark and, after a backward pass, its gradient.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<(Option<Tensor>, Option<Tensor>)>>);

impl Slot {
    fn with<R>(&self, f: impl FnOnce(&mut (Option<Tensor>, Option<Tensor>)) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A watched layer that ran.
pub(super) struct Mark {
    pub(super) layer: LayerInfo,
    pub(super) slot: Slot,
}

/// Carries out a watch on the tensor that a layer reports.
pub(super) fn apply(watch: Watch, slot: Slot, x: Tensor) -> candle_core::Result<Tensor> {
    let x = match &watch {
        Watch::Replace(other) if other.dims() == x.dims() => other.clone(),
        Watch::Fan(other) if x.dims()[..1] == [1] && other.dims()[1..] == x.dims()[1..] => other.clone(),
        Watch::Replace(other) | Watch::Fan(other) => {
            candle_core::bail!("a layer's output {:?} cannot be replaced by {:?}", x.dims(), other.dims())
        }
        _ => x,
    };
    let kept = if matches!(watch, Watch::Split) { x.clone() } else { x.detach() };
    match watch {
        Watch::Observe | Watch::Fan(_) => {
            slot.with(|slot| slot.0 = Some(kept));
            Ok(x)
        }
        Watch::Through | Watch::Bias => record(slot, kept, x),
        Watch::Cut | Watch::Split | Watch::Replace(_) => record(slot, kept, x.detach()),
    }
}

/// Keeps `kept`, and records the gradient that flows through `x`.
pub(super) fn record(slot: Slot, kept: Tensor, x: Tensor) -> candle_core::Result<Tensor> {
    slot.with(|slot| slot.0 = Some(kept));
    let below = if x.track_op() { x } else { Var::from_tensor(&x)?.into_inner() };
    vjp(&[&below], below.detach(), move |_, gradient| {
        slot.with(|slot| slot.1 = Some(gradient.clone()));
        Ok(vec![Some(gradient.clone())])
    })
}

/// The activations of watched layers in one forward pass, and their gradients on demand.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use candlelight_core::{Tape, tap};
///
/// let model = |x: &Tensor| tap("square", &x.sqr()?)?.sum(1);
/// let x = Tensor::new(&[[1.0f64, 2.0]], &Device::Cpu)?;
/// let tape = Tape::record(&model, &x, &["square"])?;
/// assert_eq!(tape.get("square")?.activation().to_vec2::<f64>()?, [[1.0, 4.0]]);
/// let gradients = tape.gradients(&tape.output().sum_all()?)?;
/// assert_eq!(gradients[0].to_vec2::<f64>()?, [[1.0, 1.0]]);
/// # Ok::<(), candlelight_core::Error>(())
/// ```
pub struct Tape {
    output: Tensor,
    watched: Vec<Watched>,
    grid: Option<TokenGrid>,
    placements: Placements,
}

/// One watched layer of a [`Tape`].
pub struct Watched {
    layer: LayerInfo,
    activation: Tensor,
    slot: Slot,
}

impl Watched {
    /// The layer's name, kind and shape.
    pub fn layer(&self) -> &LayerInfo {
        &self.layer
    }

    /// Its output, detached.
    pub fn activation(&self) -> &Tensor {
        &self.activation
    }
}

impl Tape {
    /// Runs `model` on `x` and keeps the outputs of the layers named, ready to be differentiated.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] if a name never ran; whatever the model returns.
    pub fn record(model: &dyn Model, x: &Tensor, names: &[&str]) -> Result<Self> {
        let selectors = names.iter().map(|name| Selector::Name((*name).to_owned()));
        watch(model, x, selectors.map(|selector| (selector, Watch::Through)).collect())
    }

    /// What the model returned.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The watched layers, in the order in which they ran.
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// The token grid that the model told, if it did.
    pub fn token_grid(&self) -> Option<TokenGrid> {
        self.grid
    }

    /// How `tokens` of this model lie on the image: as it told, or else the one grid that fits what was seen of it, the
    /// maps that convolutions and pools made of the image, or square patches that tile it with at most eight tokens
    /// before them.
    ///
    /// # Errors
    /// [`Error::TokenGrid`] if it told another number, or nothing and several grids fit, or none.
    pub fn grid_of(&self, tokens: usize) -> Result<TokenGrid> {
        super::grid::grid_of(tokens, self.grid, &self.placements)
    }

    /// Where the cells of a map of `height` x `width` lie on the image, as far as the windows of
    /// [`nn`](crate::nn)'s convolutions and pools tell; `None` for a size that none of them made.
    pub fn placement(&self, height: usize, width: usize) -> Option<Placement> {
        self.placements.get((height, width))
    }

    /// The watched layer of this name; the last, if it ran several times.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] if it was not watched.
    pub fn get(&self, name: &str) -> Result<&Watched> {
        let layers = || self.watched.iter().map(|w| w.layer.clone()).collect::<Vec<_>>();
        self.watched.iter().rfind(|w| w.layer.name == name).ok_or_else(|| shown(name, &layers()))
    }

    /// The one watched layer.
    ///
    /// # Errors
    /// [`Error::AmbiguousLayer`] if a layer of its name ran several times.
    pub(crate) fn only(&self) -> Result<&Watched> {
        match &self.watched[..] {
            [watched] => Ok(watched),
            several => Err(Error::AmbiguousLayer {
                name: several.first().map_or_else(String::new, |watched| watched.layer.name.clone()),
                times: several.len(),
            }),
        }
    }

    /// Where the layer of this name is among the watched.
    ///
    /// # Errors
    /// [`Error::AmbiguousLayer`] if it ran several times, [`Error::UnknownLayer`] if it was not watched.
    pub(crate) fn once(&self, name: &str) -> Result<usize> {
        let mut places = (0..self.watched.len()).filter(|&place| self.watched[place].layer.name == name);
        match (places.next(), places.count()) {
            (Some(place), 0) => Ok(place),
            (Some(_), more) => Err(Error::AmbiguousLayer { name: name.to_owned(), times: 1 + more }),
            (None, _) => self.get(name).map(|_| 0),
        }
    }

    /// The gradients of `score`, a scalar made from [`output`](Self::output), at every watched layer.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if none arrives at a layer; [`Error::NotDifferentiable`] if an operation above it
    /// has no backward pass.
    pub fn gradients(&self, score: &Tensor) -> Result<Vec<Tensor>> {
        self.watched.iter().for_each(|w| w.slot.with(|slot| slot.1 = None));
        if score.track_op() {
            score.backward()?;
        }
        let taken = |w: &Watched| w.slot.with(|slot| slot.1.take());
        self.watched.iter().map(|w| taken(w).ok_or_else(|| Error::no_gradient(&w.layer.name))).collect()
    }
}

/// Runs `model` on `x` under the given watches; every named one must fire.
pub(crate) fn watch(model: &dyn Model, x: &Tensor, watches: Vec<(Selector, Watch)>) -> Result<Tape> {
    let scope = Scope { watches: watches.clone(), placements: Placements::of(x), ..Scope::default() };
    let (output, scope) = within(scope, || model.forward(x));
    let output = output?;
    for (selector, _) in &watches {
        if let Selector::Name(name) = selector
            && !scope.marks.iter().any(|mark| mark.layer.name == *name)
        {
            return Err(shown(name, &layers(model, x)?));
        }
    }
    let watched = scope.marks.into_iter().filter_map(|Mark { layer, slot }| {
        let activation = slot.with(|slot| slot.0.take())?;
        Some(Watched { layer, activation, slot })
    });
    Ok(Tape { output, watched: watched.collect(), grid: scope.grid, placements: scope.placements })
}
