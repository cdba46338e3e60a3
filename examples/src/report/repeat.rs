//! What it takes to get the same numbers again, beside the command.

use super::card::Fact;
use crate::model::Opened;
use crate::record::CANDLE;

/// Model and `data`, seed, device and versions; `name` and `weights` are the model's name and the SHA-256 of its weights.
pub fn facts(model: &Opened, (name, weights): (&str, &str), data: Option<Fact>, seed: u64) -> Vec<Fact> {
    let of_model = [Fact::new("Model", name), Fact::new("SHA-256 of the weights", weights)];
    let of_run = [
        Fact::new("Seed", seed.to_string()),
        Fact::new("Device", format!("{:?}", model.device.location()).to_lowercase()),
        Fact::new("Threads", std::thread::available_parallelism().map_or(1, usize::from).to_string()),
        Fact::new("candlelight", env!("CARGO_PKG_VERSION")),
        Fact::new("candle", CANDLE),
    ];
    let assumed = model.assumed.map(|words| Fact::new("Assumed", words));
    of_model.into_iter().chain(data).chain(of_run).chain(assumed).collect()
}
