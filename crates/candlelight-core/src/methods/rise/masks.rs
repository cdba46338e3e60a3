//! The masks of RISE.

use crate::random::Stream;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};

/// A grid of cells, each open with the same chance, brought to more than the image's size by bilinear interpolation and
/// shifted by less than a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) cells: usize,
    pub(super) chance: f64,
}

/// The numbers of some masks: the cells, and how each axis is interpolated.
struct Drawn {
    cells: Vec<f32>,
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Grid {
    pub(super) fn check(&self) -> Result<()> {
        crate::methods::at_least_one("number of cells of a mask", self.cells)?;
        match self.chance > 0.0 && self.chance < 1.0 {
            true => Ok(()),
            false => Err(Error::Setting {
                setting: "chance of a cell of a mask",
                value: self.chance.to_string(),
                expected: "a number between 0 and 1, such as 0.5",
            }),
        }
    }

    /// The masks of some draws, `[B, 1, height, width]`: one product of small matrices each, made on the device.
    pub(super) fn masks(
        &self,
        draws: std::ops::Range<usize>,
        (height, width): (usize, usize),
        stream: impl Fn(usize) -> Stream,
        (dtype, device): (DType, &Device),
    ) -> Result<Tensor> {
        let (count, side) = (draws.len(), self.cells);
        let mut drawn = Drawn { cells: Vec::new(), rows: Vec::new(), columns: Vec::new() };
        for draw in draws {
            let stream = &mut stream(draw);
            let open = |_| f32::from(u8::from(stream.uniform() < self.chance));
            drawn.cells.extend((0..side * side).map(open));
            drawn.rows.extend(self.axis(height, stream));
            drawn.columns.extend(self.axis(width, stream));
        }
        let tensor = |values, rows, columns| Tensor::from_vec(values, (count, rows, columns), device);
        let rows = tensor(drawn.rows, height, side)?.to_dtype(dtype)?;
        let columns = tensor(drawn.columns, width, side)?.to_dtype(dtype)?;
        let cells = tensor(drawn.cells, side, side)?.to_dtype(dtype)?;
        Ok(rows.matmul(&cells)?.matmul(&columns.t()?.contiguous()?)?.unsqueeze(1)?)
    }

    /// The weights `[length, cells]` of an axis: `cells` cells brought to (cells + 1) · ⌈length / cells⌉ pixels, of which `length` are seen
    /// from a random one within the first cell on. Beyond the centres of the outermost cells the grid is mirrored there, as
    /// the authors' code has it.
    fn axis(&self, length: usize, stream: &mut Stream) -> Vec<f32> {
        let per_cell = length.div_ceil(self.cells);
        let (shift, last) = (stream.below(per_cell), (self.cells - 1) as f64);
        let cells_per_pixel = self.cells as f64 / ((self.cells + 1) * per_cell) as f64;
        let mut weights = vec![0.0; length * self.cells];
        for (pixel, row) in weights.chunks_exact_mut(self.cells).enumerate() {
            let at = (((pixel + shift) as f64 + 0.5) * cells_per_pixel - 0.5).abs();
            let at = (if at > last { 2.0 * last - at } else { at }).clamp(0.0, last);
            let (low, share) = (at.floor() as usize, at.fract());
            row[low] += 1.0 - share as f32;
            row[(low + 1).min(self.cells - 1)] += share as f32;
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_the_interpolation_of_their_cells() -> Result<()> {
        // The definition, pixel by pixel, from the same numbers.
        let grid = Grid { cells: 4, chance: 0.5 };
        let (height, width) = (10, 13);
        let stream = |draw| Stream::new(3, 1, draw as u64);
        let masks = grid.masks(2..5, (height, width), stream, (DType::F64, &Device::Cpu))?;
        for (n, draw) in (2..5).enumerate() {
            let mut stream = stream(draw);
            let cells: Vec<f64> = (0..16).map(|_| f64::from(u8::from(stream.uniform() < 0.5))).collect();
            let (down, right) = (stream.below(3), stream.below(4));
            let mirrored = |at: i64| {
                (if at < 0 {
                    -at
                } else if at > 3 {
                    6 - at
                } else {
                    at
                }) as usize
            };
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let at = |pixel: usize, size: f64| (pixel as f64 + 0.5) * 4.0 / size - 0.5;
                let (v, u) = (at(y + down, 15.0), at(x + right, 20.0));
                let mut expected = 0.0;
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let (row, column) = (v.floor() as i64 + i, u.floor() as i64 + j);
                    let weight = (1.0 - (v - row as f64).abs()) * (1.0 - (u - column as f64).abs());
                    expected += weight * cells[mirrored(row) * 4 + mirrored(column)];
                }
                let found = masks.get(n)?.get(0)?.get(y)?.get(x)?.to_scalar::<f64>()?;
                assert!((found - expected).abs() < 1e-6, "{draw} {y} {x}: {found} {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn every_pixel_is_open_with_the_chance_of_the_cells() -> Result<()> {
        let grid = Grid { cells: 3, chance: 0.3 };
        let stream = |draw| Stream::new(1, 0, draw as u64);
        let mean = grid.masks(0..4000, (9, 9), stream, (DType::F64, &Device::Cpu))?.mean(0)?;
        for value in mean.flatten_all()?.to_vec1::<f64>()? {
            assert!((value - 0.3).abs() < 4.0 * (0.21f64 / 4000.0).sqrt(), "{value}");
        }
        Ok(())
    }
}
