//! Links uphill in density ([Vedaldi and Soatto 2008](https://doi.org/10.1007/978-3-540-88693-8_52)).

use super::connected;

/// Standard deviations after which the bell is cut off, and beyond which no link is looked for.
const CUT: f64 = 3.0;

/// The segment of every pixel of an image `[C, H, W]` whose colours are in pixels: `size` is the bell's standard deviation
/// and `reach` the longest link.
pub(super) fn quickshift(pixels: &[f64], image: (usize, usize), size: f64, reach: f64) -> Vec<u32> {
    let plane = image.0 * image.1;
    let density: Vec<f64> = (0..plane)
        .map(|a| {
            around(a, image, CUT * size)
                .map(|b| (-0.5 * distance(pixels, image, a, b) / (size * size)).exp())
                .sum()
        })
        .collect();
    let parents: Vec<usize> = (0..plane).map(|a| parent(pixels, image, &density, a, size, reach)).collect();
    let root = |mut pixel: usize| {
        while parents[pixel] != pixel {
            pixel = parents[pixel];
        }
        pixel as u32
    };
    connected(&(0..plane).map(root).collect::<Vec<_>>(), image, 0)
}

/// The nearest denser pixel within reach; the first of equally near ones, and of equally dense ones the earlier is the
/// denser. The pixel itself where there is none.
fn parent(pixels: &[f64], image: (usize, usize), density: &[f64], a: usize, size: f64, reach: f64) -> usize {
    let mut best = (reach * reach, a);
    for b in around(a, image, (CUT * size).min(reach)) {
        let denser = density[b] > density[a] || (density[b] == density[a] && b < a);
        let apart = distance(pixels, image, a, b);
        if denser && apart < best.0 {
            best = (apart, b);
        }
    }
    best.1
}

/// The squared distance of two pixels in colour and place.
fn distance(pixels: &[f64], (height, width): (usize, usize), a: usize, b: usize) -> f64 {
    let colours = pixels.chunks_exact(height * width).map(|channel| (channel[a] - channel[b]).powi(2));
    let place = |at: usize| ((at / width) as f64, (at % width) as f64);
    let ((ya, xa), (yb, xb)) = (place(a), place(b));
    colours.sum::<f64>() + (ya - yb).powi(2) + (xa - xb).powi(2)
}

/// The pixels in a square around one.
fn around(at: usize, (height, width): (usize, usize), radius: f64) -> impl Iterator<Item = usize> {
    let radius = radius.ceil() as usize;
    let range = move |at: usize, length: usize| at.saturating_sub(radius)..(at + radius + 1).min(length);
    range(at / width, height).flat_map(move |y| range(at % width, width).map(move |x| y * width + x))
}
