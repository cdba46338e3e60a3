//! How much each pixel matters, and in which order.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{Attribution, Reading};

/// Height and width of the images of `input`, `[N, C, H, W]`.
pub(crate) fn image(input: &Tensor) -> Result<(usize, usize)> {
    match *input.dims() {
        [_, _, height, width] => Ok((height, width)),
        _ => Err(Error::Shape {
            what: "the input",
            found: input.dims().to_vec(),
            expected: "images [N, C, H, W]".into(),
        }),
    }
}

/// For every row how much each pixel of an image of `height` x `width` matters, row by row: the magnitudes of the map
/// summed over channels, of which negative ones count nothing where they mean nothing. Maps of another size are brought
/// to the image first.
pub(crate) fn pixels(attribution: &Attribution, (height, width): (usize, usize)) -> Result<Vec<Vec<f64>>> {
    let maps = attribution.maps();
    let fits = maps.rank() == 4 && maps.dims()[2..] == [height, width];
    let magnitude = |maps: &Tensor| match attribution.reading() {
        Reading::Signed => maps.abs(),
        Reading::Positive => maps.relu(),
    };
    let pixels = match fits {
        true => magnitude(&maps.to_dtype(DType::F64)?)?.sum(1)?,
        false => magnitude(&attribution.plane(height, width)?.to_dtype(DType::F64)?)?,
    };
    let rows = pixels.to_device(&Device::Cpu)?.flatten_from(1)?.to_vec2::<f64>()?;
    rows.into_iter().enumerate().map(|(row, values)| finite(row, values)).collect()
}

/// For every row what the map itself says of each pixel, summed over channels.
pub(crate) fn signed(attribution: &Attribution, (height, width): (usize, usize)) -> Result<Vec<Vec<f64>>> {
    let maps = attribution.plane(height, width)?.to_dtype(DType::F64)?.to_device(&Device::Cpu)?;
    let rows = maps.flatten_from(1)?.to_vec2::<f64>()?;
    rows.into_iter().enumerate().map(|(row, values)| finite(row, values)).collect()
}

/// The values of row `row`, if all of them are numbers.
pub(crate) fn finite(row: usize, values: Vec<f64>) -> Result<Vec<f64>> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(Error::NotFinite { row, value }),
        None => Ok(values),
    }
}

/// The places of `values`, the largest first; of equal ones the first first.
pub(crate) fn order(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// For every row the rank of each pixel, 0 the one that matters most.
pub(crate) fn ranked(attribution: &Attribution, size: (usize, usize)) -> Result<Vec<Vec<usize>>> {
    Ok(pixels(attribution, size)?.iter().map(|values| ranks(&order(values))).collect())
}

/// For every place how many stand before it in `order`.
fn ranks(order: &[usize]) -> Vec<usize> {
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(rank, &place)| ranks[place] = rank);
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_keep_their_order() {
        assert_eq!(order(&[1.0, 3.0, 1.0, 3.0, 0.0]), [1, 3, 0, 2, 4]);
        assert_eq!(ranks(&order(&[1.0, 3.0, 1.0, 3.0, 0.0])), [2, 0, 3, 1, 4]);
    }
}
