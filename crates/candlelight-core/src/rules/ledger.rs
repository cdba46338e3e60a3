//! What becomes of relevance at every layer: received, passed on, absorbed.

use super::ratio::carrying_sums;
use super::{Rule, ratio};
use crate::scope::Kind;
use candle_core::{Result, Tensor};
use candlelight_kernels::chain::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One layer under a rule, in units of the score, one number per row of the query.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerLine {
    /// The layer; a batch norm stands for the convolution or linear layer that it is merged with.
    pub layer: String,
    /// What it is.
    pub kind: Kind,
    /// Its rule.
    pub rule: Rule,
    /// Relevance of its outputs.
    pub received: Vec<f64>,
    /// Relevance that it gave to its inputs.
    pub passed: Vec<f64>,
    /// What its bias and other constants absorbed.
    pub bias: Vec<f64>,
    /// What the stabiliser of its denominators absorbed.
    pub stabiliser: Vec<f64>,
}

impl LedgerLine {
    /// Per row what is neither passed on nor absorbed: rounding, unless the rule does not conserve. Attention's softmax
    /// and z⁺ at outputs that nothing excites do not.
    pub fn missing(&self) -> Vec<f64> {
        let spent = |row: usize| self.passed[row] + self.bias[row] + self.stabiliser[row];
        self.received.iter().enumerate().map(|(row, received)| received - spent(row)).collect()
    }
}

/// The layers under rules, in the order in which they ran. Layers that hand back their gradient have no line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// One line for each layer.
    pub lines: Vec<LedgerLine>,
    /// Per row the score, which is where relevance comes from.
    pub score: Vec<f64>,
    /// Per row the relevance that arrived at the input.
    pub arrived: Vec<f64>,
}

impl Ledger {
    /// Per row what all biases and other constants absorbed.
    pub fn bias(&self) -> Vec<f64> {
        self.total(|line| &line.bias)
    }

    /// Per row what all stabilisers absorbed.
    pub fn stabiliser(&self) -> Vec<f64> {
        self.total(|line| &line.stabiliser)
    }

    /// Per row the score less what arrived and what was absorbed: what went into candle's own operations on constants,
    /// as a class token, and what rules did not conserve.
    pub fn missing(&self) -> Vec<f64> {
        let (bias, stabiliser) = (self.bias(), self.stabiliser());
        let spent = |row: usize| self.arrived[row] + bias[row] + stabiliser[row];
        self.score.iter().enumerate().map(|(row, score)| score - spent(row)).collect()
    }

    fn total(&self, of: impl Fn(&LedgerLine) -> &Vec<f64>) -> Vec<f64> {
        let sum = |row: usize| self.lines.iter().map(|line| of(line)[row]).sum();
        (0..self.score.len()).map(sum).collect()
    }
}

impl fmt::Display for Ledger {
    /// A table of the first row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.layer.chars().count()).max().unwrap_or(0).max(5);
        let numbers = ["received", "passed", "bias", "stabiliser"].map(|name| format!("{name:>12}")).concat();
        writeln!(f, "{:<width$}{numbers}  rule", "layer")?;
        for line in self.lines.iter().rev() {
            let numbers = [&line.received, &line.passed, &line.bias, &line.stabiliser];
            let numbers = numbers.map(|rows| format!("{:>12.5}", rows.first().unwrap_or(&f64::NAN))).concat();
            writeln!(f, "{:<width$}{numbers}  {}", line.layer, line.rule)?;
        }
        Ok(())
    }
}

/// The lines of one pass, which layers fill as relevance comes back to them.
pub(crate) type Books = Arc<Mutex<Vec<LedgerLine>>>;

/// Where a layer writes; nowhere, if nobody asked for a ledger.
#[derive(Clone, Default)]
pub(crate) struct Account(Option<(Books, usize)>);

impl Account {
    /// A line in `books`.
    pub fn open(books: &Books, layer: String, kind: Kind, rule: Rule) -> Self {
        let mut lines = books.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Vec::new;
        let (received, passed, bias, stabiliser) = (none(), none(), none(), none());
        lines.push(LedgerLine { layer, kind, rule, received, passed, bias, stabiliser });
        Self(Some((books.clone(), lines.len() - 1)))
    }

    fn write(&self, row: impl FnOnce(&mut LedgerLine)) {
        if let Some((books, index)) = &self.0 {
            row(&mut books.lock().unwrap_or_else(PoisonError::into_inner)[*index]);
        }
    }

    /// The rule that holds after all: a batch norm obeys that of the layer it is merged with.
    pub fn under(&self, rule: &Rule) {
        self.write(|line| line.rule = rule.clone());
    }

    /// Notes the relevance of outputs `y` under the signal `g`.
    pub fn received(&self, y: &Tensor, g: &Tensor) -> Result<()> {
        self.add(|line| &mut line.received, || carrying_sums(y, g))
    }

    /// Notes the relevance of inputs `x` under the signal `g`; several inputs add up.
    pub fn passed(&self, x: &Tensor, g: &Tensor) -> Result<()> {
        self.add(|line| &mut line.passed, || carrying_sums(x, g))
    }

    /// Notes `times` what a constant `b`, which broadcasts over `s`, absorbs of the relevance per output `s`.
    pub fn constant(&self, b: &Tensor, s: &Tensor, times: f64) -> Result<()> {
        self.add(|line| &mut line.bias, || scaled(ratio::constant_sums(b, s)?, times))
    }

    /// [`ratio::share`], noted.
    pub fn share(&self, z: &Tensor, g: &Tensor, epsilon: f64) -> Result<Tensor> {
        if self.0.is_none() {
            return ratio::share(z, g, epsilon);
        }
        let (s, [received, absorbed]) = ratio::share_counted(z, g, epsilon)?;
        self.add(|line| &mut line.received, || Ok(received))?;
        self.add(|line| &mut line.stabiliser, || Ok(absorbed))?;
        Ok(s)
    }

    /// [`ratio::over`], of which `times` what the stabiliser absorbs is noted.
    pub fn over(&self, r: &Tensor, z: &Tensor, epsilon: f64, times: f64) -> Result<Tensor> {
        if self.0.is_none() {
            return ratio::over(r, z, epsilon);
        }
        let (s, absorbed) = ratio::over_counted(r, &z.broadcast_as(r.shape())?, epsilon)?;
        self.add(|line| &mut line.stabiliser, || scaled(absorbed, times))?;
        Ok(s)
    }

    /// Notes all that became of relevance at a layer of a chain; nothing where it hands back its gradient.
    pub fn enter(&self, entry: Entry) {
        self.write(|line| {
            plus(&mut line.received, &entry.received);
            plus(&mut line.passed, &entry.passed);
            plus(&mut line.bias, &entry.bias);
            plus(&mut line.stabiliser, &entry.stabiliser);
        });
    }

    fn add(
        &self,
        to: impl FnOnce(&mut LedgerLine) -> &mut Vec<f64>,
        rows: impl FnOnce() -> Result<Vec<f64>>,
    ) -> Result<()> {
        if self.0.is_none() {
            return Ok(());
        }
        let rows = rows()?;
        self.write(|line| plus(to(line), &rows));
        Ok(())
    }
}

/// sums + rows, row by row.
fn plus(sums: &mut Vec<f64>, rows: &[f64]) {
    sums.resize(rows.len(), 0.0);
    sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += row);
}

fn scaled(rows: Vec<f64>, times: f64) -> Result<Vec<f64>> {
    Ok(rows.into_iter().map(|row| row * times).collect())
}

/// The lines of consecutive parts of a query as those of the whole; layers that no relevance came to are left out.
pub(crate) fn joined(parts: Vec<Books>, score: Vec<f64>, arrived: Vec<f64>) -> Ledger {
    let mut lines: Vec<LedgerLine> = Vec::new();
    for books in parts {
        let mut part = books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        part.retain(|line| !line.received.is_empty());
        let rows = part.iter().map(|line| line.received.len()).max().unwrap_or(0);
        for line in &mut part {
            let spent = [&mut line.passed, &mut line.bias, &mut line.stabiliser];
            spent.into_iter().for_each(|sums| sums.resize(rows, 0.0));
        }
        match lines.is_empty() {
            true => lines = part,
            false => lines.iter_mut().zip(part).for_each(|(line, more)| {
                line.received.extend(more.received);
                line.passed.extend(more.passed);
                line.bias.extend(more.bias);
                line.stabiliser.extend(more.stabiliser);
            }),
        }
    }
    Ledger { lines, score, arrived }
}
