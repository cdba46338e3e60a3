//! Rows of a table.

use super::{Module, VarBuilder};
use crate::scope::{Kind, report};
use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};

/// The rows of a table that indices name.
///
/// Indices have no derivative: tap the output and ask for its gradient to explain a model of tokens.
///
/// # Shapes
/// Indices `[…]` (u8, u32 or i64), output `[…, features]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    embeddings: Tensor,
    hidden_size: usize,
    name: String,
}

impl Embedding {
    /// A layer with this table, `[rows, hidden_size]`.
    pub fn new(embeddings: Tensor, hidden_size: usize) -> Self {
        Self { embeddings, hidden_size, name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The table, `[rows, features]`.
    pub fn embeddings(&self) -> &Tensor {
        &self.embeddings
    }

    /// Features of a row.
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }
}

impl Module for Embedding {
    fn forward(&self, indices: &Tensor) -> Result<Tensor> {
        let flat = indices.flatten_all()?.detach();
        let table = self.embeddings.detach();
        let shape = [indices.dims(), &[self.hidden_size]].concat();
        let y = table.index_select(&flat, 0)?.reshape(shape)?;
        let pullback = move |_: &Tensor, g: &Tensor| {
            let g = g.reshape((flat.elem_count(), table.dim(1)?))?;
            Ok(vec![Some(table.zeros_like()?.index_add(&flat, &g, 0)?)])
        };
        report(&self.name, Kind::Linear, 0, vjp_of_fresh(&[&self.embeddings], y, pullback)?)
    }
}

/// A layer with its table from `vb`: `weight`.
///
/// # Errors
/// If the parameter is missing or has another shape.
pub fn embedding(in_size: usize, out_size: usize, vb: VarBuilder) -> Result<Embedding> {
    let name = vb.prefix();
    let table = candle_nn::embedding(in_size, out_size, vb)?.embeddings().clone();
    Ok(Embedding::new(table, out_size).at(name))
}
