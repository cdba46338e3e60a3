//! Linear maps along the height and along the width of planes: adaptive averages and bilinear interpolation.

use super::elements::matmul;
use crate::vjp::vjp_of_fresh;
use candle_core::{D, DType, Device, Result, Tensor};

/// One matrix `[to, from]` per axis: y = R · x · Cᵀ for every plane.
#[derive(Clone)]
pub(super) struct Resample {
    rows: Tensor,
    columns: Tensor,
}

impl Resample {
    /// The map whose matrices have, per output row or column, these shares of input rows or columns.
    pub fn new(rows: &[Vec<(usize, f64)>], columns: &[Vec<(usize, f64)>], x: &Tensor) -> Result<Self> {
        let (_, _, h, w) = x.dims4()?;
        Ok(Self { rows: matrix(rows, h, x)?, columns: matrix(columns, w, x)? })
    }

    /// The map of every plane of `x` `[N, C, H, W]`, joined to the graph.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        let y = product(&x.detach(), &self.rows, &self.columns)?;
        let (rows, columns) = (self.rows.t()?.contiguous()?, self.columns.t()?.contiguous()?);
        vjp_of_fresh(&[x], y, move |_, g| Ok(vec![Some(product(g, &rows, &columns)?)]))
    }
}

fn matrix(shares: &[Vec<(usize, f64)>], from: usize, like: &Tensor) -> Result<Tensor> {
    let mut values = vec![0.0; shares.len() * from];
    for (row, shares) in values.chunks_exact_mut(from.max(1)).zip(shares) {
        shares.iter().for_each(|&(i, share)| row[i] += share);
    }
    let values = Tensor::from_vec(values, (shares.len(), from), &Device::Cpu)?;
    values.to_dtype(DType::F64)?.to_dtype(like.dtype())?.to_device(like.device())
}

fn product(x: &Tensor, rows: &Tensor, columns: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (height, width) = (rows.dim(0)?, columns.dim(0)?);
    if n * c == 0 {
        return Tensor::zeros((n, c, height, width), x.dtype(), x.device());
    }
    let wide =
        matmul(&x.contiguous()?.reshape((n * c * h, w))?, &columns.t()?)?.reshape((n * c, h, width))?;
    matmul(&rows.broadcast_left(n * c)?.contiguous()?, &wide)?.reshape((n, c, height, width))
}

/// The element of `to` that lies over each of `from`, as PyTorch's `nearest` picks it: in single precision.
pub(super) fn nearest(from: usize, to: usize) -> Vec<u32> {
    let scale = from as f32 / to as f32;
    (0..to).map(|i| ((i as f32 * scale) as usize).min(from.saturating_sub(1)) as u32).collect()
}

/// `x` `[N, C, H, W]` by indices of its rows and columns, joined to the graph.
pub(super) fn pick(x: &Tensor, rows: &[u32], columns: &[u32]) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (rows, columns) = (Tensor::new(rows, x.device())?, Tensor::new(columns, x.device())?);
    let y = x.detach().index_select(&rows, 2)?.index_select(&columns, 3)?;
    vjp_of_fresh(&[x], y, move |_, g| {
        let zeros = |height: usize| Tensor::zeros((n, c, height, w), g.dtype(), g.device());
        let wide = zeros(g.dim(D::Minus2)?)?.index_add(&columns, g, 3)?;
        Ok(vec![Some(zeros(h)?.index_add(&rows, &wide, 2)?)])
    })
}
