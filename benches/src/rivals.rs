//! The rivals and the works as `peers/rivals.json` has them: how to install, what is called, what is compared.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far results in double precision may be apart where a work says nothing else, relative L2.
const FLOAT64: f64 = 1e-8;
/// Rows of a batch where a work says nothing else.
const ROWS: usize = 8;
/// What stands before the name of a setting that holds for models which are not bundled.
const LARGE: &str = "full_";

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rivals {
    /// The packages that are compared with.
    pub rivals: Vec<Rival>,
    /// What is done, once for each of its models.
    pub works: Vec<Work>,
}

/// A package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rival {
    /// What works call it.
    pub name: String,
    /// What it is called in print.
    pub title: String,
    /// Its packages, pinned in `peers/requirements.txt`.
    pub requires: Vec<String>,
    /// The module of `peers/` that runs it.
    pub runner: String,
}

/// One work: a method, a metric or a pass of the model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// What rows are called: the name in the registry, that of a pass, or one of its own where `does` has the other.
    pub work: String,
    /// What is done where rows are not called so.
    pub does: Option<String>,
    /// Who does it, too; nobody where `no_peer` says why.
    pub rival: Option<String>,
    /// The rival's call.
    pub call: Option<String>,
    /// Why nobody is compared with.
    pub no_peer: Option<String>,
    /// `model`, `model/rows` or `model/rows/dtype`: what the quick table has.
    pub on: Vec<String>,
    /// What `--full` has beside it.
    #[serde(default)]
    pub full: Vec<String>,
    /// Rows of the batch where a place says nothing else.
    #[serde(default = "rows")]
    pub rows: usize,
    /// How the timed work is done; a key with `full_` before it holds for models that are not bundled.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What is done otherwise where both sides are compared.
    #[serde(default)]
    pub check: Map<String, Value>,
    /// How far results in double precision may be apart, relative L2.
    #[serde(default = "float64")]
    pub float64: f64,
    /// Whether the sign of a result means nothing.
    #[serde(default)]
    pub signless: bool,
    /// What exactly is compared, where it is not the whole result.
    pub compared: Option<String>,
    /// The row of `DEVIATIONS.md` that says what differs.
    pub deviation: Option<String>,
    /// What else there is to know.
    pub note: Option<String>,
}

fn float64() -> f64 {
    FLOAT64
}

fn rows() -> usize {
    ROWS
}

impl Work {
    /// The name in the registry, or that of a pass.
    pub fn does(&self) -> &str {
        self.does.as_ref().unwrap_or(&self.work)
    }
}

/// A work on a model: one row of the table.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The work and its place: `work/model`, and the rows and the type where the data says them.
    pub name: String,
    /// Which table has it.
    pub extent: Extent,
    /// What is done.
    pub work: &'a Work,
    /// Whose work it is, too.
    pub rival: Option<&'a Rival>,
    /// On what.
    pub model: String,
    /// Rows of the batch.
    pub batch: usize,
    /// The type of the numbers whose time is taken.
    pub dtype: String,
}

/// How large the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The bundled and other small models: minutes.
    Quick,
    /// ResNet-50, ViT-B/16 and others at 224 x 224 beside them: hours.
    Full,
}

impl Rivals {
    /// What the project has.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn known() -> Result<Self> {
        serde_json::from_str(include_str!("../peers/rivals.json")).context("`benches/peers/rivals.json`")
    }

    /// Every row, work by work.
    ///
    /// # Errors
    /// If a row is not written as `model`, `model/rows` or `model/rows/dtype`, or its rival is not there.
    pub fn rows(&self) -> Result<Vec<Row<'_>>> {
        let places = self.works.iter().flat_map(|work| {
            let quick = work.on.iter().map(|place| (Extent::Quick, place));
            let places = quick.chain(work.full.iter().map(|place| (Extent::Full, place)));
            places.map(move |(extent, place)| (work, extent, place))
        });
        places.map(|(work, extent, place)| self.row(work, extent, place)).collect()
    }

    fn row<'a>(&'a self, work: &'a Work, extent: Extent, place: &str) -> Result<Row<'a>> {
        let parts: Vec<&str> = place.split('/').collect();
        ensure!(parts.len() <= 3, "`{place}` of `{}` is no `model/rows/dtype`", work.work);
        let rows = parts.get(1).map(|rows| rows.parse()).transpose();
        let named = |name: &String| self.rivals.iter().find(|rival| rival.name == *name);
        let rival = work.rival.as_ref().map(|name| named(name).with_context(|| format!("no rival `{name}`")));
        Ok(Row {
            name: format!("{}/{place}", work.work),
            extent,
            work,
            rival: rival.transpose()?,
            model: parts[0].to_owned(),
            batch: rows.with_context(|| format!("`{place}` of `{}`", work.work))?.unwrap_or(work.rows),
            dtype: parts.get(2).unwrap_or(&"float32").to_string(),
        })
    }
}

impl Row<'_> {
    /// How the work is done on this model where its time is taken.
    pub fn settings(&self) -> Map<String, Value> {
        self.meant(&self.work.settings)
    }

    /// What is done otherwise where both sides are compared.
    pub fn check(&self) -> Map<String, Value> {
        self.meant(&self.work.check)
    }

    /// The settings of this model: without those of large ones, or with them in place of the others.
    fn meant(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        let own = |(key, value): (&String, &Value)| (key.clone(), value.clone());
        let (large, mut meant): (Map<_, _>, Map<_, _>) =
            settings.iter().map(own).partition(|(key, _)| key.starts_with(LARGE));
        if !self.model.starts_with("bundled") {
            meant.extend(large.into_iter().map(|(key, value)| (key[LARGE.len()..].to_owned(), value)));
        }
        meant
    }
}
