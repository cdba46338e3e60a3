//! Chains on images that differ from a known one in a rectangle: only what the rectangle can reach is computed again
//! (the idea of [Krypton](https://doi.org/10.1145/3299869.3319874)).
//!
//! All values that the chains make of the known image are kept. Of an image that differs, every step computes a
//! rectangle around what changed: it brings together what its windows see, from the rectangle before and from the known
//! value around it, and slides over that. As soon as a rectangle is most of the map, the map is computed whole.

use super::arrange::arranged;
use super::groups::{Group, Together};
use super::links::{Padding, Steps};
use super::region::{Places, Rectangle, Region};
use super::workspace::{Buffer, Workspace};
use super::{Chain, Maps, Order};
use crate::{Element, Threads};
use rayon::prelude::*;
use std::ops::AddAssign;

/// Images that go through together: more fall out of the cache, fewer leave products small.
pub(super) const IMAGES_TOGETHER: usize = 16;

/// All that chains make of one image.
#[derive(Debug)]
pub struct Known<T> {
    /// Theirs: while they are held no other steps can lie where theirs do.
    chains: Vec<Chain<T>>,
    order: Order,
    shapes: Vec<Maps>,
    values: Vec<Vec<T>>,
}

/// Multiply-adds of convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// That were computed.
    pub done: u64,
    /// At places that the changes reach.
    pub reached: u64,
    /// Of all places.
    pub whole: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.reached += other.reached;
        self.whole += other.whole;
    }
}

/// A value where it changed: a rectangle of every image.
struct Patches<T> {
    places: Places,
    values: Buffer<T>,
}

impl<T: Element> Known<T> {
    /// Whether it is what these chains make of an image of this shape.
    pub fn is_of(&self, chains: &[&Chain<T>], from: Maps) -> bool {
        let same = |(own, other): (&Chain<T>, &&Chain<T>)| own.is(other);
        self.shapes[0] == from
            && self.chains.len() == chains.len()
            && self.chains.iter().zip(chains).all(same)
    }

    /// An order of images that differ in these rectangles in which those that reach alike follow each other: what goes
    /// through together is computed in rectangles of one size.
    pub fn arranged(&self, changed: &[Region]) -> Vec<usize> {
        let chains: Vec<_> = self.chains.iter().collect();
        match Steps::of(&chains) {
            Some(steps) => arranged(&steps.reached(&self.shapes, changed), changed.len()),
            None => (0..changed.len()).collect(),
        }
    }
}

/// Runs `chains` on one image and keeps all values; `None` if it does not fit, or a step is no convolution or pool.
///
/// # Panics
/// If `x` does not have the length of one image of `from`.
pub fn know<T: Element>(chains: &[&Chain<T>], (order, from): (Order, Maps), x: &[T]) -> Option<Known<T>> {
    let steps = Steps::of(chains)?;
    let shapes = steps.shapes(Maps { images: 1, ..from })?;
    let mut first = vec![T::ZERO; shapes[0].elements()];
    order.enter(shapes[0], x, &mut first);
    let (mut values, mut space) = (vec![first], Workspace::default());
    for (index, link) in steps.0.iter().enumerate() {
        let mut out = vec![T::ZERO; shapes[index + 1].elements()];
        let (x, plus) = (&values[link.from][..], link.plus.map(|plus| &values[plus][..]));
        link.compute((shapes[link.from], x), plus, &mut out, (Padding::Own, space.workers()));
        values.push(out);
    }
    let chains = chains.iter().map(|&chain| chain.clone()).collect();
    Some(Known { chains, order, shapes, values })
}

/// What [`run`](super::run) gives for the images `x` in the known image's order, of which image k differs from the
/// known one in the rectangle `changed[k]` at most, and which go through together as they are told; and the work that it was.
///
/// # Panics
/// If `x` does not have as many images as there are rectangles.
pub fn run_changed<T: Element>(
    chains: &[&Chain<T>],
    known: &Known<T>,
    (changed, together): (&[Region], Together),
    x: &[T],
) -> Option<(Vec<T>, Work)> {
    let (from, to) = (*known.shapes.first()?, *known.shapes.last()?);
    assert_eq!(x.len(), changed.len() * from.elements(), "length of the images");
    let steps = Steps::of(chains)?;
    let groups: Vec<Group> = steps.groups(&known.shapes, (changed, together));
    let run = |group: &Group| {
        let mut space = chains[0].spaces.take(Threads::One);
        let ran = steps.run(known, group, x, &mut space);
        chains[0].spaces.put(space);
        ran
    };
    let ran: Vec<(Vec<T>, Work)> = groups.par_iter().map(run).collect();
    let (mut out, mut all) = (vec![T::ZERO; changed.len() * to.elements()], Work::default());
    for (group, (values, work)) in groups.iter().zip(ran) {
        for (&image, values) in group.images.iter().zip(values.chunks_exact(to.elements_of(1))) {
            out[image * to.elements()..][..to.elements()].copy_from_slice(values);
        }
        all += work;
    }
    Some((out, all))
}

impl<T: Element> Steps<'_, T> {
    /// A few images out of `x`.
    fn run(&self, known: &Known<T>, group: &Group, x: &[T], space: &mut Workspace<T>) -> (Vec<T>, Work) {
        let mut values = vec![Some(entered(known, group, x, space))];
        let mut work = Work::default();
        for (index, link) in self.0.iter().enumerate() {
            let map = known.shapes[index + 1];
            let places = group.places(index + 1, map);
            let area = |size: (usize, usize)| (size.0 * size.1 * group.images.len()) as u64 * link.work();
            let reached = group.reached[index + 1].iter().map(|region| region.area() as u64);
            work += Work {
                done: area(places.size),
                reached: reached.sum::<u64>() * link.work(),
                whole: area((map.height, map.width)),
            };
            values.push(Some(self.step(index, known, places, (&values, space))));
            self.let_go(index, &mut values, space);
        }
        let last = values.pop().flatten();
        (last.map_or_else(Vec::new, |last| self.leave(known, last, space)), work)
    }

    /// One step at these places.
    fn step(
        &self,
        index: usize,
        known: &Known<T>,
        places: Places,
        (values, space): (&[Option<Patches<T>>], &mut Workspace<T>),
    ) -> Patches<T> {
        let link = &self.0[index];
        let map = known.shapes[index + 1];
        let mut out = space.take(places.of(map).elements());
        let (Some(from), Some(window)) = (&values[link.from], link.step.window()) else {
            return Patches { places, values: out };
        };
        let (padding, seen) = match places.are_whole(map) {
            true => (Padding::Own, Places::whole(known.shapes[link.from], places.corners.len())),
            false => (Padding::Inside, places.seen(&window)),
        };
        let x = from.at(&seen, (known, link.from), link.beyond(), space);
        let plus = link.plus.and_then(|plus| Some((values[plus].as_ref()?, plus)));
        let plus = plus.map(|(patches, plus)| patches.at(&places, (known, plus), T::ZERO, space));
        let shape = seen.of(known.shapes[link.from]);
        link.compute(
            (shape, x.as_ref()),
            plus.as_ref().map(Found::as_ref),
            &mut out,
            (padding, space.workers()),
        );
        [Some(x), plus].into_iter().flatten().for_each(|found| found.let_go(space));
        Patches { places, values: out }
    }

    /// Puts back what no later step needs.
    fn let_go(&self, index: usize, values: &mut [Option<Patches<T>>], space: &mut Workspace<T>) {
        let needed = |value: usize| {
            self.0[index + 1..].iter().any(|link| link.from == value || link.plus == Some(value))
        };
        for value in (0..=index).filter(|&value| !needed(value)) {
            values[value].take().into_iter().for_each(|patches| space.put(patches.values));
        }
    }

    /// The last value, whole and in the order outside.
    fn leave(&self, known: &Known<T>, last: Patches<T>, space: &mut Workspace<T>) -> Vec<T> {
        let value = known.shapes.len() - 1;
        let map = known.shapes[value];
        let whole = Places::whole(map, last.places.corners.len());
        let found = last.at(&whole, (known, value), T::ZERO, space);
        let mut out = vec![T::ZERO; whole.of(map).elements()];
        known.order.leave(whole.of(map), found.as_ref(), &mut out);
        found.let_go(space);
        space.put(last.values);
        out
    }
}

/// Values at some places: those of patches that lie there, or brought together.
enum Found<'a, T> {
    There(&'a [T]),
    Brought(Buffer<T>),
}

impl<T: Element> Found<'_, T> {
    fn as_ref(&self) -> &[T] {
        match self {
            Self::There(values) => values,
            Self::Brought(values) => values,
        }
    }

    fn let_go(self, space: &mut Workspace<T>) {
        if let Self::Brought(values) = self {
            space.put(values);
        }
    }
}

impl<T: Element> Patches<T> {
    /// The values at `places`: the patches' own, the known ones around them, and `beyond` where there is no map.
    fn at(
        &self,
        places: &Places,
        (known, value): (&Known<T>, usize),
        beyond: T,
        space: &mut Workspace<T>,
    ) -> Found<'_, T> {
        if *places == self.places {
            return Found::There(&self.values);
        }
        let map = known.shapes[value];
        let shape = places.of(map);
        let mut out = space.take(shape.elements());
        let images = out.chunks_exact_mut(shape.elements() / shape.images.max(1));
        let own = self.values.chunks_exact(self.places.of(map).elements() / shape.images.max(1));
        for (image, (out, own)) in images.zip(own).enumerate() {
            let target = Rectangle { corner: places.corners[image], size: places.size };
            let patch = Rectangle { corner: self.places.corners[image], size: self.places.size };
            let whole = Rectangle { corner: (0, 0), size: (map.height, map.width) };
            if !whole.holds(&target) {
                out.fill(beyond);
            }
            if !patch.holds(&target) {
                target.copy(&whole, &known.values[value], out, map.channels);
            }
            target.copy(&patch, own, out, map.channels);
        }
        Found::Brought(out)
    }
}

/// The rectangles of the images that go in.
fn entered<T: Element>(known: &Known<T>, group: &Group, x: &[T], space: &mut Workspace<T>) -> Patches<T> {
    let map = known.shapes[0];
    let places = group.places(0, map);
    let (height, width) = places.size;
    let mut values = space.take(places.of(map).elements());
    let patches = values.chunks_exact_mut(height * width * map.channels);
    for ((&image, &(top, left)), out) in group.images.iter().zip(&places.corners).zip(patches) {
        let x = &x[image * map.elements()..][..map.elements()];
        for (place, out) in out.chunks_exact_mut(map.channels).enumerate() {
            let (row, column) = (top as usize + place / width, left as usize + place % width);
            let at = |channel| x[known.order.index(map, (row, column), channel)];
            out.iter_mut().enumerate().for_each(|(channel, out)| *out = at(channel));
        }
    }
    Patches { places, values }
}
