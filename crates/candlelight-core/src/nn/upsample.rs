//! Upsampling of maps, with the gradients that candle's lack.

use super::Module;
use super::resample::{Resample, nearest, pick};
use super::ruled;
use candle_core::{Result, Tensor};

/// Where the pixels lie between which [`Upsample::bilinear`] interpolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corners {
    /// The outermost pixels of both maps have the same centres (`align_corners=True`).
    Aligned,
    /// Both maps have the same outer edges (`align_corners=False`, PyTorch's default).
    Apart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nearest,
    Bilinear(Corners),
}

/// Resizes maps to a height and a width, without antialiasing, as PyTorch's `interpolate` does.
///
/// # Shapes
/// Input `[N, C, h, w]`, output `[N, C, height, width]`.
#[derive(Clone, Debug)]
pub struct Upsample {
    size: (usize, usize),
    between: Between,
    name: String,
}

impl Upsample {
    /// Repeats the nearest pixel: in place of `x.upsample_nearest2d(height, width)` and `x.interpolate2d(…)`.
    pub fn nearest(height: usize, width: usize) -> Self {
        Self { size: (height, width), between: Between::Nearest, name: String::new() }
    }

    /// Interpolates between the four nearest pixels: in place of `x.upsample_bilinear2d(height, width, …)`.
    pub fn bilinear(height: usize, width: usize, corners: Corners) -> Self {
        Self { size: (height, width), between: Between::Bilinear(corners), name: String::new() }
    }

    /// The same layer, shown to the scope under a name.
    pub fn at(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ((_, _, h, w), (height, width)) = (x.dims4()?, self.size);
        if h == 0 || w == 0 {
            candle_core::bail!("upsampling `{}` got an empty map of {h}x{w}", self.name)
        }
        ruled::averaged(&self.name, || match self.between {
            Between::Nearest => pick(x, &nearest(h, height), &nearest(w, width)),
            Between::Bilinear(corners) => {
                Resample::new(&shares(h, height, corners), &shares(w, width, corners), x)?.apply(x)
            }
        })
    }
}

/// For each of `to` pixels the two of `from` that it lies between, and its share in them.
fn shares(from: usize, to: usize, corners: Corners) -> Vec<Vec<(usize, f64)>> {
    let place = |pixel: usize| match corners {
        Corners::Aligned => pixel as f64 * (from - 1) as f64 / (to - 1).max(1) as f64,
        Corners::Apart => ((pixel as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
    };
    let pair = |pixel: usize| {
        let low = (place(pixel) as usize).min(from - 1);
        let share = place(pixel) - low as f64;
        vec![(low, 1.0 - share), ((low + 1).min(from - 1), share)]
    };
    (0..to).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Rounding of a few products in double precision.
    const TOLERANCE: f64 = 1e-12;

    #[test]
    fn values_are_those_of_candles_operations() -> Result<()> {
        let x = Tensor::arange(0.0f64, 2.0 * 3.0 * 4.0 * 5.0, &Device::Cpu)?.reshape((2, 3, 4, 5))?.sin()?;
        for (h, w) in [(4, 5), (8, 10), (7, 11), (1, 1), (3, 2), (13, 5)] {
            let pairs = [
                (Upsample::nearest(h, w), x.upsample_nearest2d(h, w)?),
                (Upsample::bilinear(h, w, Corners::Apart), x.upsample_bilinear2d(h, w, false)?),
                (Upsample::bilinear(h, w, Corners::Aligned), x.upsample_bilinear2d(h, w, true)?),
            ];
            for (layer, theirs) in pairs {
                let apart = (layer.forward(&x)? - theirs)?.abs()?.max_all()?.to_scalar::<f64>()?;
                assert!(apart < TOLERANCE, "{layer:?}: {apart:e}");
            }
        }
        Ok(())
    }
}
