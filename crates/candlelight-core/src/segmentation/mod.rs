//! Images in segments: the superpixels of methods that take parts of an image away.

mod felzenszwalb;
mod quickshift;
mod slic;

pub(crate) use felzenszwalb::{edges, segment};

use crate::blur::{blur, check_sigma};
use crate::methods::{at_least_one, positive};
use crate::schedule::to_f64;
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use felzenszwalb::Forest;

/// How an image is divided into segments: the same image always into the same ones. Colours are compared in the space of
/// the model's input, its range over the image taken as 0 to 1; the core knows no other.
///
/// **When not to use it:** where what the model looks at follows no edges. A segment is what the image suggests, and not
/// what the model sees.
///
/// # Example
/// ```
/// use candlelight_core::{Features, KernelShap, Segmentation};
///
/// let method = KernelShap::default().features(Features::Superpixels(Segmentation::slic(50)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Segmentation {
    /// k-means of colour and place from the centres of a grid on, within twice a cell's side; what hangs together stays
    /// together, and crumbs join a neighbour ([Achanta et al. 2012](https://doi.org/10.1109/TPAMI.2012.120)).
    Slic {
        /// About how many there are.
        segments: usize,
        /// The colour difference that counts as much as the side of a grid's cell: the larger, the more square.
        compactness: f64,
    },
    /// Every pixel hangs onto the nearest one in a denser place of colour and position, unless that is too far off
    /// ([Vedaldi and Soatto 2008](https://doi.org/10.1007/978-3-540-88693-8_52)).
    Quickshift {
        /// The standard deviation of the density's bell, in pixels.
        size: f64,
        /// The longest link, in pixels: the larger, the fewer segments.
        reach: f64,
        /// Pixels that a colour difference of the whole range counts as.
        colour: f64,
    },
    /// Segments join where the edge between them is no larger than inside either of them
    /// ([Felzenszwalb and Huttenlocher 2004](https://doi.org/10.1023/B:VISI.0000022288.19776.77)).
    Felzenszwalb {
        /// The allowance for small segments, in colour difference times pixels: the larger, the fewer segments.
        scale: f64,
        /// Blur before, in pixels.
        sigma: f64,
        /// The fewest pixels of a segment.
        smallest: usize,
    },
}

impl Default for Segmentation {
    /// About 50 segments by SLIC.
    fn default() -> Self {
        Self::slic(50)
    }
}

impl Segmentation {
    /// SLIC with about so many segments.
    pub fn slic(segments: usize) -> Self {
        Self::Slic { segments, compactness: 0.2 }
    }

    /// Quickshift as LIME's authors have it: a bell of 4 pixels, links of at most 200, their ratio of 0.2 between colour and
    /// place.
    pub fn quickshift() -> Self {
        Self::Quickshift { size: 4.0, reach: 200.0, colour: 20.0 }
    }

    /// Felzenszwalb's segments of at least 150 pixels, for images of about 224 x 224.
    pub fn felzenszwalb() -> Self {
        Self::Felzenszwalb { scale: 1.0, sigma: 0.8, smallest: 150 }
    }

    /// The segment of every pixel of an image.
    ///
    /// # Shapes
    /// `[C, H, W]` to `[1, H, W]` of labels from 0 on, without gaps.
    ///
    /// # Errors
    /// [`Error::Shape`] for what is no image, [`Error::Setting`] for settings that make no sense.
    pub fn of(&self, image: &Tensor) -> Result<Tensor> {
        self.check()?;
        let (_, height, width) = image.dims3().map_err(|_| {
            let found = image.dims().to_vec();
            Error::Shape { what: "what is to be segmented", found, expected: "an image [C, H, W]".into() }
        })?;
        // From 0 to 1 where the spread is from -1 to 1.
        let scaled = (spread(&image.to_dtype(DType::F64)?)? * 0.5)?;
        let size = (height, width);
        let labels = match *self {
            Self::Slic { segments, compactness } => {
                slic::slic(&to_f64(&scaled)?, size, segments, compactness)
            }
            Self::Quickshift { size: bell, reach, colour } => {
                quickshift::quickshift(&to_f64(&(scaled * colour)?)?, size, bell, reach)
            }
            Self::Felzenszwalb { scale, sigma, smallest } => {
                let pixels = to_f64(&blur(&scaled, sigma)?)?;
                segment(height * width, &edges(&pixels, height, width), scale, smallest as f64)
            }
        };
        Ok(Tensor::from_vec(dense(&labels), (1, height, width), image.device())?)
    }

    fn check(&self) -> Result<()> {
        match *self {
            Self::Slic { segments, compactness } => {
                at_least_one("number of segments", segments)?;
                check_sigma("compactness", compactness)
            }
            Self::Quickshift { size, reach, colour } => {
                [("size of the bell", size), ("longest link", reach), ("weight of colour", colour)]
                    .into_iter()
                    .try_for_each(|(what, value)| positive(what, value))
            }
            Self::Felzenszwalb { scale, sigma, .. } => {
                check_sigma("blur", sigma)?;
                positive("scale of segments", scale)
            }
        }
    }
}

/// Labels counted from 0 on, in the order in which they first appear.
fn dense(labels: &[u32]) -> Vec<u32> {
    let mut known = std::collections::HashMap::new();
    labels
        .iter()
        .map(|label| {
            let next = known.len() as u32;
            *known.entry(*label).or_insert(next)
        })
        .collect()
}

/// The image with its range as -1 to 1.
pub(crate) fn spread(image: &Tensor) -> Result<Tensor> {
    let flat = image.flatten_all()?;
    let (low, high) = (flat.min(0)?.to_scalar::<f64>()?, flat.max(0)?.to_scalar::<f64>()?);
    let range = if high > low { high - low } else { 1.0 };
    Ok((((image - low)? * (2.0 / range))? - 1.0)?)
}
/// The neighbours of a pixel to its right and below it.
fn next_to(pixel: usize, (height, width): (usize, usize)) -> impl Iterator<Item = usize> {
    let right = (pixel % width + 1 < width).then_some(pixel + 1);
    let below = (pixel / width + 1 < height).then_some(pixel + width);
    right.into_iter().chain(below)
}

/// The parts of segments that hang together, those smaller than `smallest` joined to the neighbour that is largest at the
/// time.
fn connected(labels: &[u32], size: (usize, usize), smallest: usize) -> Vec<u32> {
    let mut forest = Forest::new(labels.len());
    let pairs = || (0..labels.len()).flat_map(|a| next_to(a, size).map(move |b| (a, b)));
    for (a, b) in pairs().filter(|&(a, b)| labels[a] == labels[b]) {
        forest.unite(a as u32, b as u32);
    }
    while let Some(joins) = Some(crumbs(&mut forest, pairs(), smallest)).filter(|joins| !joins.is_empty()) {
        joins.into_iter().for_each(|(crumb, neighbour)| forest.unite(crumb, neighbour));
    }
    (0..labels.len() as u32).map(|pixel| forest.root(pixel)).collect()
}

/// For every part that is too small its largest neighbour, the first of equals.
fn crumbs(
    forest: &mut Forest,
    pairs: impl Iterator<Item = (usize, usize)>,
    smallest: usize,
) -> std::collections::BTreeMap<u32, u32> {
    let mut largest = std::collections::BTreeMap::new();
    for (a, b) in pairs {
        let (a, b) = (forest.root(a as u32), forest.root(b as u32));
        for (crumb, neighbour) in [(a, b), (b, a)] {
            if a != b && forest.size(crumb) < smallest {
                let best = largest.entry(crumb).or_insert(neighbour);
                if forest.size(neighbour) > forest.size(*best) {
                    *best = neighbour;
                }
            }
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::collections::BTreeSet;

    const SIDE: usize = 48;

    /// A red disc on a blue ground with a soft shade.
    fn disc() -> Result<Tensor> {
        let inside = |at: usize| {
            let (y, x) = (at / SIDE % SIDE, at % SIDE);
            (y as f64 - 20.0).powi(2) + (x as f64 - 26.0).powi(2) < 144.0
        };
        let value = |at: usize| {
            let shade = 0.1 * (at % SIDE) as f64 / SIDE as f64;
            shade + f64::from(u8::from(inside(at) == (at / (SIDE * SIDE) == 0)))
        };
        Ok(Tensor::from_vec((0..2 * SIDE * SIDE).map(value).collect(), (2, SIDE, SIDE), &Device::Cpu)?)
    }

    fn all() -> [Segmentation; 3] {
        [
            Segmentation::slic(30),
            Segmentation::Quickshift { size: 2.0, reach: 8.0, colour: 20.0 },
            Segmentation::Felzenszwalb { scale: 2.0, sigma: 0.5, smallest: 20 },
        ]
    }

    #[test]
    fn no_segment_reaches_over_a_strong_edge() -> Result<()> {
        let image = disc()?;
        let red = image.get(0)?.flatten_all()?.to_vec1::<f64>()?;
        for segmentation in all() {
            let labels = segmentation.of(&image)?.flatten_all()?.to_vec1::<u32>()?;
            let of = |inside: bool| -> BTreeSet<u32> {
                (0..red.len()).filter(|&at| (red[at] > 0.5) == inside).map(|at| labels[at]).collect()
            };
            let (inside, outside) = (of(true), of(false));
            assert!(inside.is_disjoint(&outside), "{segmentation:?}");
            assert_eq!(inside.len() + outside.len(), *labels.iter().max().expect("labels") as usize + 1);
        }
        Ok(())
    }

    #[test]
    fn every_segment_hangs_together() -> Result<()> {
        for segmentation in all() {
            let labels = segmentation.of(&disc()?)?.flatten_all()?.to_vec1::<u32>()?;
            let parts: BTreeSet<u32> = connected(&labels, (SIDE, SIDE), 0).into_iter().collect();
            let segments: BTreeSet<u32> = labels.into_iter().collect();
            assert_eq!(parts.len(), segments.len(), "{segmentation:?}");
        }
        Ok(())
    }

    #[test]
    fn slic_makes_about_as_many_as_asked_for() -> Result<()> {
        for asked in [10, 50, 100] {
            let labels = Segmentation::slic(asked).of(&disc()?)?;
            let found = labels.max_all()?.to_scalar::<u32>()? as usize + 1;
            assert!(found * 2 > asked && found < asked * 2, "{found} for {asked}");
        }
        Ok(())
    }

    #[test]
    fn crumbs_join_their_largest_neighbour() {
        // Two halves, a crumb in the right one, and a crumb of the same label elsewhere.
        let labels = [0, 0, 0, 1, 1, 0, 0, 0, 2, 1, 0, 0, 0, 1, 1, 2, 0, 0, 1, 1];
        let parts = dense(&connected(&labels, (4, 5), 2));
        assert_eq!(parts, [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn an_image_of_one_colour_is_divided_by_place_alone() -> Result<()> {
        let flat = Tensor::full(0.5f32, (3, 16, 16), &Device::Cpu)?;
        let labels = Segmentation::slic(4).of(&flat)?.flatten_all()?.to_vec1::<u32>()?;
        assert_eq!([labels[0], labels[15], labels[240], labels[255]], [0, 1, 2, 3]);
        assert!(Segmentation::felzenszwalb().of(&flat)?.max_all()?.to_scalar::<u32>()? == 0);
        Ok(())
    }

    #[test]
    fn what_is_no_image_and_what_is_no_setting_is_refused() -> Result<()> {
        let flat = Tensor::full(0.5f32, (3, 16, 16), &Device::Cpu)?;
        assert!(matches!(Segmentation::default().of(&flat.get(0)?), Err(Error::Shape { .. })));
        for nonsense in [
            Segmentation::slic(0),
            Segmentation::Slic { segments: 3, compactness: f64::NAN },
            Segmentation::Quickshift { size: 0.0, reach: 1.0, colour: 1.0 },
            Segmentation::Felzenszwalb { scale: -1.0, sigma: 0.1, smallest: 1 },
        ] {
            assert!(matches!(nonsense.of(&flat), Err(Error::Setting { .. })), "{nonsense:?}");
        }
        Ok(())
    }
}
