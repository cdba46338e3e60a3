//! The largest flow through the layers of a transformer.
//!
//! Own code, and not a graph library's: the graph is dense between neighbouring layers and empty elsewhere, so that
//! its edges are rows of numbers without lists of neighbours, and one network serves every sink.

use rayon::prelude::*;

/// Capacities are whole numbers of this unit: sums of them are exact, so that an edge is either full or not.
const UNIT: f64 = 1.0 / (1u64 << 52) as f64;
/// The level of a node that cannot be reached.
const UNSEEN: u32 = u32::MAX;

/// Tokens of one layer after the other, the output first, with an edge from each token to each of the layer below.
pub(super) struct Network {
    tokens: usize,
    /// For each node `depth * tokens + token` its edges down, then those back up, which are the flow undone.
    capacities: Vec<u64>,
}

impl Network {
    /// `layers` holds one matrix for each step down, rows being the tokens above.
    pub(super) fn new(tokens: usize, layers: &[Vec<f64>]) -> Self {
        let mut capacities = vec![0; (layers.len() + 1) * tokens * 2 * tokens];
        let rows = layers.iter().flat_map(|matrix| matrix.chunks_exact(tokens));
        for (edges, row) in capacities.chunks_exact_mut(2 * tokens).zip(rows) {
            edges.iter_mut().zip(row).for_each(|(edge, &share)| *edge = (share / UNIT).round() as u64);
        }
        Self { tokens, capacities }
    }

    /// The largest flow from token `source` of the output to each token of the input, one sink at a time.
    pub(super) fn flows_from(&self, source: usize) -> Vec<f64> {
        let flow = |sink| Search::new(self, source, sink).flow() as f64 * UNIT;
        (0..self.tokens).into_par_iter().map(flow).collect()
    }
}

/// Dinic's algorithm ([1970](https://doi.org/10.1007/11685654_10)): as long as the sink can be reached, fill all of the
/// shortest ways to it.
struct Search {
    tokens: usize,
    source: usize,
    sink: usize,
    residual: Vec<u64>,
    level: Vec<u32>,
    cursor: Vec<usize>,
    queue: Vec<usize>,
    /// No more than this leaves the source, or arrives at the sink.
    bound: u64,
}

impl Search {
    fn new(network: &Network, source: usize, sink: usize) -> Self {
        let tokens = network.tokens;
        let (mut residual, nodes) = (network.capacities.clone(), network.capacities.len() / (2 * tokens));
        let above = nodes - 2 * tokens..nodes - tokens;
        let arriving = above.map(|node| {
            let edges = &mut residual[node * 2 * tokens..][..tokens];
            let kept = edges[sink];
            edges.fill(0);
            edges[sink] = kept;
            kept
        });
        let arriving: u64 = arriving.sum();
        let leaving: u64 = residual[source * 2 * tokens..][..tokens].iter().sum();
        Self {
            tokens,
            source,
            sink: nodes - tokens + sink,
            residual,
            level: vec![UNSEEN; nodes],
            cursor: vec![0; nodes],
            queue: Vec::with_capacity(nodes),
            bound: leaving.min(arriving),
        }
    }

    fn flow(mut self) -> u64 {
        let mut flow = 0;
        while flow < self.bound && self.reaches_the_sink() {
            flow += self.fill_the_shortest_ways();
        }
        flow
    }

    /// The node that edge `slot` of `node` leads to.
    fn neighbour(&self, node: usize, slot: usize) -> usize {
        let first = node - node % self.tokens;
        match slot.checked_sub(self.tokens) {
            None => first + self.tokens + slot,
            Some(slot) => first - self.tokens + slot,
        }
    }

    /// Numbers the nodes by their distance from the source, until the sink has its number.
    fn reaches_the_sink(&mut self) -> bool {
        self.level.fill(UNSEEN);
        self.cursor.fill(0);
        self.level[self.source] = 0;
        self.queue.clear();
        self.queue.push(self.source);
        let mut head = 0;
        while head < self.queue.len() && self.level[self.sink] == UNSEEN {
            self.number_neighbours(self.queue[head]);
            head += 1;
        }
        self.level[self.sink] != UNSEEN
    }

    fn number_neighbours(&mut self, node: usize) {
        for slot in 0..2 * self.tokens {
            if self.residual[node * 2 * self.tokens + slot] > 0 {
                let next = self.neighbour(node, slot);
                if self.level[next] == UNSEEN {
                    self.level[next] = self.level[node] + 1;
                    self.queue.push(next);
                }
            }
        }
    }

    /// Walks from the source along rising numbers, back where there is no way on, until every way is full.
    fn fill_the_shortest_ways(&mut self) -> u64 {
        let (mut flow, mut way) = (0, Vec::new());
        let mut node = self.source;
        loop {
            if node == self.sink {
                let (pushed, kept) = self.fill(&way);
                flow += pushed;
                node = way[kept].0;
                way.truncate(kept);
            } else if let Some(slot) = self.next_step(node) {
                way.push((node, slot));
                node = self.neighbour(node, slot);
            } else if let Some((before, _)) = way.pop() {
                self.cursor[before] += 1;
                node = before;
            } else {
                return flow;
            }
        }
    }

    /// The next edge of `node` that is not full and leads one further from the source.
    fn next_step(&mut self, node: usize) -> Option<usize> {
        let edges = 2 * self.tokens;
        let onward = |slot: &usize| {
            self.residual[node * edges + slot] > 0
                && self.level[self.neighbour(node, *slot)] == self.level[node] + 1
        };
        let found = (self.cursor[node]..edges).find(onward);
        self.cursor[node] = found.unwrap_or(edges);
        found
    }

    /// Sends down `way` what it holds; gives that, and the steps before the first edge that is full now.
    fn fill(&mut self, way: &[(usize, usize)]) -> (u64, usize) {
        let edges = 2 * self.tokens;
        let holds = way.iter().map(|(node, slot)| self.residual[node * edges + slot]).min().unwrap_or(0);
        let mut full = way.len();
        for (step, &(node, slot)) in way.iter().enumerate().rev() {
            let undone = if slot < self.tokens { self.tokens } else { 0 } + node % self.tokens;
            let back = self.neighbour(node, slot) * edges + undone;
            self.residual[node * edges + slot] -= holds;
            self.residual[back] += holds;
            if self.residual[node * edges + slot] == 0 {
                full = step;
            }
        }
        (holds, full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Sums of a few hundred shares, rounded to units.
    const EXACT: f64 = 1e-12;

    /// Rows of shares that sum to 1: `sharp` ones have most of them near 0, some exactly.
    fn layers(count: usize, tokens: usize, seed: u64, sharp: i32) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(seed, 0, 0);
        let mut row = || {
            let shares: Vec<f64> = (0..tokens).map(|_| stream.uniform().powi(sharp)).collect();
            let shares: Vec<f64> = shares.iter().map(|&s| if s < 1e-3 { 0.0 } else { s }).collect();
            let sum: f64 = shares.iter().sum();
            shares.into_iter().map(|share| if sum > 0.0 { share / sum } else { 0.0 }).collect::<Vec<_>>()
        };
        (0..count).map(|_| (0..tokens).flat_map(|_| row()).collect()).collect()
    }

    /// Ford and Fulkerson's definition: as long as there is a way of edges that hold something, fill it. Nodes are
    /// numbered as in [`Network`], edges are a matrix of all nodes.
    fn naive(tokens: usize, layers: &[Vec<f64>], source: usize, sink: usize) -> f64 {
        let nodes = (layers.len() + 1) * tokens;
        let mut holds = vec![vec![0.0; nodes]; nodes];
        for (depth, layer) in layers.iter().enumerate() {
            for (edge, &share) in layer.iter().enumerate() {
                holds[depth * tokens + edge / tokens][(depth + 1) * tokens + edge % tokens] = share;
            }
        }
        let (sink, mut flow) = (nodes - tokens + sink, 0.0);
        while let Some(way) = way(&holds, source, sink) {
            let narrowest = way.iter().map(|&(a, b)| holds[a][b]).fold(f64::INFINITY, f64::min);
            for (a, b) in way {
                holds[a][b] -= narrowest;
                holds[b][a] += narrowest;
            }
            flow += narrowest;
        }
        flow
    }

    /// Edges of a shortest way from one node to another, without those that hold next to nothing.
    fn way(holds: &[Vec<f64>], source: usize, sink: usize) -> Option<Vec<(usize, usize)>> {
        let (mut before, mut queue) = (vec![usize::MAX; holds.len()], vec![source]);
        before[source] = source;
        let mut head = 0;
        while head < queue.len() && before[sink] == usize::MAX {
            let node = queue[head];
            for next in (0..holds.len()).filter(|&next| holds[node][next] > 1e-14) {
                if before[next] == usize::MAX {
                    before[next] = node;
                    queue.push(next);
                }
            }
            head += 1;
        }
        if before[sink] == usize::MAX {
            return None;
        }
        let back = |&node: &usize| Some(before[node]).filter(|_| node != source);
        let nodes: Vec<usize> = std::iter::successors(Some(sink), back).collect();
        Some(nodes.windows(2).map(|pair| (pair[1], pair[0])).collect())
    }

    #[test]
    fn every_flow_is_that_of_the_definition() {
        for seed in 0..40 {
            let (count, tokens) = (1 + seed as usize % 5, 2 + seed as usize % 6);
            let layers = layers(count, tokens, seed, 1 + 3 * (seed as i32 % 4));
            for source in 0..tokens {
                let flows = Network::new(tokens, &layers).flows_from(source);
                for (sink, flow) in flows.into_iter().enumerate() {
                    let expected = naive(tokens, &layers, source, sink);
                    assert!((flow - expected).abs() < EXACT, "seed {seed}: {flow} for {expected}");
                }
            }
        }
    }

    #[test]
    fn a_flow_that_was_sent_a_wrong_way_is_sent_back() {
        // To token 1 the shortest ways fill 0 -> 0 -> 0 -> 1 first; half of it has to make room.
        let layers = [vec![0.5, 0.5, 0.0, 1.0], vec![0.5, 0.5, 1.0, 0.0], vec![0.0, 0.5, 1.0, 0.5]];
        let flows = Network::new(2, &layers).flows_from(0);
        assert_eq!(flows, [naive(2, &layers, 0, 0), naive(2, &layers, 0, 1)]);
        assert_eq!(flows[1], 1.0);
    }

    #[test]
    fn without_an_edge_nothing_flows() {
        assert_eq!(Network::new(2, &[vec![1.0, 0.0, 0.0, 1.0]]).flows_from(0), [1.0, 0.0]);
        assert_eq!(Network::new(2, &[vec![0.0; 4]]).flows_from(1), [0.0, 0.0]);
    }
}
