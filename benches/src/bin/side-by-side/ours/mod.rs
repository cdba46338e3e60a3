//! Our side of a row: a process that does one work as often as it is told.

mod conventions;
mod metrics;
mod passes;

use crate::own;
use crate::worker::{Ran, Spec};
use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use candlelight::models::Loader;
use candlelight::nn::{VarBuilder, as_defined};
use candlelight::{Attribution, Explain, Model, Query};
use candlelight_benches::process;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;

/// How a work is done, as `peers/rivals.json` says it; what a work does not have it does not look at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    pub steps: Option<usize>,
    pub samples: Option<usize>,
    pub layer: Option<String>,
    pub unit: Option<Vec<usize>>,
    pub cells: Option<usize>,
    pub window: Option<usize>,
    pub stride: Option<usize>,
    /// Pixels of one step of a curve.
    pub step: Option<usize>,
    /// Whether the stored draws are taken, in place of new ones.
    pub given: bool,
    /// How many images each model has, where they are not the row's.
    pub rows: HashMap<String, usize>,
}

/// What a work is done with.
pub struct Setup {
    pub model: Box<dyn Model>,
    pub x: Tensor,
    pub classes: Vec<usize>,
    pub name: String,
    stored: HashMap<String, Tensor>,
    dtype: DType,
    device: Device,
}

impl Setup {
    fn open(spec: &Spec) -> Result<Self> {
        let dtype = dtype(&spec.dtype)?;
        let device = device(&spec.device)?;
        let open = || open(&spec.work, &spec.folder, dtype, &device);
        let model = if spec.work.ends_with("-exact") { as_defined(open)? } else { open()? };
        let stored = safetensors::load(spec.folder.join("inputs.safetensors"), &Device::Cpu)?;
        let x = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
        Ok(Self { model, x, classes: Vec::new(), name: spec.work.clone(), stored, dtype, device })
    }

    /// Makes the first `rows` images the work's.
    fn take(&mut self, rows: usize) -> Result<()> {
        let classes = self.stored.get("y").context("no classes")?.narrow(0, 0, rows)?.to_vec1::<i64>()?;
        self.classes = classes.into_iter().map(|class| class as usize).collect();
        self.x = self.first("x", rows)?;
        Ok(())
    }

    /// A stored tensor, on the device.
    pub fn input(&self, name: &str) -> Result<Tensor> {
        let tensor = self.stored.get(name).with_context(|| format!("no `{name}`"))?;
        let tensor = if tensor.dtype().is_float() { tensor.to_dtype(self.dtype)? } else { tensor.clone() };
        Ok(tensor.to_device(&self.device)?)
    }

    /// A stored tensor's first rows.
    pub fn first(&self, name: &str, rows: usize) -> Result<Tensor> {
        Ok(self.input(name)?.narrow(0, 0, rows)?)
    }

    pub fn query(&self) -> Query {
        Query::from((&self.x, self.classes.clone()))
    }

    pub fn explain(&self, method: &dyn Explain) -> Result<Attribution> {
        Ok(method.attribute(&*self.model, &self.query())?)
    }
}

fn dtype(name: &str) -> Result<DType> {
    Ok(match name {
        "float64" => DType::F64,
        "float32" => DType::F32,
        "bfloat16" => DType::BF16,
        other => anyhow::bail!("no type `{other}`"),
    })
}

fn device(name: &str) -> Result<Device> {
    Ok(match name {
        "cuda" => Device::new_cuda(0)
            .context("this binary was built without `--features cuda`, or there is no card")?,
        _ => Device::Cpu,
    })
}

/// The project's model or, for the works of that name, one whose imports alone were changed.
fn open(work: &str, folder: &Path, dtype: DType, device: &Device) -> Result<Box<dyn Model>> {
    if work.ends_with("-imports-only") {
        let tensors = safetensors::load(folder.join("model.safetensors"), device)?;
        let weights = VarBuilder::from_tensors(tensors, dtype, device);
        let is_vit = folder.file_name().is_some_and(|name| name == "vit-b16");
        return Ok(if is_vit {
            Box::new(own::ViT::new(weights)?)
        } else {
            Box::new(own::ResNet::new(weights)?)
        });
    }
    Ok(Box::new(Loader::default().dtype(dtype).device(device).load(folder)?.model))
}

/// Answers every line on stdin, each by a line of JSON.
pub fn work(spec: &Spec) -> Result<()> {
    let mut setup = Setup::open(spec)?;
    for line in io::stdin().lock().lines() {
        let answer = match answer(&mut setup, spec, &line?) {
            Ok(ran) => serde_json::to_string(&ran)?,
            Err(error) => serde_json::json!({ "error": format!("{error:#}") }).to_string(),
        };
        println!("{answer}");
    }
    Ok(())
}

fn answer(setup: &mut Setup, spec: &Spec, line: &str) -> Result<Ran> {
    let check = line.strip_prefix("check ");
    let mut settings = spec.settings.clone();
    if check.is_some() {
        settings.extend(spec.check.clone());
    }
    let told: Told = serde_json::from_value(known(settings).into())?;
    setup.take(told.rows.get(&spec.model).copied().unwrap_or(spec.batch))?;
    setup.device.synchronize()?;
    let start = Instant::now();
    let result = result(setup, &told)?;
    setup.device.synchronize()?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(file) = check {
        let result = result.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        safetensors::save(&[("map", result)].into(), file)?;
    }
    Ok(Ran { seconds, rss_mib: process::peak()? as f64 / 1024.0 })
}

/// The settings without those of the peer alone.
fn known(
    mut settings: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    settings.retain(|key, _| !matches!(key.as_str(), "at_once" | "internal_batch"));
    settings
}

fn result(setup: &Setup, told: &Told) -> Result<Tensor> {
    if let Some(result) = passes::run(setup) {
        return result;
    }
    match candlelight::metrics::Entry::named(&setup.name) {
        Ok(entry) => metrics::scores(setup, entry, told),
        Err(_) => conventions::map(setup, told),
    }
}
