//! k-means of colour and place ([Achanta et al. 2012](https://doi.org/10.1109/TPAMI.2012.120)).

use super::connected;

/// Rounds of k-means: the paper's.
const ROUNDS: usize = 10;
/// Parts smaller than this share of a cell of the grid are crumbs.
const CRUMB: f64 = 0.25;

/// A mean of colours and places.
struct Centre {
    colour: Vec<f64>,
    y: f64,
    x: f64,
}

/// The segment of every pixel of an image `[C, H, W]`.
pub(super) fn slic(pixels: &[f64], size: (usize, usize), segments: usize, compactness: f64) -> Vec<u32> {
    let (height, width) = size;
    let side = ((height * width) as f64 / segments as f64).sqrt().max(1.0);
    let count = |length: usize| ((length as f64 / side).round() as usize).clamp(1, length);
    let (rows, columns) = (count(height), count(width));
    let at = |k: usize, count: usize, length: usize| (k as f64 + 0.5) * length as f64 / count as f64 - 0.5;
    let centre = |k: usize| {
        let (y, x) = (at(k / columns, rows, height), at(k % columns, columns, width));
        Centre { colour: colour(pixels, size, y.round() as usize * width + x.round() as usize), y, x }
    };
    let mut centres: Vec<Centre> = (0..rows * columns).map(centre).collect();
    let mut labels = vec![0; height * width];
    for _ in 0..ROUNDS {
        labels = nearest(pixels, size, &centres, (side, compactness));
        centres = means(pixels, size, &labels, centres);
    }
    connected(&labels, size, (CRUMB * side * side) as usize)
}

/// The colour of a pixel.
fn colour(pixels: &[f64], (height, width): (usize, usize), pixel: usize) -> Vec<f64> {
    pixels.chunks_exact(height * width).map(|channel| channel[pixel]).collect()
}

/// The nearest centre of every pixel among those within a cell's side of it.
fn nearest(
    pixels: &[f64],
    (height, width): (usize, usize),
    centres: &[Centre],
    (side, compactness): (f64, f64),
) -> Vec<u32> {
    let plane = height * width;
    let (mut labels, mut best) = (vec![0; plane], vec![f64::INFINITY; plane]);
    let per_pixel = (compactness / side).powi(2);
    let range = |at: f64, length: usize| {
        (at - side).ceil().max(0.0) as usize..((at + side).floor() as usize + 1).min(length)
    };
    for (label, centre) in centres.iter().enumerate() {
        for y in range(centre.y, height) {
            for x in range(centre.x, width) {
                let pixel = y * width + x;
                let apart =
                    centre.colour.iter().enumerate().map(|(c, v)| (v - pixels[c * plane + pixel]).powi(2));
                let place = (y as f64 - centre.y).powi(2) + (x as f64 - centre.x).powi(2);
                let distance = apart.sum::<f64>() + per_pixel * place;
                if distance < best[pixel] {
                    (labels[pixel], best[pixel]) = (label as u32, distance);
                }
            }
        }
    }
    labels
}

/// The means of the pixels of each label; a centre without pixels stays.
fn means(pixels: &[f64], size: (usize, usize), labels: &[u32], centres: Vec<Centre>) -> Vec<Centre> {
    let channels = pixels.len() / labels.len();
    let mut sums = vec![vec![0.0; channels + 3]; centres.len()];
    for (pixel, &label) in labels.iter().enumerate() {
        let place = [(pixel / size.1) as f64, (pixel % size.1) as f64, 1.0];
        let values = (0..channels).map(|c| pixels[c * labels.len() + pixel]).chain(place);
        sums[label as usize].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    let mean = |(sum, centre): (Vec<f64>, Centre)| match sum[channels + 2] {
        0.0 => centre,
        count => Centre {
            colour: sum[..channels].iter().map(|sum| sum / count).collect(),
            y: sum[channels] / count,
            x: sum[channels + 1] / count,
        },
    };
    sums.into_iter().zip(centres).map(mean).collect()
}
