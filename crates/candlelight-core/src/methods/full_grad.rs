//! FullGrad: the score as a sum of what the input and every bias bring.

use super::integrated_gradients::row_sums;
use crate::resize::spread;
use crate::schedule::Run;
use crate::scope::{Kind, Selector, Tape, Watch, source, watch};
use crate::{
    Attribution, Completeness, Convergence, Cost, Error, Explain, Model, Placement, Query, Reading, Result,
    Upsampling, peers,
};
use candle_core::Tensor;

/// A = ψ(x · ∂f/∂x) + Σ ψ(b · ∂f/∂b) over the biases b of all layers with maps
/// ([Srinivas and Fleuret 2019](https://arxiv.org/abs/1905.00780)).
///
/// f(x) = x · ∂f/∂x + Σ b · ∂f/∂b exactly, because a bias is what a layer gives beyond its derivative times its input:
/// of a convolution or a linear layer its own, of a batch norm in evaluation its shift, of a curved activation
/// g(z) − g′(z)·z, of a layer norm almost all of its output. What lies in the biases of layers without maps (of the
/// head) has no place on the image; less that, the score is what the map sums to, and
/// [`Completeness`] has how far it does.
///
/// **When not to use it:** in nets with layer norms, which forget how large their input is: the last of them holds nearly
/// all of the score, and what lies below it cancels. To compare pixels with each other closely: what a bias of a late
/// layer brings is shared out among as many pixels as its cell has. Attention multiplies what the input makes by what
/// the input makes, and is refused ([`Error::NoFullGradient`]).
///
/// # Shapes
/// `[N, 1, H, W]` for images `[N, C, H, W]`.
///
/// # Example
/// ```
/// use candlelight_core::{FullGrad, Psi, Upsampling};
///
/// let complete = FullGrad::default();
/// let as_in_the_paper = FullGrad::default().psi(Psi::Rescaled(Upsampling::default()));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FullGrad {
    psi: Psi,
}

/// How what a layer brings becomes a picture: the paper's ψ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Psi {
    /// With its sign and scale, summed over the channels; what a cell brings is shared out among the pixels near it.
    #[default]
    Signed,
    /// The paper's: of every channel the magnitude, less its smallest and over its largest value and 10⁻⁷, brought to
    /// the image. Every channel of every layer counts alike, however little it brings: a bias is one number for its
    /// channel and cancels, so that |∂f/∂b| is left of it. The map sums to nothing in particular, and says neither for
    /// nor against.
    Rescaled(Upsampling),
}

impl FullGrad {
    /// How what a layer brings becomes a picture.
    pub fn psi(self, psi: Psi) -> Self {
        Self { psi }
    }
}

impl Psi {
    /// The map `[N, 1, height, width]` of what the channels of a layer bring, `[N, C, h, w]`.
    fn of(self, terms: &Tensor, placement: Option<Placement>, size: (usize, usize)) -> Result<Tensor> {
        let (_, _, h, w) = terms.dims4()?;
        Ok(match self {
            Self::Signed => {
                let placement = placement.unwrap_or(Placement::even(h, w));
                spread(&terms.sum_keepdim(1)?, placement, size.0, size.1)?
            }
            Self::Rescaled(upsampling) => {
                let channels = peers::scale_cam_image(&terms.abs()?.reshape(((), 1, h, w))?)?;
                let summed = channels.reshape(terms.shape())?.sum_keepdim(1)?;
                upsampling.resize(&summed, placement, size.0, size.1)?
            }
        })
    }
}

/// What the terms of some rows come to.
struct Terms {
    map: Tensor,
    /// Per row what lies in biases that have no place on the image.
    elsewhere: Vec<f64>,
}

impl Terms {
    fn of(psi: Psi, tape: &Tape, scores: &Tensor, size: (usize, usize)) -> Result<Self> {
        if let Some(layer) = tape.watched().iter().find(|w| w.layer().kind == Kind::AttentionWeights) {
            return Err(Error::NoFullGradient { layer: layer.layer().name.clone() });
        }
        let rows = scores.dims()[0];
        let map = Tensor::zeros((rows, 1, size.0, size.1), scores.dtype(), scores.device())?;
        let mut terms = Self { map, elsewhere: vec![0.0; rows] };
        for (watched, gradient) in tape.watched().iter().zip(tape.gradients(&scores.sum_all()?)?) {
            let term = (watched.activation() * gradient)?;
            match *term.dims() {
                [_, _, h, w] => {
                    terms.map = (&terms.map + psi.of(&term, tape.placement(h, w), size)?)?;
                }
                _ => {
                    let sums = row_sums(&term)?;
                    terms.elsewhere.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
                }
            }
        }
        Ok(terms)
    }
}

impl Explain for FullGrad {
    fn name(&self) -> String {
        "full-grad".into()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        let (rows, size) = image(query.input())?;
        let mut run = Run::new(model, query, rows)?;
        let shown = |x: &Tensor| model.forward(&source(x)?);
        let biases =
            [(Selector::Kind(Kind::AttentionWeights), Watch::Observe), (Selector::Every, Watch::Bias)];
        let (prediction, parts) = run.tapes(
            |x| watch(&shown, x, biases.to_vec()),
            |tape, scores| {
                let rows = scores.dims()[0];
                Ok((Terms::of(self.psi, tape, scores, size)?, Cost { forwards: rows, backwards: rows }))
            },
        )?;
        let values = Tensor::cat(&parts.iter().map(|part| &part.map).collect::<Vec<_>>(), 0)?;
        let elsewhere = parts.iter().flat_map(|part| &part.elsewhere);
        let (reading, convergence) = match self.psi {
            Psi::Rescaled(_) => (Reading::Positive, Convergence::exact()),
            Psi::Signed => {
                let difference =
                    prediction.scores.iter().zip(elsewhere).map(|(score, sum)| score - sum).collect();
                let completeness = Some(Completeness { sum: row_sums(&values)?, difference });
                (Reading::Signed, Convergence { completeness, ..Convergence::exact() })
            }
        };
        let attribution = Attribution::new(self.name(), values, prediction, convergence, run.cost());
        Ok(Attribution { reading, ..attribution })
    }
}

/// Rows, and height and width, of images.
fn image(input: &Tensor) -> Result<(usize, (usize, usize))> {
    match *input.dims() {
        [rows, _, height, width] => Ok((rows, (height, width))),
        _ => Err(Error::Shape {
            what: "the input",
            found: input.dims().to_vec(),
            expected: "images [N, C, H, W]".into(),
        }),
    }
}
