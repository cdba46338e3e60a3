//! Images that differ from a known one, sorted by how far their changes reach.

use super::Maps;
use super::patches::Steps;
use super::region::{Places, Reach, Region};
use crate::Element;
use std::collections::BTreeMap;

/// Images that go through together: more fall out of the cache, fewer leave products small.
const IMAGES_TOGETHER: usize = 16;

/// Images whose changes reach rectangles of one size: what comes out for one of them does not depend on the others.
pub(super) struct Group {
    /// Which of them.
    pub images: Vec<usize>,
    /// For every image, of every value the rectangle that changes.
    pub reached: Vec<Vec<Region>>,
    /// Of every value the size of all rectangles.
    sizes: Sizes,
}

/// Heights and widths.
type Sizes = Vec<(usize, usize)>;

impl Group {
    /// The rectangles of a value.
    pub fn places(&self, value: usize, map: Maps) -> Places {
        let regions: Vec<Region> = self.reached.iter().map(|regions| regions[value].clone()).collect();
        Places::around(&regions, self.sizes[value], map)
    }
}

impl<T: Element> Steps<'_, T> {
    /// Images by the sizes of what changes, a few to a group.
    pub(super) fn groups(&self, shapes: &[Maps], changed: &[Region]) -> Vec<Group> {
        let mut alike: BTreeMap<Sizes, Vec<usize>> = BTreeMap::new();
        let reach: Vec<Vec<Reach>> = changed.iter().map(|changed| self.reach(changed)).collect();
        for (image, reach) in reach.iter().enumerate() {
            let sizes = reach.iter().zip(shapes).map(|(reach, &map)| reach.size(map)).collect();
            alike.entry(sizes).or_default().push(image);
        }
        let regions =
            |&image: &usize| reach[image].iter().zip(shapes).map(|(reach, &map)| reach.on(map)).collect();
        let group = |(sizes, images): (&Sizes, &[usize])| Group {
            images: images.to_vec(),
            reached: images.iter().map(regions).collect(),
            sizes: sizes.clone(),
        };
        let parts = alike
            .iter()
            .flat_map(|(sizes, images)| images.chunks(IMAGES_TOGETHER).map(move |images| (sizes, images)));
        parts.map(group).collect()
    }

    /// Where a change of the first value reaches every value.
    fn reach(&self, changed: &Region) -> Vec<Reach> {
        let mut reach = vec![Reach::from(changed)];
        for link in &self.0 {
            let Some(window) = link.step.window() else { continue };
            let under = reach[link.from].through(&window);
            reach.push(match link.plus {
                Some(plus) => under.with(&reach[plus]),
                None => under,
            });
        }
        reach
    }
}
