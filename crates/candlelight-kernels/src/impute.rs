//! Removed pixels from their neighbours.

use crate::rows::sum;
use crate::simd::vectorized;
use rayon::prelude::*;

/// What a neighbour beside a pixel weighs.
const BESIDE: f64 = 1.0 / 6.0;
/// What one across weighs.
const ACROSS: f64 = 1.0 / 12.0;
/// The remainder at which the solution is taken, relative to the right side: well below what a model sees.
const REMAINDER: f64 = 1e-12;

/// `x`, `[images, channels, height, width]`, with every pixel that is `removed`, `[images, height, width]`, replaced by the
/// weighted mean of its neighbours inside the image, 1/6 beside it and 1/12 across; those of an image are solved for
/// together, each channel by itself ([Rong et al. 2022](https://arxiv.org/abs/2202.00449)). Where nothing is left, zeros.
///
/// With W the weights of neighbours and D their sum, D·u − W·u = W·x holds at the removed pixels, u there and x
/// elsewhere. W is symmetric, so that conjugate gradients converge.
///
/// # Panics
/// If the lengths do not fit.
pub fn impute(x: &[f64], removed: &[bool], (channels, height, width): (usize, usize, usize)) -> Vec<f64> {
    let area = height * width;
    assert_eq!(x.len(), channels * removed.len(), "every channel of every pixel");
    assert_eq!(removed.len(), removed.len() / area.max(1) * area, "whole images");
    let mut out = x.to_vec();
    out.par_chunks_mut(area.max(1)).enumerate().for_each(|(plane, values)| {
        let removed = &removed[plane / channels * area..][..area];
        vectorized(
            #[inline(always)]
            || fill(values, removed, width),
        );
    });
    out
}

/// Fills the holes of one plane.
#[inline(always)]
fn fill(values: &mut [f64], removed: &[bool], width: usize) {
    let plane = Plane::new(removed, width);
    let known = values.iter().zip(removed).map(|(&value, &gone)| if gone { 0.0 } else { value });
    let known = framed(known, plane.width);
    let mut right = vec![0.0; known.len()];
    weigh_neighbours(&known, plane.width, &mut right);
    plane.keep_removed(&mut right);
    let found = plane.solve(right);
    let rows = found.chunks_exact(plane.width).skip(1).flat_map(|row| &row[1..row.len() - 1]);
    for ((value, &gone), &found) in values.iter_mut().zip(removed).zip(rows) {
        *value = if gone { found } else { *value };
    }
}

/// A plane in a frame of one pixel of zeros.
struct Plane {
    /// With the frame.
    width: usize,
    /// 1 where a pixel is removed, else 0.
    inside: Vec<f64>,
    /// What a pixel's neighbours inside the image weigh together.
    weights: Vec<f64>,
}

impl Plane {
    #[inline(always)]
    fn new(removed: &[bool], width: usize) -> Self {
        let width = width + 2;
        let ones = framed(removed.iter().map(|_| 1.0), width);
        let mut weights = vec![0.0; ones.len()];
        weigh_neighbours(&ones, width, &mut weights);
        Self { width, inside: framed(removed.iter().map(|&gone| f64::from(gone)), width), weights }
    }

    /// Nothing where no pixel is removed.
    #[inline(always)]
    fn keep_removed(&self, x: &mut [f64]) {
        x.iter_mut().zip(&self.inside).for_each(|(x, &inside)| *x *= inside);
    }

    /// Conjugate gradients from zero.
    #[inline(always)]
    fn solve(&self, right: Vec<f64>) -> Vec<f64> {
        let (mut solution, mut applied) = (vec![0.0; right.len()], vec![0.0; right.len()]);
        let (mut way, mut rest) = (right.clone(), right);
        let mut square = sum([&rest], |[rest]| rest * rest);
        let enough = square * REMAINDER.powi(2);
        for _ in 0..self.inside.len() {
            if square <= enough {
                break;
            }
            weigh_neighbours(&way, self.width, &mut applied);
            for (((applied, &way), &weight), &inside) in
                applied.iter_mut().zip(&way).zip(&self.weights).zip(&self.inside)
            {
                *applied = (weight * way - *applied) * inside;
            }
            let far = square / sum([&way, &applied], |[way, applied]| way * applied);
            for ((solution, rest), (&way, &applied)) in
                solution.iter_mut().zip(&mut rest).zip(way.iter().zip(&applied))
            {
                *solution += far * way;
                *rest -= far * applied;
            }
            let before = std::mem::replace(&mut square, sum([&rest], |[rest]| rest * rest));
            let turn = square / before;
            way.iter_mut().zip(&rest).for_each(|(way, &rest)| *way = rest + turn * *way);
        }
        solution
    }
}

/// Values of pixels inside a frame of zeros, which is `width` wide.
#[inline(always)]
fn framed(mut values: impl ExactSizeIterator<Item = f64>, width: usize) -> Vec<f64> {
    let mut framed = vec![0.0; (values.len() / (width - 2) + 2) * width];
    for row in framed.chunks_exact_mut(width).skip(1) {
        row[1..width - 1].iter_mut().zip(&mut values).for_each(|(framed, value)| *framed = value);
    }
    framed
}

/// The weighted sum of every pixel's neighbours, in a frame `width` wide that stays as it is.
#[inline(always)]
fn weigh_neighbours(x: &[f64], width: usize, out: &mut [f64]) {
    let (left, middle, right) = (0..width - 2, 1..width - 1, 2..width);
    let rows = x.windows(3 * width).step_by(width).zip(out.chunks_exact_mut(width).skip(1));
    for (rows, out) in rows {
        let [up, own, down] = [0, 1, 2].map(|row| &rows[row * width..][..width]);
        let across = up[left.clone()].iter().zip(&up[right.clone()]);
        let across = across.zip(down[left.clone()].iter().zip(&down[right.clone()]));
        let beside = up[middle.clone()].iter().zip(&down[middle.clone()]);
        let beside = beside.zip(own[left.clone()].iter().zip(&own[right.clone()]));
        for ((out, ((a, b), (c, d))), ((e, f), (g, h))) in
            out[middle.clone()].iter_mut().zip(across).zip(beside)
        {
            *out = ACROSS * (a + b + c + d) + BESIDE * (e + f + g + h);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The weights and places of a pixel's neighbours inside the image.
    fn around(pixel: usize, (height, width): (usize, usize)) -> Vec<(f64, usize)> {
        let (y, x) = ((pixel / width) as isize, (pixel % width) as isize);
        let offsets =
            (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))).filter(|&offset| offset != (0, 0));
        let inside = |&(dy, dx): &(isize, isize)| {
            (0..height as isize).contains(&(y + dy)) && (0..width as isize).contains(&(x + dx))
        };
        let weight = |dy: isize, dx: isize| if dy == 0 || dx == 0 { BESIDE } else { ACROSS };
        let neighbour = |(dy, dx)| (weight(dy, dx), ((y + dy) * width as isize + x + dx) as usize);
        offsets.filter(inside).map(neighbour).collect()
    }

    #[test]
    fn a_lone_pixel_is_the_mean_of_its_neighbours_and_a_corner_has_three() {
        let x = [1.0, 2.0, 3.0, 4.0, 50.0, 6.0, 7.0, 8.0, 9.0];
        let gone = |pixel| (0..9).map(|i| i == pixel).collect::<Vec<_>>();
        let middle = impute(&x, &gone(4), (1, 3, 3))[4];
        assert!((middle - ((2.0 + 4.0 + 6.0 + 8.0) / 6.0 + (1.0 + 3.0 + 7.0 + 9.0) / 12.0)).abs() < 1e-12);
        let first = impute(&x, &gone(0), (1, 3, 3))[0];
        assert!((first - ((2.0 + 4.0) / 6.0 + 50.0 / 12.0) / (2.0 / 6.0 + 1.0 / 12.0)).abs() < 1e-12);
    }

    #[test]
    fn where_nothing_is_left_there_are_zeros() {
        assert_eq!(impute(&[3.0; 8], &[true; 4], (2, 2, 2)), [0.0; 8]);
    }

    proptest! {
        #[test]
        fn every_removed_pixel_is_the_mean_of_its_neighbours_and_no_other_changes(
            images in 0usize..3, channels in 1usize..3, height in 1usize..9, width in 1usize..9, keep in 2usize..7,
        ) {
            let area = height * width;
            let x: Vec<f64> = (0..images * channels * area).map(|i| (i as f64 * 0.7).sin()).collect();
            let removed: Vec<bool> = (0..images * area).map(|i| i * i % keep != 1 && i % area != 0).collect();
            let found = impute(&x, &removed, (channels, height, width));
            for (i, &value) in found.iter().enumerate() {
                let (plane, pixel) = (i / area, i % area);
                if !removed[plane / channels * area + pixel] {
                    prop_assert_eq!(value, x[i]);
                    continue;
                }
                let neighbours = around(pixel, (height, width));
                let total: f64 = neighbours.iter().map(|(weight, _)| weight).sum();
                let mean = neighbours.iter().map(|(weight, at)| weight * found[plane * area + at]).sum::<f64>() / total;
                prop_assert!((value - mean).abs() < 1e-9, "{} {}", value, mean);
            }
        }
    }
}
