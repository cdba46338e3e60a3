//! The rivals and the works as `peers/rivals.json` has them: how to install, what is called, what is compared.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far results in double precision may be apart where a work says nothing else, relative L2.
const FLOAT64: f64 = 1e-8;

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
    /// The name in the registry, or that of a pass.
    pub work: String,
    /// Who does it, too; nobody where `no_peer` says why.
    pub rival: Option<String>,
    /// The rival's call.
    pub call: Option<String>,
    /// Why nobody is compared with.
    pub no_peer: Option<String>,
    /// `model/rows` or `model/rows/dtype`: what the quick table has.
    pub on: Vec<String>,
    /// What `--full` has beside it.
    #[serde(default)]
    pub full: Vec<String>,
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

/// A work on a model: one row of the table.
#[derive(Clone, Debug)]
pub struct Row<'a> {
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
    /// If a row is not written as `model/rows` or `model/rows/dtype`, or its rival is not there.
    pub fn rows(&self, extent: Extent) -> Result<Vec<Row<'_>>> {
        let places = self.works.iter().flat_map(|work| {
            let full = if extent == Extent::Full { &work.full[..] } else { &[] };
            work.on.iter().chain(full).map(move |place| (work, place))
        });
        places.map(|(work, place)| self.row(work, place)).collect()
    }

    fn row<'a>(&'a self, work: &'a Work, place: &str) -> Result<Row<'a>> {
        let parts: Vec<&str> = place.split('/').collect();
        ensure!((2..=3).contains(&parts.len()), "`{place}` of `{}` is no `model/rows`", work.work);
        let batch = parts[1].parse().with_context(|| format!("`{place}` of `{}`", work.work))?;
        let dtype = parts.get(2).unwrap_or(&"float32").to_string();
        let named = |name: &String| self.rivals.iter().find(|rival| rival.name == *name);
        let rival = work.rival.as_ref().map(|name| named(name).with_context(|| format!("no rival `{name}`")));
        Ok(Row { work, rival: rival.transpose()?, model: parts[0].to_owned(), batch, dtype })
    }
}

impl Row<'_> {
    /// `work/model/rows`, and the type where it is not single precision.
    pub fn name(&self) -> String {
        let dtype = if self.dtype == "float32" { String::new() } else { format!("/{}", self.dtype) };
        format!("{}/{}/{}{dtype}", self.work.work, self.model, self.batch)
    }

    /// How the work is done on this model.
    pub fn settings(&self) -> Map<String, Value> {
        let (full, plain): (Vec<_>, Vec<_>) =
            self.work.settings.iter().partition(|(key, _)| key.starts_with("full_"));
        let own = |(key, value): (&String, &Value)| (key.clone(), value.clone());
        let mut settings: Map<String, Value> = plain.into_iter().map(own).collect();
        if !self.model.starts_with("bundled") {
            let meant = |(key, value): (&String, &Value)| (key["full_".len()..].to_owned(), value.clone());
            settings.extend(full.into_iter().map(meant));
        }
        settings
    }
}
