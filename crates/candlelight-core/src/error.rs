//! Everything that can go wrong, each with its place and the next step.

use crate::TokenGrid;
use std::ops::ControlFlow;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong while a model is explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or a tensor operation failed.
    #[error("{}", root_message(.0))]
    Candle(candle_core::Error),

    /// No gradient reaches the input: candle's fused operations end it without an error.
    #[error(
        "no gradient flows from the score to {to}: an operation without a gradient severs the model \
         (of candle {candle}: {fused}); use the layers of `candlelight::nn` in their place, and see what \
         `check_gradients` says"
    )]
    NoGradient {
        /// Where the gradient should have arrived: the input, or a layer's name.
        to: String,
        /// The candle release linked.
        candle: &'static str,
        /// The operations of that release that carry no gradient.
        fused: &'static str,
    },

    /// An operation of the model has a forward pass, and a backward pass that fails.
    #[error("the model cannot be differentiated: {message}; use the layer of `candlelight::nn` in its place")]
    NotDifferentiable {
        /// candle's own message, which names the operation.
        message: String,
    },

    /// The gradient is not the derivative of the model.
    #[error(
        "the gradient is not the derivative of the model: along a test direction it predicts a change of \
         {predicted:.3e} and the model changes by {measured:.3e}; part of the model is severed by an operation \
         without a gradient (of candle {candle}: {fused}): use the layers of `candlelight::nn` in its place"
    )]
    WrongGradient {
        /// What gradient times direction predicts.
        predicted: f64,
        /// The central difference of the score.
        measured: f64,
        /// The candle release linked.
        candle: &'static str,
        /// The operations of that release that carry no gradient.
        fused: &'static str,
    },

    /// A layer that was asked for never ran.
    #[error("no layer `{name}` was seen in the model; {}", nearest_hint(.seen))]
    UnknownLayer {
        /// The name asked for.
        name: String,
        /// The names that were seen, nearest first.
        seen: Vec<String>,
    },

    /// A layer that was asked for ran more than once in a forward pass.
    #[error("layer `{name}` ran {times} times in one pass; give each run a name of its own with `tap`")]
    AmbiguousLayer {
        /// The name asked for.
        name: String,
        /// How often it ran.
        times: usize,
    },

    /// No layer of the kind that a method needs ran.
    #[error("the model shows no {what}; {hint}")]
    MissingLayer {
        /// What the method looks for.
        what: &'static str,
        /// What to do about it.
        hint: &'static str,
    },

    /// Class activation maps by weights of the class need a pool over space and one linear layer behind the maps.
    #[error(
        "the maps of layer `{layer}` are not pooled over space and weighed linearly, so that no weight of the class \
         belongs to them; name the last maps in front of a global average pool, or use Grad-CAM"
    )]
    NotPooled {
        /// The layer whose maps were asked for.
        layer: String,
    },

    /// A layer multiplies two things that the input makes: it is no derivative times its input and a bias.
    #[error(
        "layer `{layer}` multiplies two things that the input makes, so that the score is no sum of gradients times the \
         input and biases; use a method of attention, or Integrated Gradients"
    )]
    NoFullGradient {
        /// The first such layer.
        layer: String,
    },

    /// A method changes what flows back through layers of some kind, and there was none.
    #[error(
        "the model shows no ReLU of `candlelight::nn`, so that no rule fired; {}; use `candlelight::nn` for the \
         activations (candle's own `Tensor::relu` cannot be seen), or a method that is not bound to ReLUs",
        passed_by_hint(.passed_by)
    )]
    NoRuleFired {
        /// Activations that ran and take no such rule, with what they are.
        passed_by: Vec<String>,
    },

    /// A composite has no rule for a layer.
    #[error(
        "no rule of the composite means {} of the model's layers: {}; add one with `with(selector, rule)`, or take a \
         composite that is made for such layers",
        .layers.len(), listed(.layers)
    )]
    NoRule {
        /// The layers without a rule, with what they are.
        layers: Vec<String>,
    },

    /// A composite gives a layer a rule that has no form there.
    #[error(
        "rule `{rule}` has no form at layer {layer}; give the layer a rule of its own with `with(selector, rule)`: \
         `Gradient` has one everywhere"
    )]
    RuleDoesNotFit {
        /// The layer, with what it is.
        layer: String,
        /// The rule.
        rule: String,
    },

    /// Nothing tells how tokens lie on the image.
    #[error("{tokens} tokens cannot be laid out on the image: {}; call `token_grid` in the model's forward", grid_hint(.told, .image, .fitting))]
    TokenGrid {
        /// How many there are.
        tokens: usize,
        /// What the model told.
        told: Option<TokenGrid>,
        /// The image's height and width, if it is one.
        image: Option<(usize, usize)>,
        /// The grids that fit.
        fitting: Vec<TokenGrid>,
    },

    /// A layer behind the last one that mixes tokens: what its patches hold reaches no score.
    #[error(
        "the score does not depend on the patches in layer `{layer}`, only on the tokens before them: a map of it is \
         zero by construction; nearest layer with patches that count: `{nearest}`"
    )]
    PatchesUnread {
        /// The layer asked for.
        layer: String,
        /// The last one before it whose patches reach the score.
        nearest: String,
    },

    /// Tokens were removed, and the score still depends on their pixels.
    #[error(
        "the score reads tokens that were removed (it changes by {change:.1e} with their pixels): it pools over patches, \
         or attends to them outside of `nn::attention`; take `Features::Patches` for such a model"
    )]
    TokensRead {
        /// How much the score changes.
        change: f64,
    },

    /// A method that is not in the registry.
    #[error("unknown method `{name}`; nearest: {}", .nearest.join(", "))]
    UnknownMethod {
        /// The name asked for.
        name: String,
        /// Registered names, nearest first.
        nearest: Vec<&'static str>,
    },

    /// A composite that is not among the presets.
    #[error("unknown composite of rules `{name}`; nearest: {}", .nearest.join(", "))]
    UnknownComposite {
        /// The name asked for.
        name: String,
        /// Known names, nearest first.
        nearest: Vec<&'static str>,
    },

    /// A class that the model does not have.
    #[error("target class `{class}` is out of range: the model has {classes} classes, 0 to {}", .classes.saturating_sub(1))]
    TargetOutOfRange {
        /// The class asked for.
        class: usize,
        /// How many the model has.
        classes: usize,
    },

    /// A tensor has the wrong shape.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// What the tensor is.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that would have been right.
        expected: String,
    },

    /// A tensor has a dtype that explanations cannot be computed in.
    #[error("{what} has dtype `{found:?}`; convert it to F32 or F64")]
    DType {
        /// What the tensor is.
        what: &'static str,
        /// Its dtype.
        found: candle_core::DType,
    },

    /// A NaN or an infinity.
    #[error("{what} holds {count} values that are NaN or infinite{place}; check the input and the weights")]
    NonFinite {
        /// What the tensor is.
        what: &'static str,
        /// How many of its values are not finite.
        count: usize,
        /// The first layer with such an output, as ` (first after layer …)`; empty if unknown.
        place: String,
    },

    /// A setting that makes no sense.
    #[error("`{value}` is no valid {setting}: {expected}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },

    /// The progress callback asked to stop.
    #[error("cancelled after {done} of {of} model evaluations")]
    Cancelled {
        /// Rows evaluated before the stop.
        done: usize,
        /// Rows that the whole run needs.
        of: usize,
    },
}

/// The candle release this crate was written against and checked with.
const CANDLE: &str = "0.11";
/// Its operations that have a forward pass, no gradient, and no error.
const FUSED: &str =
    "`softmax_last_dim`, `layer_norm` (fused, contiguous input with bias), `rms_norm`, `rope`, `sdpa`";

impl Error {
    /// The model shows no attention from which a token could be removed.
    pub(crate) const NO_TOKENS: Self = Self::MissingLayer {
        what: "attention",
        hint: "tokens can be removed from transformers built from `nn::attention`",
    };

    /// No gradient arrived at `to`.
    pub(crate) fn no_gradient(to: &str) -> Self {
        Self::NoGradient { to: to.to_owned(), candle: CANDLE, fused: FUSED }
    }

    /// The gradient predicts one change and the model shows another.
    pub(crate) fn wrong_gradient(predicted: f64, measured: f64) -> Self {
        Self::WrongGradient { predicted, measured, candle: CANDLE, fused: FUSED }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match is_backward(&error) {
            true => Self::NotDifferentiable { message: root_message(&error) },
            false => Self::Candle(error),
        }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}

/// Whether candle says that an operation has no backward pass: by an error of its own, or by a message only.
fn is_backward(error: &candle_core::Error) -> bool {
    match error {
        candle_core::Error::BackwardNotSupported { .. } => true,
        candle_core::Error::Msg(message) => message.starts_with("backward not supported"),
        candle_core::Error::WithBacktrace { inner, .. } | candle_core::Error::Context { inner, .. } => {
            is_backward(inner)
        }
        _ => false,
    }
}

/// candle's message without its backtrace.
pub(crate) fn root_message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => root_message(inner),
        candle_core::Error::Context { inner, context } => format!("{context}: {}", root_message(inner)),
        candle_core::Error::WrappedContext { wrapped, context } => format!("{context}: {wrapped}"),
        error => error.to_string(),
    }
}

fn nearest_hint(seen: &[String]) -> String {
    match seen {
        [] => "the model reports no layers: build it from `candlelight::nn` layers or call `tap`".into(),
        seen => format!("seen, nearest first: {}", seen.join(", ")),
    }
}

fn passed_by_hint(passed_by: &[String]) -> String {
    match passed_by {
        [] => "no other activation was seen".into(),
        [first] => format!("seen was {first}"),
        [first, .., last] => format!("seen were {} activations, from {first} to {last}", passed_by.len()),
    }
}

/// The first few of `names`.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}

fn grid_hint(told: &Option<TokenGrid>, image: &Option<(usize, usize)>, fitting: &[TokenGrid]) -> String {
    let words = |grid: &TokenGrid| format!("{} x {} behind {}", grid.rows, grid.columns, grid.prefix);
    match (told, image, fitting) {
        (Some(told), ..) => format!("the model told of {} ({})", told.tokens(), words(told)),
        (None, None, _) => "the model told of no grid, and its input is no image".into(),
        (None, Some((height, width)), []) => format!("no grid fits {height} x {width} pixels"),
        (None, _, grids) => {
            format!("they may be {}", grids.iter().map(words).collect::<Vec<_>>().join(" or "))
        }
    }
}

/// Names sorted by how near they are to `name`: shared prefix and edit distance.
pub(crate) fn nearest<S: AsRef<str>>(name: &str, names: impl IntoIterator<Item = S>) -> Vec<S> {
    let mut names: Vec<S> = names.into_iter().collect();
    names.sort_by_key(|candidate| edit_distance(name, candidate.as_ref()));
    names
}

/// Levenshtein distance, in characters, without case.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

/// `Break` as [`Error::Cancelled`].
pub(crate) fn continue_or_cancel(flow: ControlFlow<()>, done: usize, of: usize) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled { done, of }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["saliency", "grad-cam", "integrated-gradients"];
        assert_eq!(nearest("gradcam", names)[0], "grad-cam");
        assert_eq!(nearest("Salience", names)[0], "saliency");
    }
}
