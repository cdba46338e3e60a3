//! Regions in the order of what each adds.

/// The map in which every pixel has the mean that its region added when it was taken; pixels of no region have their
/// own mean. Regions that add fewer than `fewest` pixels are left out.
pub(super) fn ranked(map: &[f64], regions: &[Vec<u32>], fewest: f64) -> Vec<f64> {
    let mut new = New::of(map, regions);
    let mut ranked: Vec<Option<f64>> = vec![None; map.len()];
    while let Some(best) = new.best(fewest) {
        let gain = new.mean(best);
        for &pixel in &regions[best] {
            if ranked[pixel as usize].is_none() {
                ranked[pixel as usize] = Some(gain);
                new.cover(pixel as usize, map[pixel as usize]);
            }
        }
    }
    let rest: Vec<f64> =
        map.iter().zip(&ranked).filter(|(_, r)| r.is_none()).map(|(value, _)| *value).collect();
    let mean = rest.iter().sum::<f64>() / rest.len().max(1) as f64;
    ranked.into_iter().map(|value| value.unwrap_or(mean)).collect()
}

/// What each region would add: kept up to date pixel by pixel, for there are hundreds of regions.
struct New {
    counts: Vec<usize>,
    sums: Vec<f64>,
    owners: Vec<Vec<u32>>,
}

impl New {
    fn of(map: &[f64], regions: &[Vec<u32>]) -> Self {
        let mut owners = vec![Vec::new(); map.len()];
        for (index, region) in regions.iter().enumerate() {
            region.iter().for_each(|&pixel| owners[pixel as usize].push(index as u32));
        }
        let sum = |region: &Vec<u32>| region.iter().map(|&pixel| map[pixel as usize]).sum();
        Self {
            counts: regions.iter().map(Vec::len).collect(),
            sums: regions.iter().map(sum).collect(),
            owners,
        }
    }

    fn mean(&self, region: usize) -> f64 {
        self.sums[region] / self.counts[region] as f64
    }

    /// The region with the largest mean among those that add enough; the first of equals.
    fn best(&self, fewest: f64) -> Option<usize> {
        let enough = |&region: &usize| self.counts[region] > 0 && self.counts[region] as f64 >= fewest;
        let better =
            |best: usize, other: usize| if self.mean(other) > self.mean(best) { other } else { best };
        (0..self.counts.len()).filter(enough).reduce(better)
    }

    fn cover(&mut self, pixel: usize, value: f64) {
        for &region in &self.owners[pixel] {
            self.counts[region as usize] -= 1;
            self.sums[region as usize] -= value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's greedy choice with every mean taken anew.
    fn twin(map: &[f64], regions: &[Vec<u32>], fewest: usize) -> Vec<f64> {
        let mut out = vec![f64::NAN; map.len()];
        let mut remaining: Vec<&Vec<u32>> = regions.iter().collect();
        loop {
            let fresh = |region: &Vec<u32>, out: &[f64]| -> Vec<usize> {
                region.iter().map(|&p| p as usize).filter(|&p| out[p].is_nan()).collect()
            };
            remaining.retain(|region| fresh(region, &out).len() >= fewest);
            let gain = |region: &Vec<u32>| {
                let fresh = fresh(region, &out);
                fresh.iter().map(|&p| map[p]).sum::<f64>() / fresh.len() as f64
            };
            let Some(best) = remaining.iter().max_by(|a, b| gain(a).total_cmp(&gain(b))) else { break };
            let value = gain(best);
            for p in fresh(best, &out) {
                out[p] = value;
            }
        }
        let rest: Vec<usize> = (0..map.len()).filter(|&p| out[p].is_nan()).collect();
        let mean = rest.iter().map(|&p| map[p]).sum::<f64>() / rest.len() as f64;
        rest.into_iter().for_each(|p| out[p] = mean);
        out
    }

    #[test]
    fn regions_are_taken_by_the_mean_of_what_they_add() {
        let map: Vec<f64> = (0..30).map(|i| f64::from(i * 7919 % 101) - 40.0).collect();
        let region = |k: u32| (0..30).filter(|p| p * 13 % 7 == k % 7 || p / 4 == k).collect::<Vec<u32>>();
        let regions: Vec<Vec<u32>> = (0..9).map(region).collect();
        for fewest in [1, 2, 4] {
            for (a, b) in ranked(&map, &regions, fewest as f64).iter().zip(twin(&map, &regions, fewest)) {
                assert!((a - b).abs() < 1e-12, "{fewest}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_sum_over_all_pixels_stays() {
        let map = [1.0, 5.0, -2.0, 0.5, 3.0];
        let found = ranked(&map, &[vec![0, 1], vec![1, 2]], 1.0);
        assert_eq!(found, [3.0, 3.0, -2.0, 1.75, 1.75]);
        assert!((found.iter().sum::<f64>() - map.iter().sum::<f64>()).abs() < 1e-12);
    }
}
