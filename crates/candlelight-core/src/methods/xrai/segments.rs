//! Segments of an image by the edges between its pixels
//! ([Felzenszwalb and Huttenlocher 2004](https://doi.org/10.1023/B:VISI.0000022288.19776.77)).

use super::scaled;
use crate::Result;
use crate::blur::blur;
use crate::schedule::to_f64;
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

/// The image with its range as -1 to 1.
fn spread(image: &Tensor) -> Result<Tensor> {
    let flat = image.flatten_all()?;
    let (low, high) = (flat.min(0)?.to_scalar::<f64>()?, flat.max(0)?.to_scalar::<f64>()?);
    let range = if high > low { high - low } else { 1.0 };
    Ok((((image - low)? * (2.0 / range))? - 1.0)?)
}

/// The difference between two neighbours.
#[derive(Clone, Copy)]
struct Edge {
    weight: f64,
    a: u32,
    b: u32,
}

/// The edges between all eight neighbours of `[C, H, W]` pixels, the smallest first.
fn edges(pixels: &[f64], height: usize, width: usize) -> Vec<Edge> {
    let plane = height * width;
    let apart = |a: usize, b: usize| {
        let channels = (0..pixels.len() / plane).map(|c| pixels[c * plane + a] - pixels[c * plane + b]);
        channels.map(|difference| difference * difference).sum::<f64>().sqrt()
    };
    let mut edges = Vec::with_capacity(4 * plane);
    for (down, right) in [(0, 1), (1, 0), (1, 1), (1, -1)] {
        for a in 0..plane {
            let (row, column) = (a / width + down, (a % width) as i64 + right);
            if row < height && (0..width as i64).contains(&column) {
                let b = row * width + column as usize;
                edges.push(Edge { weight: apart(a, b), a: a as u32, b: b as u32 });
            }
        }
    }
    edges.sort_by(|x, y| x.weight.total_cmp(&y.weight));
    edges
}

/// A segment for every pixel: two segments join where the edge between them is no larger than inside either of them,
/// but for `scale` over its size; then every segment smaller than `smallest` joins a neighbour.
fn segment(pixels: usize, edges: &[Edge], scale: f64, smallest: f64) -> Vec<u32> {
    let mut forest = Forest::new(pixels);
    for edge in edges {
        let (a, b) = (forest.root(edge.a), forest.root(edge.b));
        let inside =
            |root: u32| forest.inside[root as usize] + scale / f64::from(forest.sizes[root as usize]);
        if a != b && edge.weight < inside(a).min(inside(b)) {
            forest.join(a, b, edge.weight);
        }
    }
    for edge in edges {
        let (a, b) = (forest.root(edge.a), forest.root(edge.b));
        let small = |root: u32| f64::from(forest.sizes[root as usize]) < smallest;
        if a != b && (small(a) || small(b)) {
            forest.join(a, b, edge.weight);
        }
    }
    (0..pixels as u32).map(|pixel| forest.root(pixel)).collect()
}

/// Segments as trees.
struct Forest {
    parents: Vec<u32>,
    sizes: Vec<u32>,
    /// The largest edge inside.
    inside: Vec<f64>,
}

impl Forest {
    fn new(pixels: usize) -> Self {
        Self { parents: (0..pixels as u32).collect(), sizes: vec![1; pixels], inside: vec![0.0; pixels] }
    }

    fn root(&mut self, mut pixel: u32) -> u32 {
        while self.parents[pixel as usize] != pixel {
            let parent = self.parents[pixel as usize];
            self.parents[pixel as usize] = self.parents[parent as usize];
            pixel = parent;
        }
        pixel
    }

    fn join(&mut self, a: u32, b: u32, edge: f64) {
        let (root, other) = (a.min(b), a.max(b));
        self.parents[other as usize] = root;
        self.sizes[root as usize] += self.sizes[other as usize];
        self.inside[root as usize] = edge;
    }
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

    const SIDE: usize = 7;

    fn image() -> Vec<f64> {
        let value =
            |i: usize| ((i * 7919 % 97) as f64 / 97.0 - 0.5) * 0.6 + if i % SIDE < 3 { 1.0 } else { -0.4 };
        (0..SIDE * SIDE).map(value).collect()
    }

    /// The definition: components as lists of pixels, their inner difference the largest edge of a spanning tree that
    /// is grown anew each time.
    fn twin(edges: &[Edge], scale: f64, smallest: f64) -> Vec<u32> {
        let mut labels: Vec<u32> = (0..(SIDE * SIDE) as u32).collect();
        let members = |labels: &[u32], label: u32| labels.iter().filter(|&&l| l == label).count() as f64;
        let inner = |labels: &[u32], label: u32| {
            let inside = |edge: &&Edge| labels[edge.a as usize] == label && labels[edge.b as usize] == label;
            let mut tree: Vec<u32> = (0..labels.len() as u32).collect();
            let mut largest: f64 = 0.0;
            for edge in edges.iter().filter(inside) {
                let (a, b) = (tree[edge.a as usize], tree[edge.b as usize]);
                if a != b {
                    largest = largest.max(edge.weight);
                    tree.iter_mut().filter(|l| **l == b).for_each(|l| *l = a);
                }
            }
            largest
        };
        for pass in 0..2 {
            for edge in edges {
                let (a, b) = (labels[edge.a as usize], labels[edge.b as usize]);
                let limit = |label| inner(&labels, label) + scale / members(&labels, label);
                let joins = match pass {
                    0 => edge.weight < limit(a).min(limit(b)),
                    _ => members(&labels, a).min(members(&labels, b)) < smallest,
                };
                if a != b && joins {
                    labels.iter_mut().filter(|l| **l == a.max(b)).for_each(|l| *l = a.min(b));
                }
            }
        }
        labels
    }

    #[test]
    fn segments_are_those_of_the_definition() {
        let edges = edges(&image(), SIDE, SIDE);
        assert_eq!(edges.len(), 2 * SIDE * (SIDE - 1) + 2 * (SIDE - 1) * (SIDE - 1));
        let mut counts = Vec::new();
        for (scale, smallest) in [(0.1, 1.0), (0.5, 1.0), (0.5, 5.0), (3.0, 1.0)] {
            let found = segment(SIDE * SIDE, &edges, scale, smallest);
            assert_eq!(found, twin(&edges, scale, smallest), "{scale} {smallest}");
            counts.push(found.iter().collect::<std::collections::BTreeSet<_>>().len());
        }
        assert!(counts[0] > counts[1] && counts[1] > counts[2] && counts[3] < counts[1], "{counts:?}");
    }

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
