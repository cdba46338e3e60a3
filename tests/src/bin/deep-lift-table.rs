//! Prints the table of `docs/deeplift.md`: what DeepLIFT's attributions miss of f(x) − f(x′), here and in Captum.
//!
//!     cargo run --release -p candlelight-tests --bin deep-lift-table -- PYTHON
//!
//! PYTHON is an interpreter with captum, torch, timm and safetensors. The models are those of the reference data.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{Baseline, DeepLift, Explain, Model, nn};
use candlelight_tests::Folder;
use candlelight_tests::folders::{Place, places};
use serde_json::{Value, json};

/// Rows of each model that are explained, row n for class n.
const ROWS: usize = 2;

/// Model of the reference data, form in which the peer runs it, reference.
const CASES: &[(&str, &str, &str)] = &[
    ("mlp_relu", "as stored", "b0"),
    ("mlp_relu", "functional", "b0"),
    ("mlp_relu", "one ReLU reused", "b0"),
    ("mlp_relu", "softmax output", "b0"),
    ("mlp_tanh", "as stored", "b0"),
    ("lenet_mnist", "as stored", "zero"),
    ("lenet_mnist", "as stored", "b0"),
    ("lenet_mnist", "functional", "b0"),
    ("lenet_mnist", "one ReLU reused", "b0"),
    ("lenet_mnist", "softmax output", "b0"),
    ("convnet_relu", "as stored", "b0"),
    ("convnet", "as stored", "b0"),
    ("resnet20_cifar", "as stored", "b0"),
    ("timm_plain_resnet", "as stored", "zero"),
    ("timm_plain_resnet", "as stored", "b0"),
    ("timm_test_resnet", "as stored", "zero"),
    ("timm_test_resnet", "as stored", "b0"),
    ("timm_vit", "as stored", "zero"),
    ("timm_vit", "as stored", "b0"),
];

fn main() -> Result<()> {
    let python = std::env::args().nth(1).context("which Python?")?;
    let roots: Vec<PathBuf> = places()
        .into_iter()
        .filter_map(|place| if let Place::Found(root) = place { Some(root) } else { None })
        .collect();
    let theirs = peer(&python, &roots)?;
    println!(
        "| model | form | x′ | f(x) − f(x′) | missing here | missing in Captum |\n|---|---|---|---|---|---|"
    );
    for (&(model, form, reference), theirs) in CASES.iter().zip(theirs) {
        let (residual, difference) = ours(&roots, model, form, reference)?;
        let missing = match theirs["error"].as_str() {
            Some(error) => error.split(':').next().unwrap_or(error).to_owned(),
            None => shares(&numbers(&theirs["residual"])?, &numbers(&theirs["difference"])?),
        };
        let found: Vec<String> = difference.iter().map(|value| format!("{value:.3}")).collect();
        let reference = if reference == "zero" { "0" } else { "an image" };
        let here = shares(&residual, &difference);
        println!("| {model} | {form} | {reference} | {} | {here} | {missing} |", found.join(", "));
    }
    Ok(())
}

/// Residuals as shares of the differences.
fn shares(residuals: &[f64], differences: &[f64]) -> String {
    let share = |(residual, difference): (&f64, &f64)| {
        let share = (residual / difference).abs();
        if share < 1e-9 { format!("{share:.0e}") } else { format!("{:.1} %", 100.0 * share) }
    };
    residuals.iter().zip(differences).map(share).collect::<Vec<_>>().join(", ")
}

fn numbers(value: &Value) -> Result<Vec<f64>> {
    let numbers = value.as_array().context("no numbers")?.iter();
    numbers.map(|number| number.as_f64().context("no number")).collect()
}

/// Residual and difference of every row.
fn ours(roots: &[PathBuf], model: &str, form: &str, reference: &str) -> Result<(Vec<f64>, Vec<f64>)> {
    let folder = holding(roots, model)?;
    let inputs = folder.tensors(Path::new(&format!("inputs/{model}.safetensors")))?;
    let x = inputs.get("x", DType::F64)?.narrow(0, 0, ROWS)?;
    let baseline = match reference {
        "zero" => Baseline::Zero,
        name => Baseline::Tensor(inputs.get(name, DType::F64)?),
    };
    let net = folder.model(model, DType::F64)?;
    let probabilities = |x: &Tensor| nn::softmax_last_dim(&net.forward(x)?);
    let net: &dyn Model = if form == "softmax output" { &probabilities } else { &*net };
    let map = DeepLift::default().baseline(baseline).explain(net, (&x, Vec::from_iter(0..ROWS)))?;
    let completeness = map.convergence().completeness.clone().context("no completeness")?;
    Ok((completeness.residual(), completeness.difference))
}

fn holding(roots: &[PathBuf], model: &str) -> Result<Folder> {
    match roots.iter().find(|root| root.join("models").join(model).is_dir()) {
        Some(root) => Folder::open(root),
        None => bail!("no folder of reference data holds `{model}`"),
    }
}

/// What the peer says of every case.
fn peer(python: &str, roots: &[PathBuf]) -> Result<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/deep_lift.py");
    let roots = roots.iter().map(fs::canonicalize).collect::<Result<Vec<_>, _>>()?;
    let mut process = Command::new(python)
        .arg(script)
        .args(roots)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{python}`"))?;
    let mut stdin = process.stdin.take().context("no stdin")?;
    for (model, form, reference) in CASES {
        let classes = Vec::from_iter(0..ROWS);
        let case =
            json!({"model": model, "form": form, "reference": reference, "rows": ROWS, "classes": classes});
        writeln!(stdin, "{case}")?;
    }
    drop(stdin);
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "the peer failed");
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
