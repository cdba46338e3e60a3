//! Attention: its probabilities and their gradients, recorded in one pass that every method here can read.

mod flow;
mod grad_cam;
mod max_flow;
mod pass;
mod raw;
mod relevance;
mod rollout;

pub use flow::AttentionFlow;
pub use grad_cam::AttentionGradCam;
pub use pass::AttentionPass;
pub use raw::RawAttention;
pub use relevance::TransformerRelevance;
pub use rollout::{AttentionRollout, HeadFusion};

use crate::error::nearest;
use crate::scope::Tape;
use crate::{Error, Explain, Result, TokenGrid};
use candle_core::{D, Tensor};

/// The model shows no attention.
const NO_ATTENTION: Error = Error::MissingLayer {
    what: "attention",
    hint: "methods of attention need a transformer built from `nn::attention`",
};

/// What of every head a method reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadWeight {
    /// Its probabilities A, the same for every class.
    #[default]
    Probability,
    /// max(0, A ⊙ ∂f/∂A): what speaks for the class.
    Gradient,
}

/// A method that reads nothing of a model but its attention: one [`AttentionPass`] serves all of them.
pub trait ReadsAttention: Explain {
    /// Whether it needs gradients.
    fn reads(&self) -> HeadWeight;

    /// What the score's token has from every token, `[N, T]`.
    ///
    /// # Errors
    /// [`Error`] names a setting that makes no sense, or a layer that is not there.
    fn tokens(&self, attentions: &Attentions) -> Result<Tensor>;
}

/// The attention of every layer, and its gradients if they were asked for.
pub struct Attentions {
    names: Vec<String>,
    probabilities: Vec<Tensor>,
    /// One for each layer, or none at all.
    gradients: Vec<Tensor>,
    grid: TokenGrid,
}

impl Attentions {
    /// What `tape` saw, for the rows of `scores`.
    fn of(tape: &Tape, scores: &Tensor, reads: HeadWeight) -> Result<Self> {
        let watched = tape.watched();
        let probabilities: Vec<Tensor> = watched.iter().map(|layer| layer.activation().clone()).collect();
        let grid = tape.grid_of(tokens_of(&probabilities, scores.dims()[0])?)?;
        let gradients = match reads {
            HeadWeight::Probability => Vec::new(),
            HeadWeight::Gradient => tape.gradients(&scores.sum_all()?)?,
        };
        let names = watched.iter().map(|layer| layer.layer().name.clone()).collect();
        Ok(Self { names, probabilities, gradients, grid })
    }

    /// The attention of consecutive parts of a query as that of the whole.
    fn join(parts: Vec<Self>) -> Result<Self> {
        let whole = |of: fn(&Self) -> &[Tensor]| {
            let layers = parts.first().map_or(0, |part| of(part).len());
            let layer = |k| Tensor::cat(&parts.iter().map(|part| &of(part)[k]).collect::<Vec<_>>(), 0);
            (0..layers).map(layer).collect::<candle_core::Result<Vec<_>>>()
        };
        let (probabilities, gradients) = (whole(|part| &part.probabilities)?, whole(|part| &part.gradients)?);
        let first = parts.into_iter().next().ok_or(NO_ATTENTION)?;
        Ok(Self { probabilities, gradients, ..first })
    }

    /// The names of the layers, in the order in which they ran.
    pub fn layers(&self) -> &[String] {
        &self.names
    }

    /// The probabilities of each layer, `[N, heads, T, T]`, rows being the tokens that look.
    pub fn probabilities(&self) -> &[Tensor] {
        &self.probabilities
    }

    /// The gradients of the score at the probabilities of each layer.
    ///
    /// # Errors
    /// [`Error::MissingLayer`] if the pass recorded none.
    pub fn gradients(&self) -> Result<&[Tensor]> {
        match &self.gradients[..] {
            [] => Err(Error::MissingLayer {
                what: "gradients of attention",
                hint: "a method that needs them says so in `ReadsAttention::reads`",
            }),
            gradients => Ok(gradients),
        }
    }

    /// How the tokens lie on the image.
    pub fn token_grid(&self) -> TokenGrid {
        self.grid
    }

    /// What a method reads of each layer's heads, `[N, heads, T, T]`.
    ///
    /// # Errors
    /// As [`gradients`](Self::gradients).
    pub fn heads(&self, weight: HeadWeight) -> Result<Vec<Tensor>> {
        match weight {
            HeadWeight::Probability => Ok(self.probabilities.clone()),
            HeadWeight::Gradient => {
                let pairs = self.probabilities.iter().zip(self.gradients()?);
                pairs.map(|(probability, gradient)| Ok((probability * gradient)?.relu()?)).collect()
            }
        }
    }

    /// The place of a layer by its name, of the last unless one is asked for.
    fn place(&self, asked: Option<&str>) -> Result<usize> {
        let last = self.names.len().saturating_sub(1);
        asked.map_or(Some(last), |name| self.names.iter().position(|layer| layer == name)).ok_or_else(|| {
            let (name, seen) = (asked.unwrap_or_default(), self.names.iter().cloned());
            Error::UnknownLayer { name: name.to_owned(), seen: nearest(name, seen) }
        })
    }

    /// The rows of `[…, T, T]` from which the score is read, as `[…, T]`: the class token's, which is the first; the
    /// mean of all where no token stands before the patches.
    ///
    /// # Errors
    /// If candle fails.
    pub fn of_score(&self, matrices: &Tensor) -> Result<Tensor> {
        match self.grid.prefix {
            0 => Ok(matrices.mean(D::Minus2)?),
            _ => Ok(matrices.narrow(D::Minus2, 0, 1)?.squeeze(D::Minus2)?),
        }
    }

    /// The patches among the tokens of `[…, T]`.
    fn patches(&self, tokens: &Tensor) -> Result<Tensor> {
        let TokenGrid { prefix, rows, columns } = self.grid;
        Ok(tokens.narrow(D::Minus1, prefix, rows * columns)?.contiguous()?)
    }

    /// `[N, T]` laid out on the image, `[N, 1, rows, columns]`.
    fn map(&self, tokens: &Tensor) -> Result<Tensor> {
        let TokenGrid { rows, columns, .. } = self.grid;
        Ok(self.patches(tokens)?.reshape((tokens.dims()[0], 1, rows, columns))?)
    }
}

/// How many tokens look at one another in every layer.
fn tokens_of(probabilities: &[Tensor], rows: usize) -> Result<usize> {
    let first = probabilities.first().ok_or(NO_ATTENTION)?;
    let tokens = first.dim(D::Minus1)?;
    let other =
        |layer: &&Tensor| !matches!(*layer.dims(), [n, _, t, u] if (n, t, u) == (rows, tokens, tokens));
    match probabilities.iter().find(other) {
        None => Ok(tokens),
        Some(layer) => Err(Error::Shape {
            what: "the attention of a layer",
            found: layer.dims().to_vec(),
            expected: format!(
                "[{rows}, heads, {tokens}, {tokens}], between all tokens of a row, as in the first layer"
            ),
        }),
    }
}
