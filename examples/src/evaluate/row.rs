//! One measurement.

use serde::{Deserialize, Serialize};

/// What one metric found in one method's map of one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The place of the sample in the data set.
    pub index: u64,
    /// Its path inside of the data set.
    pub sample: String,
    pub method: String,
    pub metric: String,
    /// The class explained.
    pub class: u32,
    /// The metric's number; nothing where the map has none.
    #[serde(with = "bits")]
    pub value: Option<f64>,
    /// Why the map has no number.
    pub note: Option<String>,
}

/// Numbers as their bits, so that they come back as they were, NaN and infinities included.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(f64::to_bits).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(f64::from_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_to_the_last_bit() -> serde_json::Result<()> {
        for value in [Some(0.1 + 0.2), Some(-0.0), Some(f64::INFINITY), Some(f64::MIN_POSITIVE / 3.0), None] {
            let row = Row {
                index: 3,
                sample: "a/b.png".into(),
                method: "saliency".into(),
                metric: "deletion".into(),
                class: 1,
                value,
                note: None,
            };
            let back: Row = serde_json::from_str(&serde_json::to_string(&row)?)?;
            assert_eq!(back.value.map(f64::to_bits), value.map(f64::to_bits));
        }
        Ok(())
    }
}
