//! The steps of several chains one after the other, each of which slides a window over a map.

use super::region::Region;
use super::workers::{Beside, Workers};
use super::{Chain, Convolve, Maps, Step};
use crate::Element;

/// The steps of several chains as those of one.
pub(super) struct Steps<'a, T>(pub Vec<Link<'a, T>>);

/// A step, with the values that it needs counted through all chains.
pub(super) struct Link<'a, T> {
    pub step: &'a Step<T>,
    pub from: usize,
    pub plus: Option<usize>,
}

/// What lies around the maps of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// The step's own padding.
    Own,
    /// Nothing: the maps have it with them.
    Inside,
}

impl<T: Element> Link<'_, T> {
    pub fn compute(
        &self,
        (from, x): (Maps, &[T]),
        plus: Option<&[T]>,
        out: &mut [T],
        (padding, workers): (Padding, Workers<T>),
    ) {
        match self.step {
            Step::Conv(step) => step.compute((from, x), plus, out, (padding, workers)),
            Step::MaxPool { pool, .. } => {
                let pool = if padding == Padding::Inside { pool.inside() } else { *pool };
                pool.forward(from, x, out, &mut vec![0; out.len()]);
            }
            Step::Subsample { subsample, .. } => subsample.forward(from, x, out),
            Step::Encoder { .. } | Step::FirstToken { .. } => {}
        }
    }

    /// What the padding is worth.
    pub fn beyond(&self) -> T {
        match self.step {
            Step::MaxPool { .. } => T::NEG_INFINITY,
            _ => T::ZERO,
        }
    }

    /// Multiply-adds of one place.
    pub fn work(&self) -> u64 {
        match self.step {
            Step::Conv(step) => step.conv.products() as u64,
            _ => 0,
        }
    }
}

impl<T: Element> Convolve<T> {
    fn compute(
        &self,
        (from, x): (Maps, &[T]),
        plus: Option<&[T]>,
        out: &mut [T],
        (padding, workers): (Padding, Workers<T>),
    ) {
        let (out, end) = ((out, Beside::default()), self.end(plus));
        match padding {
            Padding::Own => self.conv.forward((from, x), out, workers, end),
            Padding::Inside => self.conv.forward_inside((from, x), out, workers, end),
        }
    }
}

impl<'a, T: Element> Steps<'a, T> {
    /// `None` if a step has no window.
    pub fn of(chains: &[&'a Chain<T>]) -> Option<Self> {
        let mut links = Vec::new();
        for chain in chains {
            let first = links.len();
            for step in &chain.steps {
                step.window()?;
                let plus = step.plus().map(|plus| first + plus);
                links.push(Link { step, from: first + step.from(), plus });
            }
        }
        Some(Self(links))
    }

    pub fn shapes(&self, from: Maps) -> Option<Vec<Maps>> {
        let mut shapes = vec![from];
        for link in &self.0 {
            let shape = match link.step {
                Step::Conv(step) => step.conv.output(shapes[link.from]),
                Step::MaxPool { pool, .. } => pool.output(shapes[link.from]),
                Step::Subsample { subsample, .. } => subsample.output(shapes[link.from]),
                Step::Encoder { .. } | Step::FirstToken { .. } => None,
            };
            shapes.push(shape.filter(|&shape| link.plus.is_none_or(|plus| shapes[plus] == shape))?);
        }
        Some(shapes)
    }

    /// Of every value the rectangles that change, one for each image.
    pub fn reached(&self, shapes: &[Maps], changed: &[Region]) -> Vec<Vec<Region>> {
        let mut reached = vec![changed.to_vec()];
        for (link, &to) in self.0.iter().zip(&shapes[1..]) {
            let Some(window) = link.step.window() else { continue };
            let under = reached[link.from].iter().map(|region| region.reached(&window, to));
            reached.push(match link.plus {
                Some(plus) => under.zip(&reached[plus]).map(|(region, plus)| region.with(plus)).collect(),
                None => under.collect(),
            });
        }
        reached
    }
}
