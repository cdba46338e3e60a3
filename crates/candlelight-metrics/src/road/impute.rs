//! Removed pixels from their neighbours.

use candle_core::{DType, Result, Tensor};

/// `x`, `[N, C, H, W]`, with every pixel that is `removed`, `[N, H, W]`, replaced by the weighted mean of its neighbours,
/// all of them solved for together, each channel and row by itself, in double precision on the host.
pub(super) fn impute(x: &Tensor, removed: &[bool]) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    let values = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let found = candlelight_kernels::impute(&values, removed, (channels, height, width));
    Tensor::from_vec(found, x.shape(), x.device())?.to_dtype(x.dtype())
}
