//! Segments by the edges between pixels
//! ([Felzenszwalb and Huttenlocher 2004](https://doi.org/10.1023/B:VISI.0000022288.19776.77)).

/// The difference between two neighbours.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    weight: f64,
    a: u32,
    b: u32,
}

/// The edges between all eight neighbours of `[C, H, W]` pixels, the smallest first.
pub(crate) fn edges(pixels: &[f64], height: usize, width: usize) -> Vec<Edge> {
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
pub(crate) fn segment(pixels: usize, edges: &[Edge], scale: f64, smallest: f64) -> Vec<u32> {
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
pub(super) struct Forest {
    parents: Vec<u32>,
    sizes: Vec<u32>,
    /// The largest edge inside.
    inside: Vec<f64>,
}

impl Forest {
    pub(super) fn new(pixels: usize) -> Self {
        Self { parents: (0..pixels as u32).collect(), sizes: vec![1; pixels], inside: vec![0.0; pixels] }
    }

    /// Pixels of the tree with this root.
    pub(super) fn size(&self, root: u32) -> usize {
        self.sizes[root as usize] as usize
    }

    /// Joins the trees of two pixels between which there is no edge.
    pub(super) fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.join(a, b, 0.0);
        }
    }

    pub(super) fn root(&mut self, mut pixel: u32) -> u32 {
        while self.parents[pixel as usize] != pixel {
            let parent = self.parents[pixel as usize];
            self.parents[pixel as usize] = self.parents[parent as usize];
            pixel = parent;
        }
        pixel
    }

    pub(super) fn join(&mut self, a: u32, b: u32, edge: f64) {
        let (root, other) = (a.min(b), a.max(b));
        self.parents[other as usize] = root;
        self.sizes[root as usize] += self.sizes[other as usize];
        self.inside[root as usize] = edge;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
