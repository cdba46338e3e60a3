//! Segments of an image by the edges between its pixels
//! ([Felzenszwalb and Huttenlocher 2004](https://doi.org/10.1023/B:VISI.0000022288.19776.77)).

use super::scaled;
use crate::Result;
use crate::blur::blur;
use crate::schedule::to_f64;
use crate::segmentation::{edges, segment, spread};
use candle_core::{DType, Tensor};

/// How large segments like to be, from fine to coarse; in 1/255 of the range from -1 to 1 times pixels.
const SCALES: [f64; 6] = [50.0, 100.0, 150.0, 250.0, 500.0, 1200.0];
/// Blur before the segmentation, in pixels.
const SIGMA: f64 = 0.8;
/// The smallest segment, in pixels.
const SMALLEST: f64 = 150.0;
/// By how many pixels segments are widened.
const WIDER: f64 = 5.0;

/// The widened segments of all scales of an image `[C, H, W]`, as lists of pixels.
pub(super) fn regions(image: &Tensor) -> Result<Vec<Vec<u32>>> {
    let (_, height, width) = image.dims3()?;
    let size = |size, power| scaled(size, height, width, power);
    let blurred = blur(&spread(&image.to_dtype(DType::F64)?)?, size(SIGMA, 1.0))?;
    let edges = edges(&to_f64(&blurred)?, height, width);
    let labels =
        SCALES.map(|scale| segment(height * width, &edges, size(scale / 255.0, 2.0), size(SMALLEST, 2.0)));
    let radius = size(WIDER, 1.0).round() as i64;
    Ok(labels.iter().flat_map(|labels| widened(labels, (height, width), radius)).collect())
}

/// The pixels of every segment and those within `radius` of one.
fn widened(labels: &[u32], (height, width): (usize, usize), radius: i64) -> Vec<Vec<u32>> {
    let mut segments = std::collections::BTreeMap::<u32, Vec<u32>>::new();
    for pixel in 0..labels.len() {
        for label in around(labels, pixel, (height as i64, width as i64), radius) {
            segments.entry(label).or_default().push(pixel as u32);
        }
    }
    segments.into_values().collect()
}

/// The labels within `radius` of a pixel, each once.
fn around(labels: &[u32], pixel: usize, (height, width): (i64, i64), radius: i64) -> Vec<u32> {
    let (row, column) = (pixel as i64 / width, pixel as i64 % width);
    let mut found = Vec::new();
    for down in -radius..=radius {
        for right in -radius..=radius {
            let (y, x) = (row + down, column + right);
            let near = down * down + right * right <= radius * radius;
            if near && (0..height).contains(&y) && (0..width).contains(&x) {
                let label = labels[(y * width + x) as usize];
                if !found.contains(&label) {
                    found.push(label);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_widened_segment_reaches_over_its_edge_and_no_further() {
        let labels: Vec<u32> = (0..30).map(|pixel| u32::from(pixel % 6 >= 3)).collect();
        let wide = widened(&labels, (5, 6), 1);
        let columns =
            |region: &Vec<u32>| region.iter().map(|p| p % 6).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(columns(&wide[0]).into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!((wide[0].len(), wide[1].len()), (20, 20));
        assert_eq!(widened(&labels, (5, 6), 0)[1].len(), 15);
    }

    #[test]
    fn two_flat_halves_are_two_segments_at_every_scale() -> Result<()> {
        let half: Vec<f32> = (0..3 * 32 * 32).map(|i| if i % 32 < 16 { 0.1 } else { 0.9 }).collect();
        let regions = regions(&Tensor::from_vec(half, (3, 32, 32), &Device::Cpu)?)?;
        assert_eq!(regions.len(), 2 * SCALES.len());
        Ok(())
    }

    #[test]
    fn an_image_of_one_colour_is_one_segment() -> Result<()> {
        let regions = regions(&Tensor::full(0.3f32, (3, 16, 16), &Device::Cpu)?)?;
        assert!(regions.iter().all(|region| region.len() == 256) && regions.len() == SCALES.len());
        Ok(())
    }
}
