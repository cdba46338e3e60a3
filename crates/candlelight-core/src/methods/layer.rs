//! What the methods at a layer share: finding it, its activation, and gradients there along a path.

use crate::schedule::{Prediction, Run};
use crate::scope::{Kind, LayerInfo, Selector, Tape, Watch, layers, watch};
use crate::target::Resolved;
use crate::{Attribution, Convergence, Cost, Error, Model, Placement, Query, Result, TokenGrid};
use candle_core::{DType, Tensor};

/// The layer that is asked for, or that of class activation maps: the last map with a spatial extent; in a vision
/// transformer the layer norm before the last attention.
pub(super) fn find(asked: &Option<String>, model: &dyn Model, input: &Tensor) -> Result<String> {
    match asked {
        Some(layer) => Ok(layer.clone()),
        None => last_map(&layers(model, &input.narrow(0, 0, 1)?)?),
    }
}

fn last_map(seen: &[LayerInfo]) -> Result<String> {
    let last_attention = seen.iter().rposition(|layer| layer.kind == Kind::AttentionWeights);
    let spatial = |layer: &&LayerInfo| matches!(layer.shape[..], [_, _, h, w] if h * w > 1);
    let found = match last_attention {
        Some(attention) => seen[..attention].iter().rfind(|layer| layer.kind == Kind::LayerNorm),
        None => seen.iter().rfind(spatial),
    };
    found.map(|layer| layer.name.clone()).ok_or(Error::MissingLayer {
        what: "layer with a spatial extent",
        hint: "build it from `candlelight::nn` layers, or show one with `tap` and name it",
    })
}

/// Patch tokens `[n, T, channels]` as maps `[n, channels, h, w]`; nothing if these are no tokens of the grid.
pub(super) fn laid_out(tokens: &Tensor, grid: Option<TokenGrid>) -> Result<Option<Tensor>> {
    match (tokens.dims(), grid) {
        (&[n, count, channels], Some(TokenGrid { prefix, rows, columns }))
            if count == prefix + rows * columns =>
        {
            let patches = tokens.narrow(1, prefix, rows * columns)?.transpose(1, 2)?.contiguous()?;
            Ok(Some(patches.reshape((n, channels, rows, columns))?))
        }
        _ => Ok(None),
    }
}

/// Refuses a layer of tokens whose patches reach no score: behind the last attention of a transformer that is read at
/// its class token, the gradient of every patch is exactly zero.
pub(super) fn check_patches_read(
    gradient: &Tensor,
    grid: TokenGrid,
    layer: &str,
    (model, input): (&dyn Model, &Tensor),
) -> Result<()> {
    let largest = |from: usize, count: usize| -> Result<f64> {
        let part = gradient.narrow(1, from, count)?.abs()?.flatten_all()?;
        Ok(if count == 0 { 0.0 } else { part.max(0)?.to_dtype(DType::F64)?.to_scalar()? })
    };
    match largest(grid.prefix, grid.rows * grid.columns)? == 0.0 && largest(0, grid.prefix)? > 0.0 {
        false => Ok(()),
        true => Err(Error::PatchesUnread { layer: layer.to_owned(), nearest: find(&None, model, input)? }),
    }
}

/// A layer as it ran on the query's rows.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) activation: Tensor,
    placement: Option<Placement>,
    grid: Option<TokenGrid>,
}

impl Seen {
    /// The prediction for the query's rows, and `layer` as it ran.
    pub(super) fn on_input(run: &mut Run, model: &dyn Model, layer: String) -> Result<(Prediction, Self)> {
        let (prediction, seen, _) = Self::record(run, model, layer, Watch::Observe, |_, _| Ok(None))?;
        Ok((prediction, seen))
    }

    /// The same with the gradient of the scores at the layer.
    pub(super) fn differentiated(
        run: &mut Run,
        model: &dyn Model,
        layer: String,
    ) -> Result<(Prediction, Self, Tensor)> {
        let gradient = |tape: &Tape, scores: &Tensor| Ok(Some(tape.gradients(&scores.sum_all()?)?.remove(0)));
        let (prediction, seen, gradients) = Self::record(run, model, layer, Watch::Cut, gradient)?;
        Ok((prediction, seen, Tensor::cat(&gradients, 0)?))
    }

    fn record(
        run: &mut Run,
        model: &dyn Model,
        layer: String,
        mark: Watch,
        gradient: impl Fn(&Tape, &Tensor) -> Result<Option<Tensor>>,
    ) -> Result<(Prediction, Self, Vec<Tensor>)> {
        let record = |x: &Tensor| watch(model, x, vec![(Selector::Name(layer.clone()), mark.clone())]);
        let (prediction, parts) = run.tapes(record, |tape, scores| {
            let (activation, rows) = (tape.only()?.activation().clone(), scores.dims()[0]);
            check_rows(&activation, rows)?;
            let placement = match *activation.dims() {
                [_, _, height, width] => tape.placement(height, width),
                _ => None,
            };
            let gradient = gradient(tape, scores)?;
            let cost = Cost { forwards: rows, backwards: gradient.as_ref().map_or(0, |_| rows) };
            let seen = Self { name: layer.clone(), placement, grid: grid_of(tape, &activation), activation };
            Ok(((seen, gradient), cost))
        })?;
        let (seen, gradients): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((prediction, Self::join(seen)?, gradients.into_iter().flatten().collect()))
    }

    /// The layer on consecutive parts of the query as on the whole.
    fn join(parts: Vec<Self>) -> Result<Self> {
        let activations: Vec<&Tensor> = parts.iter().map(|part| &part.activation).collect();
        let activation = Tensor::cat(&activations, 0)?;
        let first = parts.into_iter().next().ok_or_else(|| Error::no_gradient("a layer of no rows"))?;
        Ok(Self { activation, ..first })
    }

    /// The layer's activation on other inputs, one for each row.
    pub(super) fn activation_on(&self, run: &mut Run, model: &dyn Model, inputs: &Tensor) -> Result<Tensor> {
        let mut parts = Vec::new();
        for range in run.batches(inputs.dims()[0]) {
            let x = inputs.narrow(0, range.start, range.len())?;
            let tape = watch(model, &x, vec![(Selector::Name(self.name.clone()), Watch::Observe)])?;
            parts.push(tape.only()?.activation().clone());
            run.spent(Cost { forwards: range.len(), backwards: 0 })?;
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// The attribution of the layer's own units.
    pub(super) fn attribution(
        self,
        method: String,
        values: Tensor,
        prediction: Prediction,
        convergence: Convergence,
        cost: Cost,
    ) -> Result<Attribution> {
        let laid_out = laid_out(&values, self.grid)?;
        let attribution = Attribution::new(method, values, prediction, convergence, cost);
        Ok(Attribution { laid_out, layer: Some(self.name), placement: self.placement, ..attribution })
    }
}

/// The grid of a layer's tokens, if it has some and nothing but one is possible.
fn grid_of(tape: &Tape, activation: &Tensor) -> Option<TokenGrid> {
    match *activation.dims() {
        [_, tokens, _] => tape.grid_of(tokens).ok(),
        _ => None,
    }
}

fn check_rows(activation: &Tensor, rows: usize) -> Result<()> {
    match activation.dims().first() == Some(&rows) {
        true => Ok(()),
        false => Err(Error::Shape {
            what: "the output of the layer",
            found: activation.dims().to_vec(),
            expected: format!("[{rows}, …], an entry for each row of the input"),
        }),
    }
}

/// A version of a row, at which a layer is differentiated.
pub(super) enum Version {
    /// Another input.
    Input(Tensor),
    /// The row itself, with this as the layer's output.
    Output(Tensor),
}

/// Activation and gradient of `layer` at `count` versions of every row. `visit(row, k, activation, gradient)` is called
/// in order, whatever the batch, so that sums do not depend on it.
pub(super) fn along(
    (run, query): (&mut Run, &Query),
    (layer, target): (&str, &Resolved),
    count: usize,
    version: impl Fn(usize, usize) -> Result<Version>,
    mut visit: impl FnMut(usize, usize, &Tensor, &Tensor) -> Result<()>,
) -> Result<()> {
    for range in run.batches(run.rows() * count) {
        let rows: Vec<usize> = range.clone().map(|k| k / count).collect();
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for k in range.clone() {
            match version(k / count, k % count)? {
                Version::Input(input) => inputs.push(input),
                Version::Output(output) => {
                    inputs.push(query.input().get(k / count)?);
                    outputs.push(output);
                }
            }
        }
        let outputs = if outputs.is_empty() { None } else { Some(Tensor::stack(&outputs, 0)?) };
        let points = (&Tensor::stack(&inputs, 0)?, outputs.as_ref());
        let (activations, gradients) = run.slopes_at(layer, points, &rows, target)?;
        for (n, k) in range.enumerate() {
            visit(k / count, k % count, &activations.get(n)?, &gradients.get(n)?)?;
        }
    }
    Ok(())
}

/// The mean gradient of every row at the weighted `nodes`.
pub(super) fn mean_gradient(
    at: (&mut Run, &Query),
    place: (&str, &Resolved),
    like: &Tensor,
    nodes: &[(f64, f64)],
    version: impl Fn(usize, f64) -> Result<Version>,
) -> Result<Tensor> {
    let mut sums = vec![like.get(0)?.zeros_like()?; like.dims()[0]];
    let at_node = |row, k: usize| version(row, nodes[k].0);
    along(at, place, nodes.len(), at_node, |row, k, _, gradient| {
        sums[row] = (&sums[row] + (gradient * nodes[k].1)?)?;
        Ok(())
    })?;
    Ok(Tensor::stack(&sums, 0)?)
}
