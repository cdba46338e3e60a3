//! Our side of a row.

use crate::own;
use crate::rated::Rated;
use crate::row::{FEW, Row, Work};
use crate::worker::Ran;
use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var, safetensors};
use candlelight::models::Loader;
use candlelight::nn::{VarBuilder, without_winograd};
use candlelight::{
    AblationCam, Explain, Features, IntegratedGradients, KernelShap, Lime, Model, Occlusion, Rise, ScoreCam,
    Upsampling,
};
use std::fs;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;

/// Rows of the forward and of the gradient pass.
const FORWARD_ROWS: usize = 8;
/// The maps behind ResNet-50's stem: 64 channels, not below zero.
const STEM: &str = "maxpool";
/// Cells of a grid along each axis.
const CELLS: usize = 7;

/// Answers every line on stdin: `run`, or `map FILE`.
pub fn work(row: Row, folder: &Path, dtype: &str, steps: usize) -> Result<()> {
    let dtype = if dtype == "float64" { DType::F64 } else { DType::F32 };
    let model = match row.is_exact() {
        true => without_winograd(|| open(row, folder, dtype))?,
        false => open(row, folder, dtype)?,
    };
    let rated = (row.work() == Work::NonSensitivity).then(|| Rated::open(&folder.join(row.model()), dtype));
    let rated = rated.transpose()?;
    let x = safetensors::load(folder.join("input.safetensors"), &Device::Cpu)?;
    let given =
        |name: &str| x.get(name).context("no such input")?.to_dtype(dtype).map_err(anyhow::Error::from);
    let (x, given) = (given("x")?, Given { masks: given("masks")?, samples: given("samples")? });
    for line in io::stdin().lock().lines() {
        let line = line?;
        let start = Instant::now();
        let result = match (&rated, row.work()) {
            (Some(rated), _) => rated.scores(&*model, steps)?,
            (None, Work::Rise | Work::KernelShap | Work::Lime) => sampled(row, &*model, (&x, &given), steps)?,
            _ => run(row, &*model, &x, steps)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        if let Some(file) = line.strip_prefix("map ") {
            safetensors::save(&[("map", result)].into(), file)?;
        }
        println!("{}", serde_json::to_string(&Ran { seconds, rss_mib: peak_rss()? })?);
    }
    Ok(())
}

/// The project's model or, for the rows of that name, one whose imports alone were changed.
fn open(row: Row, folder: &Path, dtype: DType) -> Result<Box<dyn Model>> {
    let folder = folder.join(row.model());
    let weights = || -> Result<VarBuilder> {
        let tensors = safetensors::load(folder.join("model.safetensors"), &Device::Cpu)?;
        Ok(VarBuilder::from_tensors(tensors, dtype, &Device::Cpu))
    };
    Ok(match row {
        Row::ImportsResNet => Box::new(own::ResNet::new(weights()?)?),
        Row::ImportsViT => Box::new(own::ViT::new(weights()?)?),
        _ => Box::new(Loader::default().dtype(dtype).load(folder)?.model),
    })
}

fn run(row: Row, model: &dyn Model, x: &Tensor, steps: usize) -> Result<Tensor> {
    Ok(match row.work() {
        Work::Forward => model.forward(&x.narrow(0, 0, FORWARD_ROWS)?)?,
        Work::Gradient => {
            let x = Var::from_tensor(x)?;
            let gradients = model.forward(&x)?.narrow(1, 0, 1)?.sum_all()?.backward()?;
            gradients.get(&x).context("no gradient")?.clone()
        }
        Work::Path => {
            let explainer = IntegratedGradients::default().steps(steps);
            explainer.explain(model, (&x.narrow(0, 0, 1)?, 0))?.values().clone()
        }
        Work::Occlusion => {
            let explainer = Occlusion::default().window([steps]).stride([steps]);
            explainer.explain(model, (&x.narrow(0, 0, 1)?, 0))?.values().clone()
        }
        Work::Score => {
            let explainer = ScoreCam::at(STEM).upsampling(Upsampling::Corners);
            explainer.explain(model, (&x.narrow(0, 0, 1)?, 0))?.values().clone()
        }
        Work::Ablation => {
            let map = AblationCam::at(STEM).explain(model, (&x.narrow(0, 0, 1)?, 0))?;
            // The peer's weights are ours over the score.
            (map.values() / map.scores()[0])?
        }
        Work::Rise | Work::KernelShap | Work::Lime | Work::NonSensitivity => {
            anyhow::bail!("`{}` takes more than an image", row.name())
        }
    })
}

/// What both sides take where they are compared, and do not draw.
struct Given {
    masks: Tensor,
    samples: Tensor,
}

/// Samples of one image. Where both sides are compared they take the samples given; KernelSHAP all coalitions of few
/// features.
fn sampled(row: Row, model: &dyn Model, (x, given): (&Tensor, &Given), samples: usize) -> Result<Tensor> {
    let (query, compared) = ((&x.narrow(0, 0, 1)?, 0), samples == FEW);
    let side = if compared && row == Row::KernelShap { 2 } else { CELLS };
    let features = Features::Grid { rows: side, columns: side };
    let map = match row.work() {
        Work::Rise if compared => Rise::default().given(given.masks.clone()).explain(model, query)?,
        Work::Rise => Rise::default().samples(samples).explain(model, query)?,
        Work::Lime if compared => {
            Lime::default().features(features).given(given.samples.clone()).explain(model, query)?
        }
        Work::Lime => Lime::default().features(features).samples(samples).explain(model, query)?,
        _ => {
            let coalitions = if compared { 1 << (side * side) } else { samples };
            KernelShap::default().features(features).samples(coalitions).explain(model, query)?
        }
    };
    Ok(map.values().clone())
}

/// The largest resident size of this process, as the kernel counts it.
fn peak_rss() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("peak memory is read from /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
