//! Which layers a class activation map is made at.

use super::Passes;
use crate::methods::layer::last_map;
use crate::scope::{Kind, LayerInfo, layers, matches, shown};
use crate::{Model, Result};
use candle_core::Tensor;

/// Names and patterns of layers; none means the one that is found.
#[derive(Clone, Debug, Default)]
pub struct Layers(Vec<String>);

/// The layers that are meant.
pub(super) struct Found {
    pub(super) names: Vec<String>,
    /// Passes for each row, the one that shows the layers included.
    pub(super) passes: usize,
}

impl Layers {
    pub(super) fn and(mut self, layer: String) -> Self {
        self.0.push(layer);
        self
    }

    /// The layers that are meant on `input`. They are listed, which costs a pass of one row, where nothing or a pattern
    /// is said, or their channels decide the work.
    pub(super) fn find(&self, model: &dyn Model, input: &Tensor, passes: Passes) -> Result<Found> {
        let known = !self.0.is_empty() && !self.0.iter().any(|layer| layer.contains('*'));
        if known && passes != Passes::PerChannel {
            let more = if passes == Passes::PerRow { self.0.len() } else { 0 };
            return Ok(Found { names: self.0.clone(), passes: 1 + more });
        }
        let seen = layers(model, &input.narrow(0, 0, 1)?)?;
        let names = self.names(&seen)?;
        let more = names.iter().map(|name| match passes {
            Passes::None => 0,
            Passes::PerRow => 1,
            Passes::PerChannel => channels(name, &seen),
        });
        Ok(Found { passes: 1 + more.sum::<usize>(), names })
    }

    fn names(&self, seen: &[LayerInfo]) -> Result<Vec<String>> {
        if self.0.is_empty() {
            return Ok(vec![last_map(seen)?]);
        }
        let mut names = Vec::new();
        for pattern in &self.0 {
            let meant = seen.iter().filter(|layer| match pattern.contains('*') {
                true => is_map(layer) && matches(pattern, &layer.name),
                false => layer.name == *pattern,
            });
            let before = names.len();
            names.extend(meant.map(|layer| layer.name.clone()));
            if names.len() == before {
                return Err(shown(pattern, seen));
            }
        }
        let mut known = std::collections::HashSet::new();
        names.retain(|name| known.insert(name.clone()));
        Ok(names)
    }
}

/// Whether a layer gives maps with a spatial extent, or tokens.
fn is_map(layer: &LayerInfo) -> bool {
    match layer.shape[..] {
        [_, _, height, width] => height * width > 1 && layer.kind != Kind::AttentionWeights,
        [_, tokens, _] => tokens > 1,
        _ => false,
    }
}

fn channels(name: &str, seen: &[LayerInfo]) -> usize {
    match seen.iter().find(|layer| layer.name == *name).map(|layer| &layer.shape[..]) {
        Some([_, channels, _, _] | [_, _, channels]) => *channels,
        _ => 0,
    }
}
