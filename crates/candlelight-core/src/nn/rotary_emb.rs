//! Rotary position embeddings ([Su et al. 2021](https://arxiv.org/abs/2104.09864)) with their gradient, which
//! candle_nn's fused ones lack: the rotation by the opposite angle.

pub use candle_nn::rotary_emb::{rope_i_slow, rope_slow};

use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor};

macro_rules! rotations {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// If the shapes do not fit, or if `cos` or `sin` is trained: that needs the slow variant.
        pub fn $name(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
            if cos.track_op() || sin.track_op() {
                candle_core::bail!("`{}` takes constant tables; train them by its slow variant", stringify!($name))
            }
            let (cos, sin) = (cos.contiguous()?, sin.contiguous()?);
            let y = candle_nn::rotary_emb::$name(&x.detach().contiguous()?, &cos, &sin)?;
            let back = sin.neg()?;
            vjp_of_fresh(&[x], y, move |_, g| Ok(vec![Some(candle_nn::rotary_emb::$name(g, &cos, &back)?)]))
        }
    )* };
}
rotations! {
    /// Rotates pairs that lie half a head apart.
    ///
    /// # Shapes
    /// `x` `[N, heads, T, d]`, `cos` and `sin` `[T, d / 2]` or `[N, T, d / 2]`.
    rope;
    /// Rotates neighbouring pairs.
    ///
    /// # Shapes
    /// `x` `[N, heads, T, d]`, `cos` and `sin` `[T, d / 2]` or `[N, T, d / 2]`.
    rope_i;
    /// [`rope`] with the tokens before the heads.
    ///
    /// # Shapes
    /// `x` `[N, T, heads, d]`, `cos` and `sin` `[T, d / 2]` or `[N, T, d / 2]`.
    rope_thd;
}
