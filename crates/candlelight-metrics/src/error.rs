//! What can go wrong between a map and its number.

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a map has no score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mask covers nothing, so that nothing could be found.
    #[error("the mask of row `{row}` is empty: there is nothing to find; leave the row out")]
    EmptyMask {
        /// The row of the batch.
        row: usize,
    },
    /// Every pixel has the same value, so that none is more important than another.
    #[error(
        "the map of row `{row}` is `{value}` everywhere and points nowhere; see what the explanation's convergence says"
    )]
    ConstantMap {
        /// The row of the batch.
        row: usize,
        /// The value of every pixel.
        value: f64,
    },
    /// The relevance sums to nothing, so that no share of it can be taken.
    #[error("the map of row `{row}` holds no relevance (its sum is `{sum}`); count magnitudes instead")]
    NoRelevance {
        /// The row of the batch.
        row: usize,
        /// The sum over the map.
        sum: f64,
    },
    /// NaN or an infinity in a mask, of which nobody knows whether it is inside.
    #[error("the mask of row `{row}` holds `{value}`; give 0 outside of the object and 1 inside")]
    MaskNotFinite {
        /// The row of the batch.
        row: usize,
        /// The first such value.
        value: f64,
    },
    /// NaN or an infinity in the map.
    #[error("the map of row `{row}` holds `{value}`; check the input and the weights")]
    NotFinite {
        /// The row of the batch.
        row: usize,
        /// The first such value.
        value: f64,
    },
    /// A map for other rows than those of the query.
    #[error("the map has `{maps}` rows, the query `{inputs}`; explain the query that is measured")]
    Rows {
        /// Rows of the map.
        maps: usize,
        /// Rows of the query.
        inputs: usize,
    },
    /// Nothing to measure.
    #[error("there are no rows to measure; give at least one")]
    NoRows,
    /// Too few numbers for an interval.
    #[error(
        "`{samples}` samples have a number (`{left_out}` have none), and an interval needs at least 2; measure more samples"
    )]
    TooFewSamples {
        /// Samples with a number.
        samples: usize,
        /// Samples without one.
        left_out: usize,
    },
    /// Two lists that are not of the same samples.
    #[error("the first has `{first}` samples, the second `{second}`; compare methods over the same samples")]
    Pairs {
        /// Samples of the first.
        first: usize,
        /// Samples of the second.
        second: usize,
    },
    /// Something that a metric needs was not given.
    #[error("`{metric}` needs {what}; say it with the subject")]
    Missing {
        /// The metric's name.
        metric: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A setting out of its range.
    #[error("{setting} is `{value}`, expected {expected}")]
    Setting {
        /// What was set.
        setting: &'static str,
        /// To what.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A tensor that does not fit.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which one.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// What would fit.
        expected: String,
    },
    /// A metric that is not in the registry.
    #[error("unknown metric `{name}`; known are {}", .known.join(", "))]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// Every registered name.
        known: Vec<&'static str>,
    },
    /// The map could not be read.
    #[error(transparent)]
    Core(#[from] candlelight_core::Error),
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Candle(#[from] candle_core::Error),
}
