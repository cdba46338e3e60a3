//! The features of one row: who belongs to which, and how many there are.

use crate::perturb::Coalition;
use crate::schedule::to_f64;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candlelight_kernels::chain::Region;

/// The features of one row.
#[derive(Clone, Debug)]
pub(crate) struct Players {
    /// For each element of the map the feature that it belongs to, `[elements]`, on the input's device.
    labels: Tensor,
    /// The map's shape: the row's, or with one channel.
    shape: Vec<usize>,
    count: usize,
    order: Order,
}

/// How labels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Every element is its own feature, in the order of the elements.
    Natural,
    Any,
}

impl Players {
    /// Every element of `shape` by itself.
    pub(crate) fn each(shape: &[usize], device: &Device) -> Result<Self> {
        let count: usize = shape.iter().product();
        let labels = Tensor::arange(0, count as u32, device)?;
        Ok(Self { labels, shape: shape.to_vec(), count, order: Order::Natural })
    }

    /// The cells of a grid: `axes` says, for every place of each axis, in which part of the axis it lies. Parts are
    /// counted from 0, without gaps.
    pub(crate) fn product(axes: &[Vec<usize>], device: &Device) -> Result<Self> {
        let (mut labels, mut count) = (vec![0u32], 1);
        for axis in axes {
            let parts = axis.iter().max().map_or(0, |last| last + 1);
            let inside = |&label: &u32| axis.iter().map(move |&part| label * parts as u32 + part as u32);
            labels = labels.iter().flat_map(inside).collect();
            count *= parts;
        }
        let shape = axes.iter().map(Vec::len).collect();
        Ok(Self { labels: Tensor::new(labels, device)?, shape, count, order: Order::Any })
    }

    /// Equal labels are one feature, in the order of the labels.
    pub(crate) fn labelled(labels: &Tensor, device: &Device) -> Result<Self> {
        let shape = labels.dims().to_vec();
        let labels = labels.flatten_all()?.to_vec1::<i64>()?;
        if let Some(label) = labels.iter().find(|label| **label < 0) {
            let (value, expected) = (label.to_string(), "a whole number from 0 on");
            return Err(Error::Setting { setting: "label of a feature mask", value, expected });
        }
        let mut known = labels.clone();
        known.sort_unstable();
        known.dedup();
        let place = |label: &i64| known.binary_search(label).unwrap_or_default() as u32;
        let dense: Vec<u32> = labels.iter().map(place).collect();
        Ok(Self { labels: Tensor::new(dense, device)?, shape, count: known.len(), order: Order::Any })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Where each feature lies: the mean place of its elements along every axis of the map.
    pub(crate) fn centres(&self) -> Result<Vec<Vec<f64>>> {
        let mut sums = vec![(0.0, vec![0.0; self.shape.len()]); self.count];
        for (element, label) in self.labels.to_vec1::<u32>()?.into_iter().enumerate() {
            let (count, places) = &mut sums[label as usize];
            *count += 1.0;
            let mut left = element;
            for (place, length) in places.iter_mut().zip(&self.shape).rev() {
                *place += (left % length) as f64;
                left /= length;
            }
        }
        let mean = |(count, places): (f64, Vec<f64>)| places.into_iter().map(|sum| sum / count).collect();
        Ok(sums.into_iter().map(mean).collect())
    }

    /// The map in which every element has the value of its feature, of the map's shape.
    pub(crate) fn spread(&self, values: &[f64], dtype: DType) -> Result<Tensor> {
        let values = Tensor::new(values, self.labels.device())?.to_dtype(dtype)?;
        Ok(values.index_select(&self.labels, 0)?.reshape(&self.shape[..])?)
    }

    /// For every feature the smallest rectangle of the image around it; none where rows are no images.
    pub(crate) fn boxes(&self) -> Result<Option<Vec<Region>>> {
        let [_, height, width] = self.shape[..] else { return Ok(None) };
        let mut boxes = vec![Region { rows: height..0, columns: width..0 }; self.count];
        for (element, label) in self.labels.to_vec1::<u32>()?.into_iter().enumerate() {
            let (row, column) = (element / width % height, element % width);
            let Region { rows, columns } = &mut boxes[label as usize];
            *rows = rows.start.min(row)..rows.end.max(row + 1);
            *columns = columns.start.min(column)..columns.end.max(column + 1);
        }
        Ok(Some(boxes))
    }

    /// The sum over each feature of `map`, a row with the features' places; channels are summed where features have one.
    pub(crate) fn totals(&self, map: &Tensor) -> Result<Vec<f64>> {
        let one = self.shape[0] == 1 && map.dims()[0] != 1;
        let map = if one { map.sum_keepdim(0)? } else { map.clone() };
        let values = to_f64(&map.broadcast_as(&self.shape[..])?)?;
        let mut totals = vec![0.0; self.count];
        for (&feature, value) in self.labels.to_vec1::<u32>()?.iter().zip(values) {
            totals[feature as usize] += value;
        }
        Ok(totals)
    }

    /// For every coalition 1 where an element is present and 0 where it is absent, `[B, …]` with the map's shape.
    pub(crate) fn present(&self, coalitions: &[&Coalition]) -> Result<Tensor> {
        let members: Vec<u8> = coalitions.iter().flat_map(|coalition| coalition.members()).collect();
        let members = Tensor::from_vec(members, (coalitions.len(), self.count), self.labels.device())?;
        let shape = [&[coalitions.len()], &self.shape[..]].concat();
        match self.order {
            Order::Natural => Ok(members.reshape(shape)?),
            Order::Any => Ok(members.index_select(&self.labels, 1)?.reshape(shape)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;

    fn labels(features: &Features, shape: &[usize]) -> Result<(Vec<u32>, usize, Vec<usize>)> {
        let input = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        let players = features.players(&input, 0)?;
        Ok((players.labels.to_vec1()?, players.count, players.shape))
    }

    #[test]
    fn patches_are_cut_off_and_grids_are_even() -> Result<()> {
        let patches = labels(&Features::Patches { height: 2, width: 3 }, &[1, 3, 3, 4])?;
        assert_eq!(patches, (vec![0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 2, 3], 4, vec![1, 3, 4]));
        let grid = labels(&Features::Grid { rows: 9, columns: 2 }, &[1, 3, 2, 3])?;
        assert_eq!(grid, (vec![0, 0, 1, 2, 2, 3], 4, vec![1, 2, 3]));
        Ok(())
    }

    #[test]
    fn labels_with_gaps_are_counted_without() -> Result<()> {
        let mask = Tensor::new(&[[[[7i64, 2], [2, 90]]]], &Device::Cpu)?;
        let found = labels(&Features::Mask(mask), &[5, 3, 2, 2])?;
        assert_eq!(found, (vec![1, 0, 0, 2], 3, vec![1, 2, 2]));
        Ok(())
    }

    #[test]
    fn a_feature_lies_where_its_elements_are_in_the_mean() -> Result<()> {
        let input = Tensor::zeros((1, 3, 4, 6), DType::F64, &Device::Cpu)?;
        let players = Features::Grid { rows: 2, columns: 2 }.players(&input, 0)?;
        let expected = [[0.0, 0.5, 1.0], [0.0, 0.5, 4.0], [0.0, 2.5, 1.0], [0.0, 2.5, 4.0]];
        assert_eq!(players.centres()?, expected.map(Vec::from));
        Ok(())
    }

    #[test]
    fn every_element_has_the_value_and_the_presence_of_its_feature() -> Result<()> {
        let input = Tensor::zeros((1, 1, 2, 3), DType::F64, &Device::Cpu)?;
        let players = Features::Grid { rows: 1, columns: 2 }.players(&input, 0)?;
        let map = players.spread(&[0.5, 2.0], DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        assert_eq!(map, [0.5, 0.5, 2.0, 0.5, 0.5, 2.0]);
        let present = players.present(&[&Coalition::full(2), &Coalition::full(2).without(0)])?;
        assert_eq!(present.dims(), [2, 1, 2, 3]);
        assert_eq!(present.flatten_all()?.to_vec1::<u8>()?, [1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 1]);
        Ok(())
    }
}
