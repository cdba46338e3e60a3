//! Completeness.

use crate::{Measured, Metric, Result, Subject};
use candle_core::DType;
use candlelight_core::{Baseline, Evaluation, Output};

/// |Σ a − (f(x) − f(x′))| / |f(x) − f(x′)|: how far the map is from sharing out the difference that it should
/// ([Sundararajan, Taly and Yan 2017](https://arxiv.org/abs/1703.01365), there an axiom). 0 is complete; infinite where
/// only the difference is 0.
///
/// The scale of a map counts: it is what is measured.
///
/// **When not to use it:** for maps that promise no sum, such as gradients and class activation maps, and against
/// another baseline than the method's.
#[derive(Clone, Debug)]
pub struct Completeness {
    baseline: Baseline,
    output: Output,
}

impl Default for Completeness {
    /// Against zero, in the units of the query.
    fn default() -> Self {
        Self { baseline: Baseline::Zero, output: Output::Raw }
    }
}

/// Both sides of one row's equation, in units of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// Σ a.
    pub sum: f64,
    /// f(x) − f(x′).
    pub difference: f64,
}

impl Balance {
    /// Σ a − (f(x) − f(x′)).
    pub fn gap(&self) -> f64 {
        self.sum - self.difference
    }

    /// The gap's magnitude over that of the difference.
    pub fn relative(&self) -> f64 {
        if self.gap() == 0.0 { 0.0 } else { (self.gap() / self.difference).abs() }
    }
}

impl Completeness {
    /// What the map is to be complete against.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// In which units the score is.
    pub fn output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Both sides for every row, and what they cost.
    ///
    /// # Errors
    /// If the baseline does not fit; those of the model.
    pub fn balances(&self, subject: &Subject) -> Result<(Vec<Balance>, candlelight_core::Cost)> {
        let query = subject.query.clone().output(self.output);
        let rows: Vec<usize> = (0..query.input().dims()[0]).collect();
        let mut evaluation = Evaluation::new(subject.model, &query, rows.len())?;
        let baseline = evaluation.baseline(&self.baseline)?;
        let without =
            evaluation.answers(&rows, |range| Ok(baseline.narrow(0, range.start, range.len())?))?;
        let sums =
            subject.attribution.values().to_dtype(DType::F64)?.flatten_from(1)?.sum(1)?.to_vec1::<f64>()?;
        let balances = sums.into_iter().zip(evaluation.whole()).zip(without);
        let balance =
            |((sum, whole), without): ((f64, &candlelight_core::Answer), candlelight_core::Answer)| Balance {
                sum,
                difference: whole.score - without.score,
            };
        Ok((balances.map(balance).collect(), evaluation.cost()))
    }
}

impl Metric for Completeness {
    fn name(&self) -> &'static str {
        "completeness"
    }

    fn measure(&self, subject: &Subject) -> Result<Measured> {
        let (balances, cost) = self.balances(subject)?;
        Ok(Measured { values: balances.iter().map(Balance::relative).collect(), cost, ..Measured::default() })
    }
}
