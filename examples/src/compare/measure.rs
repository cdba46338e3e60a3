//! One method on one image, by every metric.

use super::Contender;
use crate::interrupt;
use crate::model::Opened;
use crate::subject::Subject;
use candlelight::metrics::{self, Curve, Entry};
use candlelight::{Attribution, Error, Progress, Query, Remembered, Target};

/// What a metric says of one image, or why it says nothing.
pub type Value = Result<(f64, Option<Curve>), String>;

/// What a method says of one image, and what every metric says of that.
pub struct Answer {
    pub map: Attribution,
    pub values: Vec<Value>,
}

/// What is asked of every method.
pub struct Question<'a> {
    pub model: &'a Opened,
    /// That model, with a memory that all methods and metrics of an image share.
    pub remembered: &'a Remembered<'a>,
    pub target: &'a Target,
    pub seed: u64,
}

impl Question<'_> {
    /// The map, and a value for every metric. The method's own errors come through, and `Error::Cancelled`.
    pub fn ask(
        &self,
        (index, subject): (usize, &Subject),
        contender: &Contender,
        metrics: &[&'static Entry],
    ) -> Result<Answer, Error> {
        let query = Query::from((&subject.input, self.target.clone())).seed(self.seed);
        let query = query.first_sample(index as u64).on_progress(|_| interrupt::go_on());
        let map = contender.method.attribute(self.remembered, &query)?;
        if let Some(Progress { done, of }) = map.convergence().partial {
            return Err(Error::Cancelled { done, of });
        }
        let measured = metrics::Subject::new(self.remembered, &query, &map)
            .map(|measured| measured.method(&*contender.method));
        let truth = subject
            .truth
            .as_ref()
            .filter(|truth| map.classes().first().is_none_or(|&class| truth.answers(class, self.model)));
        let measured = match (measured, truth) {
            (Ok(measured), Some(truth)) => Ok(measured.masks(&truth.mask)),
            (measured, _) => measured,
        };
        let values = metrics.iter().map(|entry| value(entry, &measured)).collect::<Result<_, _>>()?;
        Ok(Answer { map, values })
    }
}

fn value(entry: &Entry, subject: &metrics::Result<metrics::Subject>) -> Result<Value, Error> {
    let measured = match subject {
        Ok(subject) => (entry.build)().measure(subject),
        Err(error) => return Ok(Err(error.to_string())),
    };
    match measured {
        Ok(measured) => Ok(Ok((measured.values[0], measured.curves.into_iter().next()))),
        Err(metrics::Error::Core(error @ Error::Cancelled { .. })) => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// What one metric says of one method, image by image.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub values: Vec<Option<f64>>,
    pub curves: Vec<Curve>,
    /// Why the first image without a value has none.
    pub reason: Option<String>,
}

impl Column {
    pub fn add(&mut self, value: Value) {
        match value {
            Ok((value, curve)) => {
                self.values.push(Some(value));
                self.curves.extend(curve);
            }
            Err(reason) => {
                self.values.push(None);
                self.reason.get_or_insert(reason);
            }
        }
    }
}
