//! A map as the page holds it: its own numbers, which the page draws and says.

use crate::failure::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use candlelight::Axis;
use candlelight::image::{ColorMap, ColorMapKind, Heatmap, Normalize, Numbers};
use serde::Serialize;
use std::collections::BTreeMap;

/// Colours of a palette: as many as a picture can tell apart along one axis.
const COLOURS: u16 = 256;

/// One map.
#[derive(Serialize)]
pub struct Plot {
    /// One value per cell in row-major order, float32 in little-endian bytes, base64.
    values: String,
    height: usize,
    width: usize,
    rows: Centres,
    columns: Centres,
    /// The values that the ends of the colours stand for.
    low: f64,
    high: f64,
    palette: &'static str,
    /// Zero is the middle of the colours.
    diverging: bool,
}

/// Where cells lie along one side: cell `i` at the share `(offset + i) / density` of it.
#[derive(Serialize)]
struct Centres {
    density: f64,
    offset: f64,
}

impl From<Axis> for Centres {
    fn from(Axis { density, offset }: Axis) -> Self {
        Self { density, offset }
    }
}

impl Plot {
    pub fn of(numbers: &Numbers) -> Self {
        let bytes: Vec<u8> = numbers.values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
        Self {
            values: BASE64_STANDARD.encode(bytes),
            height: numbers.height,
            width: numbers.width,
            rows: numbers.placement.rows.into(),
            columns: numbers.placement.columns.into(),
            low: numbers.range.0,
            high: numbers.range.1,
            palette: name(numbers.colors),
            diverging: numbers.colors.kind() == ColorMapKind::Diverging,
        }
    }
}

/// The palettes that a picture of a map takes unless told: their red, green and blue levels, base64.
pub fn palettes() -> BTreeMap<&'static str, String> {
    let colours = |map: ColorMap| -> Vec<u8> {
        (0..COLOURS).flat_map(|step| map.at(f64::from(step) / f64::from(COLOURS - 1)).0).collect()
    };
    [ColorMap::BlueRed, ColorMap::Inferno].map(|map| (name(map), BASE64_STANDARD.encode(colours(map)))).into()
}

fn name(map: ColorMap) -> &'static str {
    match map {
        ColorMap::BlueRed => "blue-red",
        _ => "inferno",
    }
}

/// The numbers of one map, or of several that are to be compared and so have the same colours for the same values.
pub fn on_one_scale(maps: &[Heatmap]) -> Result<Vec<Numbers>> {
    let own = maps.iter().map(Heatmap::numbers).collect::<Result<Vec<_>, _>>()?;
    let ends = own.iter().map(|numbers| numbers.range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    match ends {
        Some((low, high)) if own.len() > 1 && low < high => {
            let low = if low < 0.0 { -high } else { low };
            let colors = if low < 0.0 { ColorMap::BlueRed } else { ColorMap::Inferno };
            let same = |map: &Heatmap| map.clone().normalize(Normalize::Range(low, high)).colors(colors);
            Ok(maps.iter().map(|map| same(map).numbers()).collect::<Result<_, _>>()?)
        }
        _ => Ok(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    fn map(values: &[f32]) -> Heatmap {
        let tensor = Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap();
        Heatmap::new(&tensor).normalize(Normalize::MaxAbs)
    }

    #[test]
    fn a_value_has_the_same_colour_in_both_maps_that_are_compared() {
        let numbers = on_one_scale(&[map(&[0.5, 2.0]), map(&[-3.0, 1.0])]).unwrap();
        assert!(numbers.iter().all(|it| it.range == (-3.0, 3.0) && it.colors == ColorMap::BlueRed));
        let numbers = on_one_scale(&[map(&[0.5, 2.0]), map(&[3.0, 1.0])]).unwrap();
        assert!(numbers.iter().all(|it| it.range == (0.0, 3.0) && it.colors == ColorMap::Inferno));
        assert_eq!(on_one_scale(&[map(&[0.0]), map(&[0.0])]).unwrap()[0].range, (0.0, 0.0));
    }

    #[test]
    fn values_are_stored_as_they_are() {
        let plot = Plot::of(&map(&[1.5, -0.1]).numbers().unwrap());
        let bytes = BASE64_STANDARD.decode(plot.values).unwrap();
        assert_eq!(bytes, [1.5f32.to_le_bytes(), (-0.1f32).to_le_bytes()].concat());
    }
}
