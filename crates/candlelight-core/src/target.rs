//! What about the output is explained.

use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use std::fmt;
use std::sync::Arc;

/// A closure from outputs `[N, classes]` to one score per row, `[N]`; row n may depend on row n alone.
pub type Score = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync;

/// The scalar that is explained, per row of the input. Scores are the model's raw outputs (logits).
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Target {
    /// The class with the highest score of each row; the first of ties.
    #[default]
    Top,
    /// One class for all rows.
    Class(usize),
    /// One class for each row.
    PerRow(Vec<usize>),
    /// The score of `class` less that of `against`: what speaks for the one and not the other.
    Contrast {
        /// The class explained.
        class: usize,
        /// The class it is set against.
        against: usize,
    },
    /// Any function of the outputs.
    Score(Arc<Score>),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("Top"),
            Self::Class(class) => write!(f, "Class({class})"),
            Self::PerRow(classes) => write!(f, "PerRow({classes:?})"),
            Self::Contrast { class, against } => write!(f, "Contrast({class}, {against})"),
            Self::Score(_) => f.write_str("Score(..)"),
        }
    }
}

impl From<usize> for Target {
    fn from(class: usize) -> Self {
        Self::Class(class)
    }
}

impl From<Vec<usize>> for Target {
    fn from(classes: Vec<usize>) -> Self {
        Self::PerRow(classes)
    }
}

/// A target whose classes are known for every row of the query.
#[derive(Clone)]
pub(crate) enum Resolved {
    Classes(Vec<usize>),
    Contrast { class: usize, against: usize, rows: usize },
    Score(Arc<Score>),
}

impl Resolved {
    /// Fixes the classes of `target` by the outputs `[N, classes]`.
    pub(crate) fn new(target: &Target, outputs: &Tensor) -> Result<Self> {
        let (rows, classes) = outputs.dims2()?;
        let in_range = |class: usize| match class < classes {
            true => Ok(class),
            false => Err(Error::TargetOutOfRange { class, classes }),
        };
        Ok(match target {
            Target::Top => Self::Classes(top(outputs)?),
            Target::Class(class) => Self::Classes(vec![in_range(*class)?; rows]),
            Target::PerRow(targets) => {
                check_one_per_row(targets, rows)?;
                Self::Classes(targets.iter().map(|&class| in_range(class)).collect::<Result<_>>()?)
            }
            Target::Contrast { class, against } => {
                Self::Contrast { class: in_range(*class)?, against: in_range(*against)?, rows }
            }
            Target::Score(score) => Self::Score(score.clone()),
        })
    }

    /// The class explained in each row; empty for a free score.
    pub(crate) fn classes(&self) -> Vec<usize> {
        match self {
            Self::Classes(classes) => classes.clone(),
            Self::Contrast { class, rows, .. } => vec![*class; *rows],
            Self::Score(_) => Vec::new(),
        }
    }

    /// The same target for a batch in which row k is a version of the query's row `rows[k]`.
    pub(crate) fn at(&self, rows: &[usize]) -> Target {
        match self {
            Self::Classes(classes) => Target::PerRow(rows.iter().map(|&row| classes[row]).collect()),
            Self::Contrast { class, against, .. } => Target::Contrast { class: *class, against: *against },
            Self::Score(score) => Target::Score(score.clone()),
        }
    }

    /// One score per row of `outputs`, `[n]`, where row k is a version of the query's row `rows[k]`.
    pub(crate) fn scores(&self, outputs: &Tensor, rows: &[usize]) -> Result<Tensor> {
        match self {
            Self::Classes(classes) => pick(outputs, rows.iter().map(|&row| classes[row])),
            Self::Contrast { class, against, .. } => {
                let (class, against) = (rows.iter().map(|_| *class), rows.iter().map(|_| *against));
                Ok((pick(outputs, class)? - pick(outputs, against)?)?)
            }
            Self::Score(score) => {
                let scores = score(outputs)?;
                match scores.dims() == [rows.len()] {
                    true => Ok(scores),
                    false => Err(Error::Shape {
                        what: "the result of the score function",
                        found: scores.dims().to_vec(),
                        expected: format!("[{}], one score per row", rows.len()),
                    }),
                }
            }
        }
    }
}

/// Refuses a list of targets that is longer or shorter than the batch.
pub(crate) fn check_one_per_row(targets: &[usize], rows: usize) -> Result<()> {
    match targets.len() == rows {
        true => Ok(()),
        false => Err(Error::Shape {
            what: "the list of targets",
            found: vec![targets.len()],
            expected: format!("one target for each of the {rows} rows"),
        }),
    }
}

fn pick(outputs: &Tensor, classes: impl Iterator<Item = usize>) -> Result<Tensor> {
    let classes: Vec<u32> = classes.map(|class| class as u32).collect();
    let index = Tensor::new(classes, outputs.device())?.unsqueeze(1)?;
    Ok(outputs.gather(&index, 1)?.squeeze(1)?)
}

pub(crate) fn top(outputs: &Tensor) -> Result<Vec<usize>> {
    let rows = outputs.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    debug_assert_eq!(outputs.dim(D::Minus1)?, rows.first().map_or(0, Vec::len));
    let first_largest =
        |row: &Vec<f64>| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    Ok(rows.iter().map(first_largest).collect())
}
