//! Images that differ from a known one, sorted by how far their changes reach.

use super::Maps;
use super::links::Steps;
use super::patches::IMAGES_TOGETHER;
use super::region::{Places, Region};
use crate::Element;
use std::collections::BTreeMap;

/// Which images go through together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Those whose changes reach rectangles of one size: what comes out for one of them does not depend on the others.
    Alike,
    /// Those that follow each other, all in the size of the largest: larger products, and faster where sizes are many. The
    /// last bits of what comes out for one of them depend on the others.
    Neighbours,
}

/// Images that go through together.
pub(super) struct Group {
    /// Which of them.
    pub images: Vec<usize>,
    /// Of every value the rectangle that changes, for each of them.
    pub reached: Vec<Vec<Region>>,
}

/// Heights and widths.
type Sizes = Vec<(usize, usize)>;

impl Group {
    /// The rectangles of a value.
    pub fn places(&self, value: usize, map: Maps) -> Places {
        Places::around(&self.reached[value], map)
    }
}

impl<T: Element> Steps<'_, T> {
    /// Images a few to a group.
    pub(super) fn groups(&self, shapes: &[Maps], (changed, together): (&[Region], Together)) -> Vec<Group> {
        let mut alike: BTreeMap<Sizes, Vec<usize>> = BTreeMap::new();
        let reached = self.reached(shapes, changed);
        for image in 0..changed.len() {
            let sizes = match together {
                Together::Alike => reached.iter().map(|regions| regions[image].size()).collect(),
                Together::Neighbours => Sizes::new(),
            };
            alike.entry(sizes).or_default().push(image);
        }
        let group = |images: &[usize]| {
            let of = |regions: &Vec<Region>| images.iter().map(|&image| regions[image].clone()).collect();
            Group { images: images.to_vec(), reached: reached.iter().map(of).collect() }
        };
        alike.values().flat_map(|images| images.chunks(IMAGES_TOGETHER)).map(group).collect()
    }
}
