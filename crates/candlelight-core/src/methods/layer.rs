//! What the methods at a layer share: finding it, its activation, and gradients there along a path.

use crate::schedule::{Prediction, Run};
use crate::scope::{Kind, LayerInfo, Rules, Selector, Tape, Watch, layers, watch};
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

pub(super) fn last_map(seen: &[LayerInfo]) -> Result<String> {
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

/// What of a layer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its output.
    Activation,
    /// And the gradient of the scores there.
    Gradient,
}

/// A layer as it ran on the query's rows.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) activation: Tensor,
    pub(super) gradient: Option<Tensor>,
    placement: Option<Placement>,
    grid: Option<TokenGrid>,
}

impl Seen {
    /// The prediction for the query's rows, and `layer` as it ran.
    pub(super) fn on_input(run: &mut Run, model: &dyn Model, layer: String) -> Result<(Prediction, Self)> {
        let (prediction, mut seen) = Self::all(run, model, &[layer], Wanted::Activation, a_grid)?;
        Ok((prediction, seen.remove(0)))
    }

    /// The same with the gradient of the scores at the layer.
    pub(super) fn differentiated(
        run: &mut Run,
        model: &dyn Model,
        layer: String,
    ) -> Result<(Prediction, Self, Tensor)> {
        let (prediction, mut seen) = Self::all(run, model, &[layer], Wanted::Gradient, a_grid)?;
        seen.remove(0).apart(prediction)
    }

    /// The same under rules, which must have been given to the run.
    pub(super) fn under(
        rules: &Rules,
        run: &mut Run,
        model: &dyn Model,
        layer: String,
    ) -> Result<(Prediction, Self, Tensor)> {
        let held = |x: &Tensor, marked| rules.hold(|| watch(model, x, marked));
        let (prediction, mut seen) = Self::recorded(run, &[layer], Wanted::Gradient, a_grid, held)?;
        seen.remove(0).apart(prediction)
    }

    /// The layer and its gradient apart.
    fn apart(mut self, prediction: Prediction) -> Result<(Prediction, Self, Tensor)> {
        let gradient = self.gradient.take().ok_or_else(|| Error::no_gradient(&self.name))?;
        Ok((prediction, self, gradient))
    }

    /// The prediction, and several layers as they ran. Nothing below one of them alone is differentiated.
    pub(super) fn all(
        run: &mut Run,
        model: &dyn Model,
        layers: &[String],
        wanted: Wanted,
        grid_of: GridOf,
    ) -> Result<(Prediction, Vec<Self>)> {
        Self::recorded(run, layers, wanted, grid_of, |x, marked| watch(model, x, marked))
    }

    fn recorded(
        run: &mut Run,
        layers: &[String],
        wanted: Wanted,
        grid_of: GridOf,
        record: impl Fn(&Tensor, Vec<(Selector, Watch)>) -> Result<Tape>,
    ) -> Result<(Prediction, Vec<Self>)> {
        let mark = match (wanted, layers) {
            (Wanted::Activation, _) => Watch::Observe,
            (Wanted::Gradient, [_]) => Watch::Cut,
            (Wanted::Gradient, _) => Watch::Through,
        };
        let marked = layers.iter().map(|layer| (Selector::Name(layer.clone()), mark.clone()));
        let record = |x: &Tensor| record(x, marked.clone().collect());
        let (prediction, parts) = run.tapes(record, |tape, scores| {
            let places = layers.iter().map(|layer| tape.once(layer)).collect::<Result<Vec<_>>>()?;
            let gradients = match wanted {
                Wanted::Activation => Vec::new(),
                Wanted::Gradient => tape.gradients(&scores.sum_all()?)?,
            };
            let rows = scores.dims()[0];
            let seen = places.iter().map(|&place| {
                let seen = Self::of(tape, place, gradients.get(place).cloned(), rows)?;
                Ok(Self { grid: grid_of(tape, &seen.activation)?, ..seen })
            });
            let cost = Cost { forwards: rows, backwards: if gradients.is_empty() { 0 } else { rows } };
            Ok((seen.collect::<Result<Vec<_>>>()?, cost))
        })?;
        Ok((prediction, Self::join(parts)?))
    }

    /// The watched layer at `place` of a tape.
    fn of(tape: &Tape, place: usize, gradient: Option<Tensor>, rows: usize) -> Result<Self> {
        let watched = &tape.watched()[place];
        let (name, kind) = (watched.layer().name.clone(), watched.layer().kind);
        let activation = watched.activation().clone();
        check_rows(&activation, rows)?;
        let placement = match *activation.dims() {
            [_, _, height, width] => tape.placement(height, width),
            _ => None,
        };
        Ok(Self { name, kind, activation, gradient, placement, grid: None })
    }

    /// The layers on consecutive parts of the query as on the whole.
    fn join(parts: Vec<Vec<Self>>) -> Result<Vec<Self>> {
        let cat = |layer: usize, of: fn(&Self) -> Option<&Tensor>| -> Result<Option<Tensor>> {
            let tensors: Option<Vec<&Tensor>> = parts.iter().map(|part| of(&part[layer])).collect();
            Ok(tensors.map(|tensors| Tensor::cat(&tensors, 0)).transpose()?)
        };
        let mut joined = Vec::new();
        for (layer, first) in parts.first().into_iter().flatten().enumerate() {
            let whole = cat(layer, |seen| Some(&seen.activation))?;
            joined.push(Self {
                name: first.name.clone(),
                kind: first.kind,
                activation: whole.unwrap_or_else(|| first.activation.clone()),
                gradient: cat(layer, |seen| seen.gradient.as_ref())?,
                placement: first.placement,
                grid: first.grid,
            });
        }
        Ok(joined)
    }

    /// Refuses a layer of tokens whose patches reach no score: behind the last attention of a transformer that is read
    /// at its class token, the gradient of every patch is exactly zero, and the score is the same with other patches.
    pub(super) fn check_patches_read(
        &self,
        run: &mut Run,
        model: &dyn Model,
        target: &Resolved,
    ) -> Result<()> {
        let Some(grid) = self.grid.filter(|grid| grid.prefix > 0) else { return Ok(()) };
        let unread = match &self.gradient {
            Some(gradient) => {
                let largest = |from: usize, count: usize| -> Result<f64> {
                    Ok(gradient
                        .narrow(1, from, count)?
                        .abs()?
                        .max_all()?
                        .to_dtype(DType::F64)?
                        .to_scalar()?)
                };
                largest(grid.prefix, grid.rows * grid.columns)? == 0.0 && largest(0, grid.prefix)? > 0.0
            }
            None => self.ignores_patches(grid, run, target)?,
        };
        match unread {
            false => Ok(()),
            true => {
                let (layer, nearest) = (self.name.clone(), find(&None, model, run.input())?);
                Err(Error::PatchesUnread { layer, nearest })
            }
        }
    }

    /// Whether the first row's score is the same, to the last bit, with 1 − p for every patch p.
    fn ignores_patches(&self, grid: TokenGrid, run: &mut Run, target: &Resolved) -> Result<bool> {
        let (point, output) = (run.input().narrow(0, 0, 1)?, self.activation.narrow(0, 0, 1)?);
        let before = output.narrow(1, 0, grid.prefix)?;
        let others = output.narrow(1, grid.prefix, grid.rows * grid.columns)?.affine(-1.0, 1.0)?;
        let versions = Tensor::cat(&[&output, &Tensor::cat(&[&before, &others], 1)?], 0)?;
        let scores = run.scores_above(&self.name, (&point.contiguous()?, &versions), 0, target)?;
        Ok(scores[0] == scores[1])
    }

    /// Where the cells of its maps lie, if they do not tile the image.
    pub(super) fn placement(&self) -> Option<Placement> {
        self.placement
    }

    /// How its tokens lie, if it has some.
    pub(super) fn grid(&self) -> Option<TokenGrid> {
        self.grid
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

/// How the tokens of a layer's output lie, if it has some.
pub(super) type GridOf = fn(&Tape, &Tensor) -> Result<Option<TokenGrid>>;

/// The grid of a layer's tokens; an error unless just one is possible.
pub(super) fn the_grid(tape: &Tape, activation: &Tensor) -> Result<Option<TokenGrid>> {
    match *activation.dims() {
        [_, tokens, _] => tape.grid_of(tokens).map(Some),
        _ => Ok(None),
    }
}

/// The grid of a layer's tokens, if just one is possible.
fn a_grid(tape: &Tape, activation: &Tensor) -> Result<Option<TokenGrid>> {
    Ok(the_grid(tape, activation).ok().flatten())
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
